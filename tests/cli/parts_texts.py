"""Completion and the manual page: what the option tables have, and nothing else."""

import re
import shutil
import subprocess

from setting import kindred


def commands(rig):
    """name -> options, by --help."""
    names = re.findall(r"^  (\w+) +\S", kindred(rig, "help").out.split("Exit codes")[0], re.M)
    options = {}
    for name in names:
        said = kindred(rig, name, "--help")
        rig.checks.test(name + " --help", said.code == 0 and said.out.startswith("Usage: kindred %s" % name) and
                        said.err == "" or [said])
        rig.checks.test("help " + name, kindred(rig, "help", name).out == said.out)
        options[name] = re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)(.*)$", said.out, re.M)
    return options


def outputs(rig):
    """-o: JSON everywhere, wide where there is a table, and what there is is named."""
    for name, flags in commands(rig).items():
        words = [a.split()[0].split("|") for f, a in flags if f == "--output"]
        said = kindred(rig, name, "-o", "nonsense")
        if not words:
            rig.checks.test(name + " has no -o", said.code == 2 or [said])
            continue
        listed = ", ".join(words[0][:-1]) + " or " * (len(words[0]) > 1) + words[0][-1]
        rig.checks.test(name + " says what there is", said.code == 2 and said.out == "" and said.err.endswith(
            '"nonsense" (from the command line): must be %s\n' % listed) or [said])
        rig.checks.test(name + ": -o " + "|".join(words[0]), "json" in words[0] and
                        ("wide" in words[0]) == ("table" in words[0]) or words)


def bash(script, *words):
    """What bash completes for the last of the words."""
    quoted = " ".join("'%s'" % w for w in words)
    r = subprocess.run(["bash", "--norc", "-c", "set -u; source '%s'; COMP_WORDS=(%s); COMP_CWORD=%d; "
                        "_kindred; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (script, quoted, len(words) - 1)],
                       capture_output=True, timeout=60, check=False)
    return sorted(r.stdout.decode().split()) if r.returncode == 0 and not r.stderr else [r]


def completion(rig):
    test = rig.checks.test
    options = commands(rig)
    script = rig.path("kindred.bash")
    with open(script, "w", encoding="utf-8") as f:
        f.write(kindred(rig, "completion", "bash").out)
    test("bash: commands", bash(script, "kindred", "") == sorted(options) or [bash(script, "kindred", "")])
    for name, flags in options.items():
        want = sorted({f for f, _ in flags} | {"--help"})
        got = bash(script, "kindred", name, "--")
        test("bash: options of " + name, got == want or [got, want])
    for words, want in (
            (("flows", "-o", ""), ["json", "table", "wide"]), (("flows", "--output", "j"), ["json"]),
            (("flows", "--output", "=", "w"), ["wide"]), (("flows", "--output", "="), ["json", "table", "wide"]),
            (("agent", "--scope", "c"), ["cluster"]), (("completion", ""), ["bash", "zsh"]),
            (("help", "sta"), ["status"]), (("pods", "--node", ""), []), (("whois", ""), []),
            (("pods", "--socket", script[:-5]), [script]), (("decode", script[:-5]), [script])):
        got = bash(script, "kindred", *words)
        test("bash: " + " ".join(words), got == want or [got, want])
    test("another shell is refused", kindred(rig, "completion", "fish").code == 2)
    zsh(rig, options)


def zsh(rig, options):
    """zsh reads it, and _arguments is called with each option: a stand-in of it prints them."""
    if shutil.which("zsh") is None:
        rig.checks.skip("zsh", "no zsh (cannot run here)")
        return
    script = rig.path("_kindred")
    with open(script, "w", encoding="utf-8") as f:
        f.write(kindred(rig, "completion", "zsh").out)
    for name, flags in options.items():
        r = subprocess.run(["zsh", "-f", "-c", "compdef() { :; }; _arguments() { print -rl -- \"$@\"; }; "
                            "source '%s'; words=(kindred %s ''); CURRENT=3; _kindred" % (script, name)],
                           capture_output=True, timeout=60, check=False)
        got = sorted(set(re.findall(r"^(?:\*|\([^)]*\))?(--[a-z0-9-]+)\[", r.stdout.decode(), re.M)))
        want = sorted({f for f, _ in flags} | {"--help"})
        rig.checks.test("zsh: options of " + name, r.stderr == b"" and got == want or
                        [got, want, r.stderr])
    r = subprocess.run(["zsh", "-f", "-c", "autoload -Uz compinit; compinit -u -d '%s'; source '%s'; "
                        "print $_comps[kindred]" % (rig.path("dump"), script)], capture_output=True,
                       timeout=60, check=False)
    rig.checks.test("zsh: it is known", r.stdout == b"_kindred\n" or [r.stdout, r.stderr])


def manual(rig):
    """groff has nothing to say about it, and every option of every command is in it."""
    page = kindred(rig, "man").out
    options = commands(rig)
    text = page.replace("\\-", "-")
    rig.checks.test("every option", [
        "%s %s" % (name, f) for name, flags in options.items() for f, _ in flags if f != "--help"
        if not re.search(r"^\.B (-\w, )?%s( |$)" % f, text.split(".SS kindred " + name, 1)[1].split("\n.SS ")[0],
                         re.M)])
    if shutil.which("groff") is None:
        rig.checks.skip("groff", "no groff (cannot run here)")
        return
    r = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-"], input=page.encode(), capture_output=True,
                       timeout=60, check=False)
    rig.checks.test("groff", r.returncode == 0 and r.stderr == b"" or [r.stderr])


def installed(rig):
    """make install puts them where shells and man look."""
    root = rig.path("root")
    r = subprocess.run(["sh", "deploy/texts.sh", rig.bin("kindred"), root], capture_output=True, timeout=60,
                       check=False)
    files = (("man/man8/kindred.8", ("man",)), ("bash-completion/completions/kindred", ("completion", "bash")),
             ("zsh/site-functions/_kindred", ("completion", "zsh")))
    for name, args in files:
        with open(root + "/" + name, encoding="utf-8") as f:
            rig.checks.test(name, r.returncode == 0 and f.read() == kindred(rig, *args).out)
