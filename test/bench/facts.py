"""What is told by one number: start, memory, sizes, and how much is lost with a hundred times the data."""
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import time

import contestants
import data
import load
import process
import workloads

STARTS = 11
IDLE_CONNECTIONS = 10000
MANY = 1000000
LARGE_BATCH = 1000


class Large(contestants.OursDurable):
    settings = "kinto.batch_max_requests = %d" % LARGE_BATCH


@contextlib.contextmanager
def on_core(core):
    """Children that begin meanwhile run there: without a program that brings them there, which would be measured, too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core)})
    yield
    os.sched_setaffinity(0, before)


def first_answer(server):
    """Milliseconds from exec to the first 200."""
    argv = [os.environ["KINTO_BIN"], "start", "--ini", os.path.join(server.dir, "kinto.ini"), "--port",
            str(server.port), "-q", "--data", server.data]
    with on_core(server.core):
        begin = time.perf_counter()
        child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=dict(os.environ, KINTO_INI=""))
    while True:
        try:
            s = socket.create_connection(("127.0.0.1", server.port))
            break
        except OSError:
            time.sleep(0.0002)
    s.sendall(b"GET /v1/ HTTP/1.1\r\nHost: h\r\n\r\n")
    ok = s.recv(64).startswith(b"HTTP/1.1 200")
    took = (time.perf_counter() - begin) * 1000
    s.close()
    child.terminate()
    child.wait()
    if not ok:
        raise SystemExit("bench: the first answer was no 200")
    return took


def starts(server, results, name, says):
    results.add_fact(name, statistics.median(first_answer(server) for _ in range(STARTS)), says)


def starts_killed(server, results, script):
    """Killed in the midst of writes, each time another moment after the last checkpoint."""
    took = []
    for i in range(STARTS):
        writes = load.start("1", script, server.port, 64, 3)
        time.sleep(0.5 + 0.1 * i)
        server.process.kill()
        server.process.wait()
        writes.kill()
        writes.communicate()
        took.append(first_answer(server))
        server.start()
        process.wait_until(server.answers, 60, "answers after a kill")
    results.add_fact("start_killed", statistics.median(took),
                     "ms from exec to the first answer, %d records, killed (SIGKILL) in the midst of PUTs" % MANY)


def on_disk(folder):
    """Files come and go while a server runs."""
    total = 0
    for name in os.listdir(folder):
        try:
            total += os.stat(os.path.join(folder, name)).st_blocks * 512
        except FileNotFoundError:
            pass
    return total


def stop(server):
    server.process.terminate()
    server.process.wait(60)


def binary(results, scratch):
    stripped = os.path.join(scratch, "stripped")
    shutil.copy(os.environ["KINTO_BIN"], stripped)
    subprocess.run(["strip", stripped], check=True)
    results.add_fact("binary", os.path.getsize(stripped) / 1e6, "MB, stripped")
    os.unlink(stripped)


def idle_connections(a, results):
    """RSS with many connections that have asked once and say nothing."""
    with contestants.OursDurable(a.scratch, "0") as server:
        held = []
        before = process.resident_bytes(server.pids())
        results.add_fact("idle_rss", before / 2**20, "MiB, nothing stored, nobody connected")
        for _ in range(IDLE_CONNECTIONS):
            s = socket.create_connection(("127.0.0.1", server.port))
            s.sendall(b"GET /v1/ HTTP/1.1\r\nHost: h\r\n\r\n")
            if not s.recv(16):
                raise SystemExit("bench: a connection was closed")
            held.append(s)
        results.add_fact("connections_rss", process.resident_bytes(server.pids()) / 2**20,
                         "MiB with %d idle connections" % IDLE_CONNECTIONS)
        for s in held:
            s.close()


def prepared(server, a, name, records):
    """The script of a workload."""
    workload = next(w for w in workloads.ALL if w.name == name)
    client = workloads.Client(server.port)
    requests = workload.requests(client, records)
    workload.prove(client, requests[0], records)
    client.close()
    script = os.path.join(a.scratch, "fact.lua")
    load.write_script(script, requests)
    return script


def rate(server, a, name, records):
    """Operations a CPU second at 64 connections, the median of the rounds."""
    script = prepared(server, a, name, records)
    found = []
    for _ in range(a.rounds):
        before = process.cpu_seconds(server.pids())
        result = load.run("1", script, server.port, 64, a.seconds)
        found.append(result.requests / (process.cpu_seconds(server.pids()) - before))
    return statistics.median(found)


def large(a, results):
    """A million records beside ten thousand."""
    few = {}
    with contestants.OursDurable(a.scratch, "0") as server:
        workloads.fill(server.port, a.records)
        for name in ("get", "put"):
            few[name] = rate(server, a, name, a.records)
    with Large(a.scratch, "0") as server:
        workloads.fill(server.port, MANY, LARGE_BATCH)
        process.wait_idle(server.pids())
        results.add_fact("bytes", on_disk(os.path.join(server.dir, "data")) / MANY,
                         "bytes on disk for each record of %d, all files" % data.RECORD_BYTES)
        for name in ("get", "put"):
            results.add_fact("many_" + name, rate(server, a, name, MANY) / few[name],
                             "%s of %d records, by CPU time: times that of %d" % (name.upper(), MANY, a.records))
        server.data = os.path.join(server.dir, "data")
        starts_killed(server, results, prepared(server, a, "put", MANY))
        stop(server)
        starts(server, results, "start_many", "ms from exec to the first answer, %d records" % MANY)


def two_loops(a, results):
    """There are no more than two cores to be counted on, so wrk has the same ones as the server: one of each, then two."""
    rates = {}
    for loops, cores in ((1, "0"), (2, "0,1")):
        kind = type("Loops", (contestants.OursDurable,), {"loops": loops})
        with kind(a.scratch, cores) as server:
            workloads.fill(server.port, a.records)
            script = prepared(server, a, "get", a.records)
            rates[loops] = statistics.median(load.run(cores, script, server.port, 64, a.seconds).rate
                                             for _ in range(a.rounds))
    results.add_fact("two_loops", rates[2] / rates[1],
                     "GET by two loops and two threads of wrk on two cores: times that of one and one on one core")


def light_p99(server, script, seconds):
    """Of one connection, in ms, asked by a wrk that those of the same core do not hold up where it may say so."""
    argv = ["chrt", "-f", "10"] if os.geteuid() == 0 else []
    return load.run("1", script, server.port, 1, seconds, argv).p99


def heavy_beside_light(a, results):
    """What somebody who reads single records notices of one who lists all of them and one who filters, in a loop."""
    with contestants.OursDurable(a.scratch, "0") as server:
        workloads.fill(server.port, a.records)
        scripts = {}
        for name, requests in (("light", workloads.get_requests(None, a.records)),
                               ("list", [("GET", data.RECORDS, {}, None)]),
                               ("filter", workloads.filter_requests(None, a.records))):
            scripts[name] = os.path.join(a.scratch, name + ".lua")
            load.write_script(scripts[name], [(m, t, dict(data.HEADERS, **h), b) for m, t, h, b in requests])
        alone, beside = [], []
        for _ in range(a.rounds):
            alone.append(light_p99(server, scripts["light"], a.seconds))
            heavy = [load.start("1", scripts[name], server.port, 1, a.seconds + 2, ["nice", "-n", "19"])
                     for name in ("list", "filter")]
            time.sleep(1)
            beside.append(light_p99(server, scripts["light"], a.seconds))
            for child in heavy:
                child.communicate()
    results.add_fact("light_p99", statistics.median(alone), "ms, p99 of GET on one connection")
    results.add_fact("heavy_beside", statistics.median(beside) / statistics.median(alone),
                     "times that, while one lists all records in a loop and one filters")


def measure(a, results):
    binary(results, a.scratch)
    with contestants.OursDurable(a.scratch, "0") as server:
        stop(server)
        server.data = os.path.join(server.dir, "data")
        starts(server, results, "start", "ms from exec to the first answer, nothing stored")
    idle_connections(a, results)
    two_loops(a, results)
    heavy_beside_light(a, results)
    large(a, results)
