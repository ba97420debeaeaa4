"""Who is measured: how each is set up, started on one core, and stopped.

A contestant is a context manager. Inside of it `port` answers HTTP, `pids()` are all of its processes,
and everything that it writes is in a folder of its own, which goes with it.
"""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "parity"))

from profiles import LOGGING  # noqa: E402
from servers import REFERENCE, end_process, free_port, installed  # noqa: E402

from names import FILES, MEMORY, OURS, POSTGRES  # noqa: E402
from process import family, wait_until  # noqa: E402

SETTINGS = """[app:main]
use = egg:kinto
multiauth.policies = basicauth
kinto.userid_hmac_secret = of-a-benchmark
{settings}
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
"""


def ini_text(settings, port):
    return SETTINGS.format(settings=settings, port=port) + LOGGING


class Contestant:
    """One process (and its children) on one core."""

    name = None
    durable = False  # does it store on disk what it has answered?
    static = False  # does it send files, whatever is asked?
    may_fail = False  # some requests, under load: that is told, and they count all the same

    def __init__(self, scratch, core):
        self.scratch, self.core = scratch, core
        self.process = None

    def pinned(self, argv):
        return ["taskset", "-c", self.core] + argv

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="bench-", dir=self.scratch)
        os.chmod(self.dir, 0o711)
        self.port = free_port()
        try:
            self.start()
            wait_until(self.answers, 60, self.name + " answers")
        except BaseException:
            self.__exit__()
            raise
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise SystemExit("bench: %s has ended; see %s" % (self.name, self.dir))
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def run(self, argv, **more):
        log = open(os.path.join(self.dir, "log"), "ab")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KINTO_") or k == "KINTO_SERVER_USER"}
        self.process = subprocess.Popen(self.pinned(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        cwd=self.dir, env=environment, **more)
        log.close()

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def pids(self):
        return family(self.process.pid)

    def __exit__(self, *_):
        end_process(self.process, 20)
        shutil.rmtree(self.dir, ignore_errors=True)


class Ours(Contestant):
    """One loop, as the others have one process, unless told otherwise."""

    name = "kinto"
    loops = 1
    settings = ""
    data = None  # a folder that is there already

    def start(self):
        settings = "kinto.server.loops = %d\nkinto.index.bench.indexed = group+rank\n%s" % (self.loops, self.settings)
        ini = self.write("kinto.ini", ini_text(settings, self.port))
        where = ["--data", self.data or os.path.join(self.dir, "data")] if self.durable else ["--memory"]
        self.run([os.environ["KINTO_BIN"], "start", "--ini", ini, "--port", str(self.port), "-q"] + where)


class OursDurable(Ours):
    name = OURS
    durable = True


class Reference(Contestant):
    name = MEMORY
    settings = "\n".join("kinto.%s_backend = kinto.core.%s.memory" % (x, x) for x in ("storage", "permission", "cache"))
    packages = [REFERENCE, "setuptools<81"]

    @classmethod
    def programs(cls, scratch):
        """The folder of its programs; None: it cannot be had."""
        return installed(os.path.join(scratch, "reference"), Reference.packages + ReferencePostgres.packages)

    def start(self):
        ini = self.write("kinto.ini", ini_text(self.settings, self.port))
        program = os.path.join(self.programs(self.scratch), "kinto")
        if self.durable:
            subprocess.run([program, "migrate", "--ini", ini], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        self.run([program, "start", "--ini", ini, "--port", str(self.port)])


class ReferencePostgres(Reference):
    """The database has the same core as the server: both are what an operation costs."""

    name = POSTGRES
    durable = True
    may_fail = True  # writes that meet
    packages = ["psycopg2-binary", "zope.sqlalchemy", "sqlalchemy<2.1"]

    @staticmethod
    def postgres_programs():
        """The folder of initdb and postgres; None: it is not installed."""
        root = "/usr/lib/postgresql"
        versions = sorted(os.listdir(root), key=int) if os.path.isdir(root) else []
        return os.path.join(root, versions[-1], "bin") if versions else None

    def as_owner(self):
        """PostgreSQL refuses to be root."""
        if os.geteuid() != 0:
            return {}
        owner = pwd.getpwnam("postgres")
        return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    def start(self):
        programs, more = self.postgres_programs(), self.as_owner()
        data = os.path.join(self.dir, "postgres")
        os.mkdir(data, 0o700)
        if more:
            os.chown(data, more["user"], more["group"])
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run([os.path.join(programs, "initdb"), "-D", data, "-U", "kinto", "-A", "trust", "-E", "UTF8",
                        "--locale=C"], check=True, **quiet, **more)
        port = free_port()
        self.postgres = subprocess.Popen(
            self.pinned([os.path.join(programs, "postgres"), "-D", data, "-h", "127.0.0.1", "-p", str(port),
                         "-k", data]), **quiet, **more)
        ready = [os.path.join(programs, "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_until(lambda: subprocess.run(ready).returncode == 0, 60, "PostgreSQL")
        url = "postgresql://kinto@127.0.0.1:%d/postgres" % port
        self.settings = "\n".join("kinto.%s_backend = kinto.core.%s.postgresql\nkinto.%s_url = %s" % (x, x, x, url)
                                  for x in ("storage", "permission", "cache"))
        super().start()

    def pids(self):
        return super().pids() + family(self.postgres.pid)

    def __exit__(self, *_):
        postgres = getattr(self, "postgres", None)
        if self.process is not None:
            self.process.terminate()
        if postgres is not None:
            postgres.send_signal(signal.SIGINT)
            postgres.wait(30)
        super().__exit__()


NGINX = """worker_processes 1;
daemon off;
pid {dir}/pid;
error_log {dir}/error;
{user}
events {{ worker_connections 16384; use epoll; }}
http {{
    access_log off;
    sendfile on;
    tcp_nodelay on;
    keepalive_timeout 600;
    keepalive_requests 1000000000;
    default_type application/json;
    open_file_cache max=64;
    {temp}
    server {{ listen 127.0.0.1:{port}; root {dir}/files; }}
}}
"""


class Nginx(Contestant):
    """Files of the size of our answers: what reading can cost at best. `files`: name -> bytes."""

    name = FILES
    static = True
    files = {}

    @staticmethod
    def program():
        return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

    def start(self):
        os.mkdir(os.path.join(self.dir, "files"))
        for name, content in self.files.items():
            with open(os.path.join(self.dir, "files", name), "wb") as f:
                f.write(content)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temp = " ".join("%s_temp_path %s/%s;" % (kind, self.dir, kind) for kind in kinds)
        user = "user root;" if os.geteuid() == 0 else ""
        conf = self.write("nginx.conf", NGINX.format(dir=self.dir, port=self.port, temp=temp, user=user))
        self.run([self.program(), "-c", conf, "-p", self.dir])


def sync_loop(folder, n_bytes, seconds):
    """Appends and fdatasyncs a second: what storing on this disk can cost at best, one after the other."""
    path = os.path.join(folder, "sync-loop")
    block = b"x" * n_bytes
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        begin, n = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            os.write(fd, block)
            os.fdatasync(fd)
            n += 1
        return n / (time.perf_counter() - begin)
    finally:
        os.close(fd)
        os.unlink(path)
