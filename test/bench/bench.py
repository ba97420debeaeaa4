#!/usr/bin/env python3
"""kinto beside the reference, and beside what the machine can do at best, in one run. (make bench)

Servers are pinned to one core, wrk to another one. Each figure is the median of the rounds; a round asks
all contestants one after the other, so that what the machine does meanwhile hits all of them.
"""
import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile

import charts
import contestants
import data
import facts
import load
import process
import report
import tables
import workloads

SERVER_CORE, LOAD_CORE = "0", "1"
STRACE_SECONDS = 1
STRACE_CONNECTIONS = 16
FRAME_BYTES = 400  # about what a PUT of a record adds to the log


def measure(server, workload, script, connections, seconds):
    """One run: rate, p50, p99 (ms), CPU (us) an operation, memory behind it (bytes). The server is idle behind it: a
    slow one still answers what it was asked at the end, on the core that the next one is measured on."""
    pids = server.pids()
    before = process.cpu_seconds(pids)
    result = load.run(LOAD_CORE, script, server.port, connections, seconds)
    cpu = process.cpu_seconds(pids) - before
    if result.failed:
        told = "%s, %s: %d of %d requests failed" % (server.name, workload.name, result.failed, result.requests)
        if not server.may_fail:
            raise SystemExit("bench: " + told)
        print(told, flush=True)
    process.wait_idle(pids)
    operations = max(1, result.requests * workload.operations)
    return {"rate": result.rate * workload.operations, "p50": result.p50, "p99": result.p99,
            "cpu": cpu / operations * 1e6, "rss": process.resident_bytes(pids)}


def count_calls(server, workload, script):
    """{name: system calls an operation}"""
    strace = process.Strace(server.pids())
    strace.start()
    result = load.run(LOAD_CORE, script, server.port, STRACE_CONNECTIONS, STRACE_SECONDS)
    calls = strace.stop()
    operations = max(1, result.requests * workload.operations)
    return {name: n / operations for name, n in calls.items() if n / operations >= 0.001}


def median(rounds):
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


# ---- what each contestant is asked --------------------------------------------------------------


def samples(server, records):
    """{workload: the body of an answer}: what nginx shall serve."""
    found = {}
    client = workloads.Client(server.port)
    for workload in workloads.ALL:
        if workload.writes or workload.ours:
            continue
        first = workload.requests(client, records)[0]
        if workload.expect == 304:
            first = (first[0], first[1] + "?_limit=1", data.HEADERS, None)
            found[workload.name] = client.ask(*first[:2])[1]
        else:
            found[workload.name] = workload.prove(client, first, records)[1]
    client.close()
    return found


def static_requests(client, workload):
    target, headers = "/" + workload.name, {}
    if workload.expect == 304:
        headers["If-None-Match"] = client.ask("GET", target)[0].getheader("ETag")
    return [("GET", target, dict(data.HEADERS, **headers), None)]


def prepare(server, workload, records, scratch):
    """The script for wrk; None: this is not for that contestant."""
    if (server.static and workload.writes) or (workload.ours and server.name != contestants.OURS):
        return None
    client = workloads.Client(server.port)
    if server.static:
        requests = static_requests(client, workload)
    else:
        requests = workload.requests(client, records)
        workload.prove(client, requests[0], records)
    client.close()
    script = os.path.join(scratch, "%s-%d.lua" % (workload.name, server.port))
    load.write_script(script, requests)
    return script


def run_workload(workload, servers, a, results):
    scripts = {s: prepare(s, workload, a.records, a.scratch) for s in servers}
    asked = [s for s in servers if scripts[s]]
    for connections in a.connections:
        rounds = {s: [] for s in asked}
        for _ in range(a.rounds):
            for s in asked:
                rounds[s].append(measure(s, workload, scripts[s], connections, a.seconds))
        for s in asked:
            figures = median(rounds[s])
            results.add(workload, connections, s.name, figures)
    if a.strace:
        for s in asked:
            results.add_calls(workload, s.name, count_calls(s, workload, scripts[s]))


# ---- the whole -----------------------------------------------------------------------------------


def installed(a):
    """Contestants that can be had here, ours first; those that cannot are named."""
    found, missing = [contestants.OursDurable], []
    reference = contestants.Reference.programs(a.scratch)
    for kind, there in ((contestants.Reference, reference),
                        (contestants.ReferencePostgres,
                         reference and contestants.ReferencePostgres.postgres_programs()),
                        (contestants.Nginx, contestants.Nginx.program())):
        if a.with_ and not any(word in kind.name for word in a.with_):
            continue
        (found if there else missing).append(kind)
    for kind in missing:
        print("bench: without %s, which is not installed" % kind.name, flush=True)
    return found


def machine():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        names = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return "%s, Linux %s" % (names[0] if names else platform.machine(), platform.release().split("-")[0])


def run_all(a, results):
    servers = []
    try:
        for kind in installed(a):
            server = kind(a.scratch, SERVER_CORE)
            if server.static:
                server.files = samples(servers[0], a.records)
            server.__enter__()
            servers.append(server)
            if not server.static:
                workloads.fill(server.port, a.records)
        for workload in workloads.ALL:
            if a.only is None or workload.name in a.only:
                run_workload(workload, servers, a, results)
    finally:
        for server in reversed(servers):
            server.__exit__()
    syncs = [contestants.sync_loop(a.scratch, FRAME_BYTES, a.seconds) for _ in range(a.rounds)]
    results.add_fact("sync_loop", statistics.median(syncs), "append %d bytes and fdatasync, in a loop" % FRAME_BYTES)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seconds", type=int, default=2, help="of each run")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--records", type=int, default=10000)
    p.add_argument("--connections", default="1,16,64")
    p.add_argument("--only", help="workloads, with commas: " + " ".join(w.name for w in workloads.ALL))
    p.add_argument("--with", dest="with_", help="contestants beside ours, with commas: reference, nginx ...")
    p.add_argument("--scratch", help="where servers have their data; on the disk that is to be measured")
    p.add_argument("--out", default=".", help="for bench.json, bench.txt, bench.md and bench.svg")
    p.add_argument("--no-facts", dest="facts", action="store_false", help="no start, sizes, memory, million records")
    p.add_argument("--no-strace", dest="strace", action="store_false")
    a = p.parse_args()
    a.connections = [int(n) for n in a.connections.split(",")]
    a.only = a.only.split(",") if a.only else None
    a.with_ = a.with_.split(",") if a.with_ else None
    return a


def main():
    a = arguments()
    if not load.installed():
        raise SystemExit("bench: there is no wrk")
    keep = a.scratch
    a.scratch = a.scratch or tempfile.mkdtemp(prefix="kinto-bench-")
    os.makedirs(a.scratch, exist_ok=True)
    results = report.Results(machine(), vars(a))
    try:
        run_all(a, results)
        if a.facts:
            facts.measure(a, results)
    finally:
        if not keep:
            shutil.rmtree(a.scratch, ignore_errors=True)
    results.write(a.out)
    charts.write(os.path.join(a.out, "bench.svg"), results)
    tables.write(os.path.join(a.out, "bench.md"), results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
