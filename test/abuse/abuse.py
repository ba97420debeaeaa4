#!/usr/bin/env python3
"""What a well-behaved client notices while others abuse the server. (make abuse)

Starts $KINTO_BIN (one process, data in memory) for each scenario, lets attackers loose on it from several
loopback addresses, and meanwhile measures one keep-alive client that reads a record over and over. Prints a
row for each: the client's median and 99th percentile, the server's memory, descriptors and CPU; and says
what broke: a request of the client that failed, memory over what was promised, descriptors that stayed
open, a server that is busy when nobody asks anything.

    abuse.py [--seconds 8] [--connections 10000] [--slow 2000] [SCENARIO ...]

Attackers, client and server are processes of their own; on few cores they share them, so compare rows of
one run with its first one.
"""
import argparse
import base64
import http.client
import json
import multiprocessing
import os
import resource
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

MIB = 1024 * 1024
BUDGET = 128 * MIB  # kinto.server.max_total_request_memory
OVERHEAD = 96 * MIB  # beside it: what is fixed for each connection, spare buffers, malloc's own
AUTH = "Basic " + base64.b64encode(b"user:secret").decode()
RECORD = "/v1/buckets/b/collections/c/records/r"
INI = """[app:main]
kinto.storage_backend = kinto.core.storage.memory
{settings}
[server:main]
host = 127.0.0.1
port = 0
connection_limit = {connections}
max_total_request_memory = {budget}
"""
BASIC = "multiauth.policies = basicauth\n"
TLS = BASIC + "kinto.tls_certificate = %(here)s/tls.pem\nkinto.tls_key = %(here)s/tls.key\n"
ACCOUNTS = """kinto.includes = kinto.plugins.accounts
multiauth.policies = account basicauth
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy
kinto.account_create_principals = system.Everyone
"""


# ---- the server ----------------------------------------------------------------------------------


def any_certificate():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Server:
    def __init__(self, binary, connections, settings=BASIC):
        self.dir = tempfile.mkdtemp(prefix="kinto-abuse-")
        ini = os.path.join(self.dir, "kinto.ini")
        with open(ini, "w", encoding="utf-8") as f:
            f.write(INI.format(settings=settings, connections=connections, budget=BUDGET))
        if settings == TLS:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                            "-nodes", "-subj", "/CN=h", "-keyout", self.dir + "/tls.key",
                            "-out", self.dir + "/tls.pem"], check=True, stderr=subprocess.DEVNULL)
        self.log = open(os.path.join(self.dir, "log"), "w", encoding="utf-8")
        self.process = subprocess.Popen([binary, "start", "--ini", ini], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        words = self.process.stdout.readline().split()
        url = next((w for w in words if w.startswith(("http://", "https://"))), None)
        if url is None:
            raise SystemExit("the server did not start: see " + self.dir)
        self.port = int(url.split(":")[2].split("/")[0])
        self.tls = url.startswith("https")
        self.pid = self.process.pid

    def fill(self):
        for path in ("/v1/buckets/b", "/v1/buckets/b/collections/c", RECORD):
            self.put(path, {"data": {"text": "x" * 200} if path == RECORD else {},
                            "permissions": {"read": ["system.Everyone"]} if path == RECORD else {}})

    def put(self, path, value, auth=True):
        if self.tls:
            c = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=any_certificate())
        else:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        if auth:
            headers["Authorization"] = AUTH
        c.request("PUT", path, json.dumps(value), headers)
        r = c.getresponse()
        r.read()
        c.close()
        if r.status not in (200, 201):
            raise SystemExit("%s: %d" % (path, r.status))

    def rss(self):
        with open("/proc/%d/status" % self.pid, encoding="ascii") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        return 0

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def cpu(self):
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=30)
        self.log.close()
        shutil.rmtree(self.dir)
        return status


# ---- the client that should notice nothing -------------------------------------------------------


def behave(port, tls, seconds, out):
    """A read every few milliseconds on one connection, opened again when the server closes it."""
    request = ("GET %s HTTP/1.1\r\nHost: h\r\n\r\n" % RECORD).encode()
    times, failed, s = [], 0, None
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.perf_counter()
        try:
            if s is None:
                s = socket.create_connection(("127.0.0.1", port), timeout=10)
                if tls:
                    s = any_certificate().wrap_socket(s)
            s.sendall(request)
            answer = b""
            while b"\r\n\r\n" not in answer:
                part = s.recv(65536)
                if not part:
                    raise OSError("closed")
                answer += part
            ok = answer.startswith(b"HTTP/1.1 200")
        except OSError:
            ok = False
        if not ok:
            failed += 1
            if s is not None:
                s.close()
            s = None
        times.append(time.perf_counter() - begin)
        time.sleep(0.002)
    times.sort()
    out.put((len(times), failed, times[len(times) // 2], times[len(times) * 99 // 100], times[-1]))


def measure(server, seconds):
    out = multiprocessing.Queue()
    p = multiprocessing.Process(target=behave, args=(server.port, server.tls, seconds, out))
    p.start()
    result = out.get(timeout=seconds + 60)
    p.join()
    return result


# ---- attackers -----------------------------------------------------------------------------------


def connect(port, i, rcvbuf=0):
    s = socket.socket()
    if rcvbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
    s.bind(("127.0.%d.%d" % (1 + i % 4, 1 + i % 100), 0))
    s.connect(("127.0.0.1", port))
    s.setblocking(False)
    return s


def try_send(s, data):
    try:
        return s.send(data)
    except BlockingIOError:
        return 0
    except OSError:
        return -1


def idle(port, ready, n):
    held = [connect(port, i) for i in range(n)]
    ready.set()
    while held:
        time.sleep(1)


def slow(port, ready, n):
    """Heads, bodies and answers, a byte now and then; who is thrown out comes back."""
    starts = [b"GET / HTTP/1.1\r\nHost: h\r\nX: ",
              b"PUT /v1/buckets/b HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n",
              b"GET /v1/ HTTP/1.1\r\nHost: h\r\n\r\n" * 200]
    held = []

    def begin(i):
        s = connect(port, i, 4096 if i % 3 == 2 else 0)
        try_send(s, starts[i % 3])
        return s

    for i in range(n):
        held.append(begin(i))
    ready.set()
    while True:
        for i in range(n):
            s = held[i]
            gone = False
            if i % 3 == 2:
                try:
                    gone = s.recv(1) == b""
                except BlockingIOError:
                    pass
                except OSError:
                    gone = True
            else:
                gone = try_send(s, b"x") < 0
            if gone:
                s.close()
                try:
                    held[i] = begin(i)
                except OSError:
                    pass
            if i % 100 == 99:
                time.sleep(0.02)
        time.sleep(0.5)


def bodies(port, ready, n):
    """Large bodies that never end."""
    head = (b"PUT /v1/buckets/b HTTP/1.1\r\nHost: h\r\nContent-Length: 15000000\r\n"
            b"Content-Type: application/json\r\n\r\n")
    part = b"x" * 65536

    def begin(i):
        return [connect(port, i), head, 15000000 - 1000]

    held = [begin(i) for i in range(n)]
    ready.set()
    while True:
        moved = 0
        for i, h in enumerate(held):
            if h[1]:
                sent = try_send(h[0], h[1])
                h[1] = h[1][max(sent, 0):]
            else:
                sent = try_send(h[0], part[:min(len(part), h[2])]) if h[2] else try_send(h[0], b"x")
                h[2] -= min(max(sent, 0), h[2])
            moved += max(sent, 0)
            if sent < 0:
                h[0].close()
                try:
                    held[i] = begin(i)
                except OSError:
                    time.sleep(0.01)
        if moved < len(part):
            time.sleep(0.05)


def pipelines(port, ready, n):
    """100,000 requests at a time, and nothing is read."""
    data = b"GET /v1/ HTTP/1.1\r\nHost: h\r\n\r\n" * 100000
    held = [[connect(port, i), 0] for i in range(n)]
    ready.set()
    while True:
        moved = 0
        for h in held:
            sent = try_send(h[0], memoryview(data)[h[1]:h[1] + 262144])
            moved += max(sent, 0)
            h[1] += max(sent, 0)
            if sent < 0 or h[1] == len(data):
                h[0].close()
                h[:] = [connect(port, moved), 0]
        if moved == 0:
            time.sleep(0.05)


def churn(port, ready, n):
    """Comes and goes: half a request, then a reset; what is no HTTP; and nothing at all."""
    said = [b"", b"GET /v1/ HT", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n",
            b"POST /v1/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"]
    ready.set()
    i = 0
    while True:
        held = []
        for _ in range(n):
            try:
                s = connect(port, i)
                try_send(s, said[i % len(said)])
                held.append(s)
            except OSError:
                pass
            i += 1
        for s in held:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0" if i % 2 else b"\0" * 8)
            s.close()


def client_hello():
    said = ssl.MemoryBIO()
    try:
        any_certificate().wrap_bio(ssl.MemoryBIO(), said).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return said.read()


def handshakes(port, ready, n):
    """TLS up to where the server has signed something; then a new connection."""
    hello, poll, held = client_hello(), select.epoll(), {}

    def begin(i):
        s = connect(port, i)
        held[s.fileno()] = s
        poll.register(s, select.EPOLLIN)
        try_send(s, hello)

    for i in range(n):
        begin(i)
    ready.set()
    count = n
    while True:
        for fd, _ in poll.poll(1):
            held.pop(fd).close()
            begin(count)
            count += 1


def passwords(port, ready, n):
    """Wrong passwords, each of which takes a hash to find out."""
    held = [connect(port, i) for i in range(n)]
    poll = select.epoll()
    by_fd = {}

    def ask(s, i):
        guess = base64.b64encode(b"somebody:%d" % i)
        try_send(s, b"GET /v1/accounts/somebody HTTP/1.1\r\nHost: h\r\nAuthorization: Basic " + guess +
                 b"\r\n\r\n")

    for i, s in enumerate(held):
        poll.register(s, select.EPOLLIN)
        by_fd[s.fileno()] = s
        ask(s, i)
    ready.set()
    count = n
    while True:
        for fd, _ in poll.poll(1):
            try:
                if by_fd[fd].recv(65536):
                    ask(by_fd[fd], count)
                    count += 1
                    continue
            except OSError:
                pass
            poll.unregister(fd)
            del by_fd[fd]


# ---- scenarios -----------------------------------------------------------------------------------


def attack(server, fn, n):
    ready = multiprocessing.Event()
    p = multiprocessing.Process(target=fn, args=(server.port, ready, n), daemon=True)
    p.start()
    if not ready.wait(120):
        raise SystemExit("the attackers could not begin")
    return p


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


def idle_cpu(server):
    """Seconds of CPU in 2 s without a request, once the work that was begun before is done."""
    for _ in range(10):
        cpu = server.cpu()
        time.sleep(2)
        left = server.cpu() - cpu
        if left < 0.1:
            break
    return left


def run(name, server, fn, n, seconds):
    """One scenario; returns what broke."""
    broke = []
    rss_before, fds_before = server.rss(), server.descriptors()
    attacker = attack(server, fn, n) if fn else None
    time.sleep(1 if fn else 0)
    cpu, began = server.cpu(), time.monotonic()
    count, failed, p50, p99, worst = measure(server, seconds)
    busy = (server.cpu() - cpu) / (time.monotonic() - began)
    rss, fds = server.rss(), server.descriptors()
    if attacker:
        attacker.kill()
        attacker.join()
    closed = wait_for(lambda: server.descriptors() <= fds_before, 100)
    left = idle_cpu(server)
    print("%-12s %6d %7d %5d %8.2f %8.2f %8.1f %7.1f %7d %5.0f%% %6.2f" %
          (name, n, count, failed, p50 * 1e3, p99 * 1e3, worst * 1e3, (rss - rss_before) / MIB, fds,
           busy * 100, left), flush=True)
    if fn is idle and fds - fds_before >= n:
        print("%-12s %.0f bytes of the process for each idle connection" % ("", (rss - rss_before) / n))
    if failed:
        broke.append("%s: %d requests of the client failed" % (name, failed))
    if rss - rss_before > BUDGET + OVERHEAD:
        broke.append("%s: %d MiB" % (name, (rss - rss_before) / MIB))
    if not closed:
        broke.append("%s: %d descriptors stayed" % (name, server.descriptors() - fds_before))
    if left > 0.2:
        broke.append("%s: %.2f s of CPU in 2 s without a request" % (name, left))
    return broke


def main():
    a = argparse.ArgumentParser()
    a.add_argument("scenarios", nargs="*")
    a.add_argument("--seconds", type=float, default=8)
    a.add_argument("--connections", type=int, default=10000)
    a.add_argument("--slow", type=int, default=2000)
    o = a.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = min(o.connections, hard - 200) if hard != resource.RLIM_INFINITY else o.connections
    if n < o.connections:
        print("only %d connections: the system allows a process %d descriptors" % (n, hard))
    rows = [("nothing", None, 0, {}), ("idle", idle, n, {}), ("slow", slow, o.slow, {}),
            ("bodies", bodies, 150, {}), ("pipelines", pipelines, 50, {}), ("churn", churn, 200, {}),
            ("locked out", idle, 3000, {"connections": 1000}),
            ("passwords", passwords, 64, {"settings": ACCOUNTS}),
            ("TLS", None, 0, {"settings": TLS}), ("handshakes", handshakes, 200, {"settings": TLS})]
    binary = os.environ.get("KINTO_BIN", "./kinto")
    print("%-12s %6s %7s %5s %8s %8s %8s %7s %7s %6s %6s" %
          ("attack", "many", "reads", "fail", "p50 ms", "p99 ms", "max ms", "+MiB", "fds", "CPU", "after"))
    broke = []
    for name, fn, many, options in rows:
        if o.scenarios and name not in o.scenarios:
            continue
        server = Server(binary, options.get("connections", n + 100),
                        options.get("settings", BASIC))
        try:
            server.fill()
            if fn is passwords:
                server.put("/v1/accounts/somebody", {"data": {"password": "right"}}, auth=False)
            broke += run(name, server, fn, many, o.seconds)
        finally:
            if server.stop() != 0:
                broke.append("%s: the server did not end well" % name)
    for line in broke:
        print("BROKEN " + line)
    return 1 if broke else 0


if __name__ == "__main__":
    sys.exit(main())
