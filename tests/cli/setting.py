"""The processes of these tests: those of ../serve/world.py, commands, and a terminal (tmux)."""

import os
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "serve"))
import world as base    # noqa: E402

Checks, Rig, Replay, Agent, Reducer = base.Checks, base.Rig, base.Replay, base.Agent, base.Reducer
ask, until = base.ask, base.until
GOLDEN = os.path.join(base.TESTS, "golden/cli")


class Said:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return "exit code %d\n%s\n%s" % (self.code, self.out[:3000], self.err[:1000])


def kindred(rig, *args, env=None):
    """A command with pipes for its outputs."""
    r = subprocess.run([rig.bin("kindred"), *args], capture_output=True, timeout=120, check=False,
                       stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    return Said(r.returncode, r.stdout.decode(), r.stderr.decode())


def golden(rig, name, said, show=lambda text: text):
    """Standard output against a file; what is different each time is taken out by `show`."""
    path = os.path.join(GOLDEN, name)
    text = show(said.out)
    if os.environ.get("UPDATE"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    with open(path, encoding="utf-8") as f:
        want = f.read()
    rig.checks.test("golden " + name, text == want and said.code == 0 and said.err == "" or
                    ["want:\n" + want, "got:\n" + text, said.err, said.code])


def settled(rig, *args):
    """What the command says when that no longer changes, with exit code 0."""
    last = [None]

    def same():
        said = kindred(rig, *args)
        before, last[0] = last[0], said.out
        return said if said.code == 0 and said.out == before else None
    return until(same, every=0.3) or kindred(rig, *args)


class Terminal:
    """A tmux server of its own with one window, in which one program runs."""

    def __init__(self, rig, width=100, height=40):
        self.width, self.height = width, height
        self.program = rig.bin("kindred")
        self.socket = rig.path("tmux")
        rig.own(self)

    @staticmethod
    def there():
        return shutil.which("tmux") is not None

    def tmux(self, *args):
        env = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR")}
        r = subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *args], env=env,
                           capture_output=True, timeout=60, check=False)
        return r.stdout.decode(errors="replace")

    def run(self, *args, env=""):
        """Begins it. The window stays when it has ended, and says with which code."""
        line = "trap : INT; env %s %s; echo \"[ended $?]\"; exec sleep 1000" % (
            env, " ".join(shlex.quote(a) for a in [self.program, *args]))
        self.tmux("new-session", "-d", "-x", str(self.width), "-y", str(self.height),
                  "sh", "-c", line)
        return self

    def screen(self, colours=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def wait(self, pattern, seconds=30):
        """The screen as soon as it fits, or as it is."""
        return until(lambda: (s := self.screen()) and re.search(pattern, s, re.S) and s, seconds)

    def end(self):
        self.tmux("kill-server")


def on_terminal(rig, *args, width=100, height=100, env="TERM=xterm-256color"):
    """(screen, screen with colours) of a command that ended."""
    t = Terminal(rig, width, height).run(*args, env=env)
    try:
        t.wait(r"\[ended \d+\]")
        return t.screen(), t.screen(True)
    finally:
        t.end()
