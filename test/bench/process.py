"""What processes cost: CPU time, resident memory, system calls. Linux only."""
import os
import re
import signal
import subprocess
import tempfile
import time

TICK = 1 / os.sysconf("SC_CLK_TCK")


def family(pid):
    """The process and all its descendants."""
    found, ahead = [], [pid]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        try:
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/children" % (pid, task), encoding="ascii") as f:
                    ahead += [int(word) for word in f.read().split()]
        except OSError:
            continue  # it has ended meanwhile
    return found


def cpu_seconds(pids):
    """Of all their threads, those that have ended included."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid, encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total * TICK


def wait_idle(pids, seconds=60):
    """Until they have used no CPU time for a while."""
    end, quiet, before = time.monotonic() + seconds, 0, cpu_seconds(pids)
    while quiet < 4 and time.monotonic() < end:
        time.sleep(0.05)
        now = cpu_seconds(pids)
        quiet = quiet + 1 if now - before <= TICK else 0
        before = now


def resident_bytes(pids):
    """Pages that processes share count for each of them but for the proportional share (PSS), where the kernel tells it."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
                total += int(re.search(r"^Pss: +(\d+)", f.read(), re.M).group(1)) * 1024
        except (OSError, AttributeError):
            continue
    return total


class Strace:
    """Counts the system calls of processes between start() and stop()."""

    def __init__(self, pids):
        self.pids = pids

    def start(self):
        self.out = tempfile.NamedTemporaryFile(mode="r", suffix=".strace")
        argv = ["strace", "-f", "-c", "-U", "name,calls", "-o", self.out.name]
        for pid in self.pids:
            argv += ["-p", str(pid)]
        self.process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        for _ in self.pids:
            self.process.stderr.readline()  # "Process N attached"

    def stop(self):
        """{name of the call: how many}"""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        calls = {}
        for line in self.out.read().splitlines():
            words = line.split()
            if len(words) == 2 and words[1].isdigit() and words[0] != "total":
                calls[words[0]] = int(words[1])
        self.out.close()
        return calls


def wait_until(true, seconds, what):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise SystemExit("bench: %s: not within %d s" % (what, seconds))
        time.sleep(0.01)
