# kindred's one Makefile: `make` builds, `make run` shows it, `make test` proves it.
#
#   make [O=DIR] [SAN=address,undefined|thread] [DEBUG=1] [V=1] TARGET
#
# Every *.c under agent/ and proto/ goes into libkindred.a; a new file needs no line here.

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 2)
endif
comma := ,
SUFFIX := $(if $(SAN),-$(subst $(comma),-,$(SAN)))
O ?= build$(SUFFIX)
V ?= 0
msg = @$(if $(filter 1,$(V)),true,printf '  %-7s %s\n' "$(1)" "$(2)")
Q := $(if $(filter 1,$(V)),,@)

VERSION := $(shell cat VERSION 2>/dev/null)
COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)

CLANG ?= clang
BPFTOOL ?= $(or $(shell command -v bpftool),/usr/sbin/bpftool)
PKGS := zlib libcurl libevent_core libevent_extra libevent_openssl liblz4 libssl libcrypto jansson yaml-0.1 libbpf libmnl libcap sqlite3
TEST_PKGS := cmocka
DEBS := build-essential pkg-config libcurl4-openssl-dev libevent-dev liblz4-dev libssl-dev \
	libjansson-dev libyaml-dev libsqlite3-dev libbpf-dev libmnl-dev libcap-dev clang bpftool libcmocka-dev zlib1g-dev
# Without these some tests are skipped, in words; `make test` installs them when it may.
TEST_TOOLS := python3:python3 python3.yaml:python3-yaml ip:iproute2 openssl:openssl nft:nftables conntrack:conntrack \
	setcap:libcap2-bin debootstrap:debootstrap tmux:tmux zsh:zsh groff:groff-base chromium:chromium

WARN := -Wall -Wextra -Wshadow -Wundef -Wvla -Wformat=2 -Wtype-limits -Wstrict-prototypes \
	-Wmissing-prototypes -Wcast-qual -Wswitch-enum -Wnull-dereference $(if $(CI),-Werror)
OPT := $(if $(SAN)$(DEBUG),-O1 -g,-O2 -g -fno-asynchronous-unwind-tables)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all) \
	$(if $(filter thread,$(SAN)),-Wno-tsan -Wno-null-dereference) \
	$(if $(LIBFUZZER),-fsanitize=fuzzer-no-link)

# Checked before anything else so that a missing library is one readable line.
need := $(filter-out clean help format test fuzz,$(or $(MAKECMDGOALS),all))
ifneq ($(need),)
missing := $(shell pkg-config --exists $(PKGS) $(TEST_PKGS) 2>/dev/null && command -v $(CC) >/dev/null && command -v $(CLANG) >/dev/null && test -x '$(BPFTOOL)' || echo yes)
ifneq ($(missing),)
$(shell DEBS="$(DEBS)" sh tests/lib/install-deps.sh >&2)
still := $(shell pkg-config --exists $(PKGS) $(TEST_PKGS) 2>/dev/null && command -v $(CC) >/dev/null && command -v $(CLANG) >/dev/null && test -x '$(BPFTOOL)' || echo yes)
$(if $(still),$(error Missing packages. On Debian or Ubuntu run as root: apt-get install $(DEBS)))
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) $(TEST_PKGS))
# libevent_openssl names libevent, too, which is core and extra once more.
LIBS := -Wl,--as-needed $(shell pkg-config --libs $(PKGS)) -lpthread -lm
TEST_LIBS := $(shell pkg-config --libs $(TEST_PKGS))
endif

CFLAGS ?= $(OPT)
override CFLAGS += -std=gnu11 $(WARN) $(SANFLAGS)
CPPFLAGS += -D_GNU_SOURCE -Iagent -I. -Iinclude -I$(O) $(PKG_CFLAGS)
LDFLAGS += $(SANFLAGS)

LIB_SRC := $(filter-out agent/main.c,$(wildcard agent/*/*.c agent/*/*/*.c proto/*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(O)/%.o)
REPLAY_SRC := $(wildcard tests/kube-replay/*.c)
REPLAY_OBJ := $(REPLAY_SRC:%.c=$(O)/%.o)
TLIB_SRC := $(wildcard tests/lib/*.c)
TLIB_OBJ := $(TLIB_SRC:%.c=$(O)/%.o)
UNIT_SRC := $(wildcard tests/unit/*/*.c tests/unit/*/*/*.c)
UNIT_BIN := $(UNIT_SRC:%.c=$(O)/%)
TOOLS := $(foreach t,sim bench scale,$(if $(wildcard tests/$(t)/*.c),$(O)/$(t)))
ALL_OBJ := $(LIB_OBJ) $(REPLAY_OBJ) $(TLIB_OBJ) $(O)/agent/main.o $(UNIT_SRC:%.c=$(O)/%.o) \
	$(foreach t,sim bench scale fuzz flows,$(patsubst %.c,$(O)/%.o,$(wildcard tests/$(t)/*.c)))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all run test test-run build-tests torture fuzz fuzz-run fuzz-replay bench e2e vmtest lint format \
	headers-check bpf-archs readme manifests deb image install clean help

all: $(O)/kindred $(O)/kube-replay

# eBPF programs: CO-RE objects, built into the agent as skeletons. -O2 is what the verifier wants.
BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')
BPF_CFLAGS := -g -O2 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Wextra -Wno-unused-parameter \
	$(if $(CI),-Werror) -Iinclude -Ibpf
BPF_SRC := $(wildcard bpf/*.bpf.c)
BPF_SKEL := $(BPF_SRC:%.bpf.c=$(O)/%.skel.h)

$(O)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h) include/flow_abi.h
	$(call msg,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@.full $<
	$(Q)$(BPFTOOL) gen object $@ $@.full
	$(Q)rm -f $@.full

# These include another whole.
$(O)/bpf/tcp_plain.bpf.o: bpf/tcp.bpf.c
# For kernels that have 32-bit instructions anyway: a tenth less run time.
$(O)/bpf/tcp.bpf.o: BPF_CFLAGS += -mcpu=v3

$(O)/bpf/%.skel.h: $(O)/bpf/%.bpf.o
	$(call msg,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

# The programs again for each architecture they are meant for, to see that they compile.
BPF_ARCHS := x86 arm64
BPF_CHECKED := $(foreach a,$(BPF_ARCHS),$(BPF_SRC:bpf/%.bpf.c=$(O)/bpf-$(a)/%.o))
define bpf_arch
$(O)/bpf-$(1)/%.o: bpf/%.bpf.c $(wildcard bpf/*.h) include/flow_abi.h
	$$(call msg,BPF,$$@)
	$(Q)mkdir -p $$(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS:-D__TARGET_ARCH_%=-D__TARGET_ARCH_$(1)) -Werror -c -o $$@ $$<
endef
$(foreach a,$(BPF_ARCHS),$(eval $(call bpf_arch,$(a))))
bpf-archs: $(BPF_CHECKED)

# Named one by one: a pattern without a recipe would add nothing.
$(filter $(O)/agent/flow/%,$(LIB_OBJ)): | $(BPF_SKEL)
$(filter $(O)/tests/unit/flow/%,$(UNIT_BIN:%=%.o)): | $(BPF_SKEL)
$(patsubst %.c,$(O)/%.o,$(wildcard tests/bench/*.c)): | $(BPF_SKEL)

$(O)/%.o: %.c
	$(call msg,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# What the assembler includes, the compiler does not tell of.
$(O)/agent/serve/openapi.o: include/openapi.json
$(O)/agent/serve/page/page.o: $(wildcard agent/serve/page/*.html agent/serve/page/*.css agent/serve/page/*.js)

# Version strings live in one object, rebuilt when the commit changes.
$(O)/agent/config/version.o: CPPFLAGS += -DKINDRED_VERSION='"$(VERSION)"' -DKINDRED_COMMIT='"$(COMMIT)"'
$(O)/agent/config/version.o: $(O)/.commit
$(O)/.commit: FORCE
	$(Q)mkdir -p $(O)
	$(Q)echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' >$@
.PHONY: FORCE

$(O)/libkindred.a: $(LIB_OBJ)
	$(call msg,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# A tenth of a megabyte less, where C library (2.36) and linker know relocations like that.
PACK = $(shell printf 'glibc 2.36\n%s\n' "$$(getconf GNU_LIBC_VERSION 2>/dev/null)" | sort -VC && \
	$(CC) -Wl,--help 2>/dev/null | grep -q pack-relative-relocs && echo -Wl,-z,pack-relative-relocs)

$(O)/kindred: $(O)/agent/main.o $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(if $(SAN),,$(PACK)) -o $@ $^ $(LIBS)

$(O)/kube-replay: $(REPLAY_OBJ) $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(TEST_LIBS)

# Unit tests may make allocations fail (tests/lib/torture.h).
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
TOOL_TLIB := $(filter-out %/torture.o,$(TLIB_OBJ))

# A unit test is one file; tests of a test tool also get the tool's objects.
$(O)/tests/unit/kube-replay/%: $(O)/tests/unit/kube-replay/%.o $(filter-out %/main.o,$(REPLAY_OBJ)) \
		$(TLIB_OBJ) $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(WRAP) -o $@ $^ $(LIBS) $(TEST_LIBS)

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(TLIB_OBJ) $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(WRAP) -o $@ $^ $(LIBS) $(TEST_LIBS)

# The other decoder of its test is libc's resolver.
$(O)/tests/unit/flow/dns: TEST_LIBS += -lresolv

# Tests of the whole process run the programs beside them.
$(filter $(O)/tests/unit/agent/%,$(UNIT_BIN)): | $(O)/kindred $(O)/kube-replay

define tool
$(O)/$(1): $(patsubst %.c,$(O)/%.o,$(wildcard tests/$(1)/*.c)) $(TOOL_TLIB) $(O)/libkindred.a
	$$(call msg,LD,$$@)
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LIBS) $(TEST_LIBS)
endef
$(foreach t,sim bench scale,$(eval $(call tool,$(t))))

# Plays clients and servers in tests/flows; shares no code with the agent.
ACTOR_SRC := $(wildcard tests/flows/*.c)
$(O)/actor: $(ACTOR_SRC:%.c=$(O)/%.o)
	$(call msg,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lpthread

# Fuzz harnesses: with clang's libFuzzer they search, with main.c they replay their corpus.
FUZZ_SRC := $(filter-out tests/fuzz/main.c,$(wildcard tests/fuzz/*.c))
FUZZ_NAME := $(FUZZ_SRC:tests/fuzz/%.c=%)
FUZZ_BIN := $(FUZZ_NAME:%=$(O)/fuzz/%)
FUZZ_MAIN := $(if $(LIBFUZZER),,$(O)/tests/fuzz/main.o)
FUZZ_SECONDS ?= 30

$(FUZZ_BIN): $(O)/fuzz/%: $(O)/tests/fuzz/%.o $(FUZZ_MAIN) $(TOOL_TLIB) $(O)/libkindred.a
	$(call msg,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $(if $(LIBFUZZER),-fsanitize=fuzzer) -o $@ $^ $(LIBS) $(TEST_LIBS)

build-tests: $(UNIT_BIN) $(TOOLS) $(FUZZ_BIN) $(O)/actor

help:
	@echo 'all          $(O)/kindred and $(O)/kube-replay (default)'
	@echo 'run          show what it does; RUN_SECONDS=n stops it; KUBECONFIG uses that cluster'
	@echo 'test         all tests, then again under ASan and UBSan'
	@echo 'test-run     all tests once, in this build (SAN=address,undefined|thread)'
	@echo 'torture      unit tests with every allocation failing in turn, without a bound'
	@echo 'fuzz         FUZZ_SECONDS=$(FUZZ_SECONDS) for every harness (clang); else their corpora'
	@echo 'bench        figures, one a line'
	@echo 'e2e          against a real API server'
	@echo 'vmtest       flows on other kernels, under QEMU'
	@echo 'lint         headers, rooms, banned calls, format, clang-tidy, shellcheck, README'
	@echo 'bpf-archs    the eBPF programs for every architecture, compiled only'
	@echo 'format       clang-format on everything'
	@echo 'readme       write options and metrics into README.md and the chart'\''s schema'
	@echo 'manifests    write deploy/manifests, the chart'\''s default output (needs helm or go)'
	@echo 'image        the root file system of the container image, in $(O)/image'
	@echo 'deb          a Debian package, in $(O)'
	@echo 'install      PREFIX=$(PREFIX) DESTDIR='
	@echo 'clean        remove build folders'

run: all $(O)/actor
	@DEBS= TOOLS="ip:iproute2" sh tests/lib/install-deps.sh
	@sh tests/lib/run.sh $(O)

# One line per test program goes to RESULTS; total.sh adds them up.
RESULTS ?= $(O)/results
SIM_SEEDS ?= $(if $(SAN),100,1000)
# The longest first. What runs nothing of the build is run with one of them.
TEST_SCRIPTS := $(filter-out $(if $(SAN),tests/lib/% tests/lint/%),$(wildcard tests/*/test-*.sh))
TEST_ITEMS := $(TEST_SCRIPTS) $(UNIT_BIN) $(FUZZ_BIN) $(filter $(O)/sim $(O)/scale,$(TOOLS))

test-run: all build-tests
	@rm -f $(RESULTS)
	@O=$(O) SAN=$(SAN) SIM_SEEDS=$(SIM_SEEDS) RESULTS=$(RESULTS) bash tests/lib/run-tests.sh $(TEST_ITEMS)

SAN_O := $(O)-address-undefined
test:
	+@rm -f $(O)/results $(SAN_O)/results; r=0; \
	DEBS= TOOLS="$(TEST_TOOLS)" sh tests/lib/install-deps.sh; \
	sh tests/deploy/helm.sh >/dev/null || :; \
	$(MAKE) --no-print-directory test-run || r=1; \
	$(if $(SAN),,$(MAKE) --no-print-directory SAN=address,undefined O=$(SAN_O) test-run || r=1;) \
	bash tests/lib/total.sh $(O)/results $(if $(SAN),,$(SAN_O)/results) && exit $$r

torture: $(UNIT_BIN) all
	@rm -f $(RESULTS)
	@TORTURE_MAX=1000000 TEST_SECONDS=3600 O=$(O) SAN=$(SAN) RESULTS=$(RESULTS) \
		bash tests/lib/run-tests.sh $(UNIT_BIN)
	@bash tests/lib/total.sh $(RESULTS)

fuzz:
	+@if command -v clang >/dev/null; then \
		$(MAKE) --no-print-directory CC=clang SAN=address,undefined LIBFUZZER=1 O=$(O)-fuzz fuzz-run; \
	else echo 'fuzz: clang is not installed; the corpora are replayed instead'; \
		$(MAKE) --no-print-directory fuzz-replay; fi

fuzz-run: $(FUZZ_BIN)
	@for n in $(FUZZ_NAME); do \
		mkdir -p $(O)/fuzz/corpus/$$n tests/fuzz/corpus/$$n; \
		echo "fuzz: $$n for $(FUZZ_SECONDS) s"; \
		$(O)/fuzz/$$n -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 \
			-print_final_stats=1 -artifact_prefix=$(O)/fuzz/ \
			$(O)/fuzz/corpus/$$n tests/fuzz/corpus/$$n >$(O)/fuzz/$$n.log 2>&1 || \
			{ tail -n 60 $(O)/fuzz/$$n.log; exit 1; }; \
		grep '^stat::' $(O)/fuzz/$$n.log; \
	done

fuzz-replay: $(FUZZ_BIN)
	@for n in $(FUZZ_NAME); do $(O)/fuzz/$$n tests/fuzz/corpus/$$n || exit 1; done

bench: all $(filter $(O)/bench $(O)/scale,$(TOOLS))
	$(if $(BENCH),$(if $(filter-out scale,$(BENCH)),@$(O)/bench $(filter-out scale,$(BENCH))),@$(O)/bench)
	$(if $(BENCH),$(if $(filter scale,$(BENCH)),@$(O)/scale),@$(O)/scale)

e2e: all
	@DEBS= TOOLS="python3:python3 python3.yaml:python3-yaml openssl:openssl" sh tests/lib/install-deps.sh
	@sh tests/e2e/run.sh $(O)/kindred

vmtest: all $(O)/actor
	@bash tests/vm/run.sh $(O) $(SUITES) || { r=$$?; [ $$r = 77 ] || exit $$r; } # 77: skipped

# Each header is compiled alone; a stamp remembers the ones that passed.
HEADERS := $(shell find agent proto include tests -name '*.h' -not -path 'tests/lint/bad/*' 2>/dev/null)
HEADER_OK := $(HEADERS:%=$(O)/headers/%.ok)
$(O)/headers/%.h.ok: %.h | $(BPF_SKEL)
	@mkdir -p $(@D)
	$(Q)echo '#include "$<"' | $(CC) $(CPPFLAGS) -std=gnu11 $(filter-out -Werror,$(WARN)) -Werror \
		-MMD -MF $@.d -MT $@ -fsyntax-only -x c -
	@touch $@
headers-check: $(HEADER_OK)
-include $(wildcard $(HEADER_OK:%=%.d))

C_FILES := $(shell find agent bpf proto include tests \( -name '*.c' -o -name '*.h' \) \
	-not -path 'tests/lint/bad/*' 2>/dev/null | sort)

lint: headers-check bpf-archs all
	@CC="$(CC)" CPPFLAGS="$(CPPFLAGS)" KINDRED=$(O)/kindred bash tests/lint/lint.sh $(C_FILES)

format:
	clang-format -i $(C_FILES)

readme: all
	bash tests/lint/readme.sh --write $(O)/kindred README.md
	bash tests/lint/metrics.sh --write $(O)/kindred README.md
	python3 deploy/helm/options.py --write $(O)/kindred

manifests: all
	helm=$$(sh tests/deploy/helm.sh) && bash deploy/manifests.sh --write $(O)/kindred $$helm

image: all
	rm -rf $(O)/image
	sh deploy/image.sh $(O)/kindred $(O)/image

deb: all
	@bash deploy/deb.sh $(O)/kindred $(VERSION) $(O)

PREFIX ?= /usr/local
install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(O)/kindred $(DESTDIR)$(PREFIX)/bin/kindred
	sh deploy/texts.sh $(O)/kindred $(DESTDIR)$(PREFIX)/share

clean:
	rm -rf build build-*

# An object whose list of headers is missing (make was killed while it was written) is made again: it
# would stay as it is when a struct changes, and disagree with the others about it.
$(filter-out $(patsubst %.d,%.o,$(wildcard $(ALL_OBJ:.o=.d))),$(ALL_OBJ)): FORCE
-include $(wildcard $(ALL_OBJ:.o=.d))
