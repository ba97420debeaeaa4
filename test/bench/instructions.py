#!/usr/bin/env python3
"""How many instructions a request takes, which no other work of the machine changes. (make instructions)

The server runs under callgrind, with data on disk; one client asks on one connection. What the threads execute that
handle requests, and nothing else, is counted and compared with what is recorded in instructions.json: more than
5 % above it is a failure, and so is more than 5 % below, so that what was gained is recorded, too.

    instructions.py [--update] [WORKLOAD ...]

Another compiler makes other code: then nothing is compared, and that is said (SKIP).
"""
import argparse
import glob
import json
import os
import re
import socket
import subprocess
import sys
import tempfile

import contestants
import workloads

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(HERE, "instructions.json")
RECORDS = 1000
REQUESTS = {"filter": 20}  # others: 200
TOLERANCE = 0.05


class Counted(contestants.OursDurable):
    # valgrind asks for more than the server may; and how often it looks for the disk is chance
    settings = "kinto.server.sandbox = off\nkinto.stay_awake_us = 0"

    def run(self, argv, **more):
        self.out = os.path.join(self.dir, "out")
        super().run(["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes",
                     "--callgrind-out-file=" + self.out] + argv, **more)

    def control(self, *words):
        subprocess.run(["callgrind_control", *words, str(self.process.pid)], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)


class Connection:
    """Sends requests as they are, and throws the answers away."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def ask(self, request):
        method, target, headers, body = request
        content = (body or "").encode()
        lines = ["%s %s HTTP/1.1" % (method, target), "Host: h"] + ["%s: %s" % h for h in headers.items()]
        if content:
            lines.append("Content-Length: %d" % len(content))
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + content)
        status, length = self.file.readline().split()[1], 0
        while (line := self.file.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        self.file.read(length)
        return int(status)


def of_requests(dumps):
    """All that the threads have executed that have to do with requests: the loop, and those that read for it."""
    total = 0
    for name in dumps:
        with open(name, encoding="utf-8") as f:
            profile = f.read()
        if "api/pipeline.c" in profile:
            total += int(re.search(r"^totals: (\d+)", profile, re.M).group(1))
    if total == 0:
        raise SystemExit("instructions: no thread of %s has served a request" % dumps)
    return total


def count(server, workload, number):
    client = workloads.Client(server.port)
    requests = workload.requests(client, RECORDS)
    workload.prove(client, requests[0], RECORDS)
    client.close()
    connection, n = Connection(server.port), REQUESTS.get(workload.name, 200)
    for i in range(20):
        connection.ask(requests[i % len(requests)])
    server.control("-z")
    server.control("-i", "on")
    for i in range(n):
        if connection.ask(requests[i % len(requests)]) != workload.expect:
            raise SystemExit("instructions: %s: a wrong answer" % workload.name)
    server.control("-i", "off")
    server.control("-d")
    return of_requests(glob.glob("%s.%d-*" % (server.out, number))) / n / workload.operations


def compiler():
    """What made the binary, as it says itself."""
    notes = subprocess.run(["readelf", "-p", ".comment", os.environ["KINTO_BIN"]], capture_output=True, text=True,
                           check=True).stdout
    versions = re.findall(r"\]\s+(.*)", notes)
    return "%s, %s" % (versions[0] if versions else "unknown", os.uname().machine)


def compare(name, now, before):
    """True: it is as it was."""
    if before is None:
        print("FAIL %s: %d instructions, and nothing is recorded (--update)" % (name, now))
        return False
    change = now / before - 1
    ok = abs(change) <= TOLERANCE
    print("%s %-10s %8d instructions, %8d recorded (%+.1f %%)" % ("  ok" if ok else "FAIL", name, now, before,
                                                                  100 * change), flush=True)
    return ok


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--update", action="store_true", help="record what is counted now")
    p.add_argument("workloads", nargs="*")
    a = p.parse_args()
    with open(RECORDED, encoding="utf-8") as f:
        recorded = json.load(f)
    if recorded["compiler"] != compiler() and not a.update:
        print("SKIP instructions: recorded with %s, not %s (%d)"
              % (recorded["compiler"], compiler(), len(recorded["instructions"])))
        print("0 passed, 0 failed")
        return 0
    counted, failed = {}, 0
    with tempfile.TemporaryDirectory(prefix="kinto-instructions-") as scratch:
        with Counted(scratch, "0") as server:
            workloads.fill(server.port, RECORDS)
            chosen = [w for w in workloads.ALL if not a.workloads or w.name in a.workloads]
            for number, workload in enumerate(chosen, 1):
                counted[workload.name] = round(count(server, workload, number))
                if not a.update:
                    failed += not compare(workload.name, counted[workload.name],
                                          recorded["instructions"].get(workload.name))
    if a.update:
        recorded = {"compiler": compiler(), "instructions": dict(recorded["instructions"], **counted)}
        with open(RECORDED, "w", encoding="utf-8") as f:
            json.dump(recorded, f, indent=1, sort_keys=True)
            f.write("\n")
        print("recorded: %s" % " ".join("%s %d" % item for item in counted.items()))
    print("%d passed, %d failed" % (len(counted) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
