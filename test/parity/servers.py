"""The two servers under comparison: starting them, and a small HTTP client that hides nothing.

The client writes the request bytes itself, because http.client adds headers of its own (Accept-Encoding)
and refuses some of the requests that the comparison needs. A connection is kept open and used again.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time

HOST_HEADER = "parity.test"  # the same on both sides, so that URLs in answers need no mapping
REFERENCE = "kinto==26.5.0"
CHEAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cheap")


class Answer:
    """What came back: status (0: the connection was closed without an answer), headers, body bytes."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def get(self, name):
        name = name.lower()
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


class Client:
    """One keep-alive connection; a request that finds it closed is sent once more on a new one."""

    def __init__(self, host, port, timeout=20):
        self.address = (host, port)
        self.timeout = timeout
        self.sock = None
        self.rest = b""

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None
        self.rest = b""

    def send(self, method, target, headers, body):
        head = ["%s %s HTTP/1.1" % (method, target), "Host: " + HOST_HEADER]
        head += ["%s: %s" % pair for pair in headers]
        if body is not None:
            head.append("Content-Length: %d" % len(body))
        self.request = ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + (body or b"")
        self.method = method
        fresh = self.sock is None
        self._transmit()
        self.fresh = fresh

    def _transmit(self):
        try:
            if self.sock is None:
                self.sock = socket.create_connection(self.address, self.timeout)
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.rest = b""
            self.sock.sendall(self.request)
        except OSError:
            self.close()

    def receive(self):
        for attempt in (1, 2):
            if self.sock is None and attempt == 1:
                self._transmit()
            try:
                answer = self._read() if self.sock else None
            except socket.timeout:
                self.close()
                return Answer(0, [], b"time-out")
            except (OSError, ValueError):
                answer = None
            if answer:
                return answer
            self.close()
            if attempt == 1 and not self.fresh:
                self._transmit()
                self.fresh = True
            else:
                break
        return Answer(0, [], b"")

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise OSError("closed")
        self.rest += data

    def _read(self):
        while True:
            while b"\r\n\r\n" not in self.rest:
                self._more()
            head, self.rest = self.rest.split(b"\r\n\r\n", 1)
            lines = head.decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status >= 200:
                break
        headers = [tuple(line.split(": ", 1)) if ": " in line else (line.rstrip(":"), "") for line in lines[1:]]
        answer = Answer(status, headers, b"")
        answer.body = self._body(answer)
        if (answer.get("connection") or "").lower() == "close":
            self.close()
        return answer

    def _body(self, answer):
        if self.method == "HEAD" or answer.status in (204, 304):
            return b""
        if (answer.get("transfer-encoding") or "").lower() == "chunked":
            return self._chunks()
        length = answer.get("content-length")
        if length is None:
            try:
                while True:
                    self._more()
            except OSError:
                body, self.rest = self.rest, b""
                return body
        while len(self.rest) < int(length):
            self._more()
        body, self.rest = self.rest[: int(length)], self.rest[int(length):]
        return body

    def _chunks(self):
        body = b""
        while True:
            while b"\r\n" not in self.rest:
                self._more()
            line, self.rest = self.rest.split(b"\r\n", 1)
            size = int(line.split(b";")[0], 16)
            while len(self.rest) < size + 2:
                self._more()
            body += self.rest[:size]
            self.rest = self.rest[size + 2:]
            if size == 0:
                return body


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def end_process(process, seconds):
    """Asks it to stop, and insists after that time. None, or one that has ended, is left alone."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(ini):
    """Nothing of the caller's settings; passwords that cost little; KINTO_INI is where the reference's root page looks for `config`."""
    found = {k: v for k, v in os.environ.items() if not k.startswith("KINTO_")}
    return dict(found, KINTO_INI=ini, PYTHONPATH=CHEAP)


class NotStarted(Exception):
    pass


class Server:
    """A process that is started, waited for and stopped by its own id; or one that runs already (url)."""

    def __init__(self, name, argv=None, port=None, log=None, ini=None, url=None):
        self.name = name
        self.process = None
        self.log = log
        if url:
            found = re.match(r"http://([^:/]+):(\d+)", url)
            if not found:
                raise SystemExit("parity: --ours wants http://HOST:PORT, not " + url)
            self.address = (found.group(1), int(found.group(2)))
        else:
            self.address = ("127.0.0.1", port)
            with open(log, "wb") as out:
                self.process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=os.path.dirname(ini), env=environment(ini))
        self.client = Client(*self.address)

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process and self.process.poll() is not None:
                break
            try:
                socket.create_connection(self.address, 1).close()
                return
            except OSError:
                time.sleep(0.05)
        tail = open(self.log, errors="replace").read()[-2000:] if self.log else ""
        raise NotStarted("%s does not answer on %s:%d\n%s" % ((self.name,) + self.address + (tail,)))

    def alive(self):
        return self.process is None or self.process.poll() is None

    def stop(self):
        self.client.close()
        end_process(self.process, 5)


def start_reference(bin_dir, ini, folder, name="reference"):
    port = free_port()
    log = os.path.join(folder, "%s.log" % name)
    return Server(name, [os.path.join(bin_dir, "kinto"), "start", "--ini", ini, "--port", str(port)], port, log, ini)


def start_ours(binary, ini, folder):
    port = free_port()
    log = os.path.join(folder, "ours.log")
    return Server("ours", [binary, "start", "--ini", ini, "--port", str(port)], port, log, ini)


def installed(folder, packages, version=None):
    """The bin folder of a virtual environment with what pip is told to install; None when that cannot be had. It is kept,
    and made anew when `version` (the packages) is another."""
    version = version or " ".join(packages)
    programs, done = os.path.join(folder, "bin"), os.path.join(folder, "installed")
    if os.path.exists(done) and open(done).read() == version:
        return programs
    print("installing %s in %s" % (" ".join(packages), folder), flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    steps = ([sys.executable, "-m", "venv", folder],
             [os.path.join(programs, "pip"), "install", "--quiet", "--disable-pip-version-check", *packages])
    for step in steps:
        try:
            if subprocess.run(step, timeout=900).returncode != 0:
                return None
        except (OSError, subprocess.TimeoutExpired):
            return None
    with open(done, "w") as out:
        out.write(version)
    return programs


def has_metrics(reference):
    """Can it load kinto.plugins.prometheus? A folder that was given (PARITY_REFERENCE) may lack what that needs."""
    python = os.path.join(reference, "python")
    return subprocess.run([python, "-c", "import prometheus_client"], stderr=subprocess.DEVNULL).returncode == 0


def find_reference(scratch):
    """The bin folder of an environment that holds the reference; None, with a loud message, if there is none."""
    given = os.environ.get("PARITY_REFERENCE")
    if given:
        if os.access(os.path.join(given, "kinto"), os.X_OK):
            return given
        raise SystemExit("parity: PARITY_REFERENCE=%s holds no program named kinto" % given)
    return installed(os.path.join(scratch, "reference"), [REFERENCE, "setuptools<81", "prometheus-client"])
