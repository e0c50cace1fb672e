# kindred's one Makefile: `make` builds, `make run` shows it, `make test` proves it.
#
#   make [O=DIR] [SAN=address,undefined|thread] [DEBUG=1] [V=1] TARGET
#
# Every *.c under agent/ and proto/ goes into libkindred.a; a new file needs no line here.

ifeq ($(origin CC),default)
CC := gcc
endif
comma := ,
SUFFIX := $(if $(SAN),-$(subst $(comma),-,$(SAN)))
O ?= build$(SUFFIX)
V ?= 0
msg = @$(if $(filter 1,$(V)),true,printf '  %-7s %s\n' "$(1)" "$(2)")
Q := $(if $(filter 1,$(V)),,@)

VERSION := $(shell cat VERSION 2>/dev/null)
COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

PKGS := libcurl libevent libevent_openssl liblz4 libssl libcrypto jansson yaml-0.1
TEST_PKGS := cmocka zlib
DEBS := build-essential pkg-config libcurl4-openssl-dev libevent-dev liblz4-dev libssl-dev \
	libjansson-dev libyaml-dev libcmocka-dev zlib1g-dev

WARN := -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wtype-limits -Wstrict-prototypes \
	-Wmissing-prototypes -Wcast-qual -Wswitch-enum -Wnull-dereference $(if $(CI),-Werror)
OPT := $(if $(SAN)$(DEBUG),-O1 -g,-O2 -g)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)

# Checked before anything else so that a missing library is one readable line.
need := $(filter-out clean help format,$(or $(MAKECMDGOALS),all))
ifneq ($(need),)
missing := $(shell pkg-config --exists $(PKGS) $(TEST_PKGS) 2>/dev/null && command -v $(CC) >/dev/null || echo yes)
ifneq ($(missing),)
$(shell DEBS="$(DEBS)" sh tests/lib/install-deps.sh >&2)
still := $(shell pkg-config --exists $(PKGS) $(TEST_PKGS) 2>/dev/null && command -v $(CC) >/dev/null || echo yes)
$(if $(still),$(error Missing packages. On Debian or Ubuntu run as root: apt-get install $(DEBS)))
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) $(TEST_PKGS))
LIBS := $(shell pkg-config --libs $(PKGS)) -lpthread
TEST_LIBS := $(shell pkg-config --libs $(TEST_PKGS))
endif

CFLAGS ?= $(OPT)
override CFLAGS += -std=gnu11 $(WARN) $(SANFLAGS)
CPPFLAGS += -D_GNU_SOURCE -Iagent -I. $(PKG_CFLAGS)
LDFLAGS += $(SANFLAGS)

LIB_SRC := $(filter-out agent/main.c,$(wildcard agent/*/*.c agent/*/*/*.c proto/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(O)/%.o)
REPLAY_SRC := $(wildcard tests/kube-replay/*.c)
REPLAY_OBJ := $(REPLAY_SRC:%.c=$(O)/%.o)
TLIB_SRC := $(wildcard tests/lib/*.c)
TLIB_OBJ := $(TLIB_SRC:%.c=$(O)/%.o)
UNIT_SRC := $(wildcard tests/unit/*/*.c tests/unit/*/*/*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(O)/%)
TOOLS := $(foreach t,sim bench,$(if $(wildcard tests/$(t)/*.c),$(O)/$(t)))
ALL_OBJ := $(LIB_OBJ) $(REPLAY_OBJ) $(TLIB_OBJ) $(O)/agent/main.o $(UNIT_SRC:%.c=$(O)/%.o) \
	$(foreach t,sim bench,$(patsubst %.c,$(O)/%.o,$(wildcard tests/$(t)/*.c)))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all run test build-tests torture fuzz bench e2e lint format headers-check install clean help

all: $(O)/kindred $(O)/kube-replay

$(O)/%.o: %.c
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Version strings live in one object, rebuilt when the commit changes.
$(O)/agent/config/version.o: CPPFLAGS += -DKINDRED_VERSION='"$(VERSION)"' -DKINDRED_COMMIT='"$(COMMIT)"'
$(O)/agent/config/version.o: $(O)/.commit
$(O)/.commit: FORCE
	$(Q)mkdir -p $(O)
	$(Q)echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' >$@
FORCE:

$(O)/libkindred.a: $(LIB_OBJ)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/kindred: $(O)/agent/main.o $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(O)/kube-replay: $(REPLAY_OBJ) $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)

# A unit test is one file; tests of a test tool also get the tool's objects.
$(O)/tests/unit/kube-replay/%: $(O)/tests/unit/kube-replay/%.o $(filter-out %/main.o,$(REPLAY_OBJ)) \
		$(TLIB_OBJ) $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(TLIB_OBJ) $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)

define tool
$(O)/$(1): $(patsubst %.c,$(O)/%.o,$(wildcard tests/$(1)/*.c)) $(TLIB_OBJ) $(O)/libkindred.a
	$$(call msg,LD,$$@)
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LIBS) $(TEST_LIBS)
endef
$(foreach t,sim bench,$(eval $(call tool,$(t))))

build-tests: $(UNIT_BIN) $(TOOLS)

clean:
	rm -rf build build-*

-include $(ALL_OBJ:.o=.d)
