"""What the kernel itself says of the ends of connections: its trace event, read without any program
of ours. It tells whose time it was when a timer ended one."""

import os
import re
import subprocess

EVENT = "events/sock/inet_sock_set_state"
KILOBYTES = 4096    # of each CPU: 20,000 connections leave half of it
TASK = re.compile(r"-(\d+) +\[\d+\] ")


class Witness:
    """`work`: a folder; tracefs is mounted there. Where that cannot be, nothing was seen."""

    def __init__(self, work):
        self.at, self.place = None, work + "/tracing"
        os.mkdir(self.place)
        self.mounted = subprocess.run(["mount", "-t", "tracefs", "none", self.place], check=False,
                                      stderr=subprocess.DEVNULL).returncode == 0
        if not self.mounted:
            return
        try:
            self._begin("%s/instances/kindred-test-%d" % (self.place, os.getpid()))
        except OSError as e:
            print("no trace of ends: %s" % e, flush=True)

    def _begin(self, at):
        os.mkdir(at)
        self.at = at
        self._write("buffer_size_kb", str(KILOBYTES))
        self._write(EVENT + "/filter", "newstate == 7")     # TCP_CLOSE
        self._write(EVENT + "/enable", "1")

    def _write(self, name, text):
        with open(self.at + "/" + name, "w", encoding="ascii") as f:
            f.write(text)

    def close(self):
        """Never left mounted: the folder is to be removed with all that is in it."""
        if self.at:
            os.rmdir(self.at)
        if self.mounted:
            subprocess.run(["umount", self.place], check=True)

    def lines(self):
        if not self.at:
            return
        with open(self.at + "/trace", encoding="utf-8", errors="replace") as f:
            for line in f:
                task = TASK.search(line)
                if task:
                    yield int(task.group(1)), line

    def in_process_1(self, truth):
        """It ended while a task of process 1 was running. Some machines' kernels run no programs then:
        seen on the one that these tests were written on, where that process belongs to its host."""
        end = re.compile(r" sport=%d dport=%d .*addr(?:v6)?=%s " % (
            truth["local_port"], truth["remote_port"], re.escape(truth["remote"])))
        tasks = [task for task, line in self.lines() if end.search(line)]
        return bool(tasks) and is_process_1(tasks[-1])

    def all_in_process_1(self):
        """How many of the machine's."""
        return sum(is_process_1(task) for task, _ in self.lines())


def is_process_1(task):
    return os.path.exists("/proc/1/task/%d" % task)
