"""https as users have it: `kinto init --tls-self-signed`, then Python's ssl, curl, node and kinto-http against
the server that it makes; certificates renewed while requests are under way.

    tls_client.py FOLDER     FOLDER: where the npm packages are (for node); KINTO_BIN: the binary

Ends with "N passed, N failed".
"""
import http.client
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings

import kinto_http

KINTO = os.environ["KINTO_BIN"]
RENEWALS = 10
passed = failed = 0


def check(name, fn, *arguments):
    global passed, failed
    try:
        fn(*arguments)
        passed += 1
    except Exception:
        failed += 1
        print("FAIL", name)
        traceback.print_exc()


class Server:
    """A server on a certificate of its own; `port` speaks https, `plain` sends there."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="kinto-tls-")
        self.make_certificate(self.dir)
        self.certificate = os.path.join(self.dir, "kinto-certificate.pem")
        env = dict(
            os.environ,
            KINTO_SERVER_LISTEN="127.0.0.1:0",
            KINTO_SERVER_REDIRECT_LISTEN="127.0.0.1:0",
            KINTO_TLS_HSTS_SECONDS="600",
            KINTO_BUCKET_CREATE_PRINCIPALS="system.Authenticated",
            MULTIAUTH_POLICIES="basicauth",
            KINTO_MULTIAUTH_POLICY_BASICAUTH_USE="kinto.core.authentication.BasicAuthAuthenticationPolicy",
        )
        self.log = open(os.path.join(self.dir, "log"), "w+")
        self.process = subprocess.Popen(
            [KINTO, "start", "--ini", os.path.join(self.dir, "kinto.ini"), "--data", os.path.join(self.dir, "data")],
            env=env, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )
        line = self.process.stdout.readline()
        found = re.search(r"https://127.0.0.1:(\d+)/v1/ and http://127.0.0.1:(\d+)/", line)
        assert found, line
        self.port, self.plain = int(found[1]), int(found[2])
        self.url = "https://127.0.0.1:%d/v1" % self.port

    def make_certificate(self, folder):
        subprocess.run([KINTO, "init", "--ini", os.path.join(folder, "kinto.ini"), "--tls-self-signed"],
                       check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)

    def renew(self, also_trust):
        """New files in the place of the old ones; the certificate is added to the file `also_trust`."""
        with tempfile.TemporaryDirectory() as folder:
            self.make_certificate(folder)
            with open(os.path.join(folder, "kinto-certificate.pem")) as new, open(also_trust, "a") as trusted:
                trusted.write(new.read())
            for name in ("kinto-key.pem", "kinto-certificate.pem"):
                shutil.move(os.path.join(folder, name), os.path.join(self.dir, name))
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0
        self.log.seek(0)
        log = self.log.read()
        assert "ERROR" not in log, log
        shutil.rmtree(self.dir)


def context(server, **wishes):
    c = ssl.create_default_context(cafile=server.certificate)
    c.verify_flags |= ssl.VERIFY_X509_STRICT
    for key, value in wishes.items():
        setattr(c, key, value)
    return c


def connect(server, c=None):
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=c or context(server), timeout=20)
    connection.connect()
    return connection


def get(connection, path="/v1/"):
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer, answer.read()


def python_trusts_and_asks(server):
    c = context(server)
    c.set_alpn_protocols(["h2", "http/1.1"])
    connection = connect(server, c)
    assert connection.sock.version() in ("TLSv1.2", "TLSv1.3"), connection.sock.version()
    assert connection.sock.selected_alpn_protocol() == "http/1.1"
    assert "GCM" in connection.sock.cipher()[0] or "CHACHA20" in connection.sock.cipher()[0]
    for _ in range(20):
        answer, body = get(connection)
        assert answer.status == 200 and b'"project_name"' in body
        assert answer.headers["Strict-Transport-Security"] == "max-age=600"
    connection.close()


def python_knows_other_hosts(server):
    """The certificate is for 127.0.0.1, and not for whatever else resolves there."""
    raw = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=20).connect
    try:
        raw()
    except ssl.SSLCertVerificationError:
        return
    raise AssertionError("a stranger trusts it")


def python_refuses_to_be_old(server):
    warnings.simplefilter("ignore", DeprecationWarning)
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        c = context(server, minimum_version=version, maximum_version=version)
        c.set_ciphers("ALL:@SECLEVEL=0")
        try:
            connect(server, c)
        except (ssl.SSLError, ConnectionError):
            continue
        raise AssertionError("%s was served" % version)


def python_comes_back(server):
    """A session is taken up again, on whichever loop the connection lands."""
    c = context(server, maximum_version=ssl.TLSVersion.TLSv1_2)
    first = connect(server, c)
    get(first)
    session = first.sock.session
    for _ in range(8):
        again = c.wrap_socket(socket.create_connection(("127.0.0.1", server.port)),
                              server_hostname="127.0.0.1", session=session)
        assert again.session_reused
        again.close()
    first.close()


def curl(*arguments):
    return subprocess.run(["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, text=True)


def curl_asks(server):
    got = curl("--cacert", server.certificate, "-w", "%{http_code}", "-o", "/dev/null", server.url + "/")
    assert got.stdout == "200", got
    got = curl("-w", "%{http_code}", server.url + "/")
    assert got.returncode == 60, got # not trusted
    got = curl("--cacert", server.certificate, "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0", server.url + "/")
    assert got.returncode == 35, got # no handshake


def curl_is_sent_to_https(server):
    plain = "http://127.0.0.1:%d/v1/" % server.plain
    got = curl("--cacert", server.certificate, "-L", "-w", "%{http_code} %{url_effective}", "-o", "/dev/null", plain)
    assert got.stdout == "200 %s/" % server.url, got
    got = curl("--cacert", server.certificate, "-L", "-u", "curl:pw", "--location-trusted", "-X", "PUT", "-d", "{}",
               "-H", "Content-Type: application/json", "-w", "%{http_code}", "-o", "/dev/null", plain + "buckets/curl")
    assert got.stdout == "201", got
    got = curl("-w", "%{http_code}", "http://127.0.0.1:%d/v1/" % server.port)
    assert got.stdout.endswith("400") and "https" in got.stdout, got


def node_asks(server, folder):
    script = """
      const https = require('https'), fs = require('fs');
      const agent = new https.Agent({keepAlive: true, ca: fs.readFileSync(process.argv[1])});
      let left = 20;
      const next = () => https.get(process.argv[2], {agent}, (r) => {
        if (r.statusCode !== 200) process.exit(3);
        r.resume();
        r.on('end', () => { if (--left) next(); else process.exit(0); });
      }).on('error', (e) => { console.error(e); process.exit(4); });
      next();
    """
    got = subprocess.run(["node", "-e", script, server.certificate, server.url + "/"], capture_output=True, text=True,
                         cwd=folder, timeout=60)
    assert got.returncode == 0, got


def kinto_http_works(server):
    os.environ["REQUESTS_CA_BUNDLE"] = server.certificate
    client = kinto_http.Client(server_url=server.url, auth=("tls", "pw"))
    client.create_bucket(id="b")
    client.create_collection(id="c", bucket="b")
    for i in range(30):
        client.create_record(data={"n": i}, bucket="b", collection="c")
    assert len(client.get_records(bucket="b", collection="c")) == 30


def connect_trusting(server, trusted):
    """Whoever has read the file just before a renewal does not know the new certificate yet: he reads it again."""
    try:
        return connect(server, ssl.create_default_context(cafile=trusted))
    except ssl.SSLCertVerificationError:
        return connect(server, ssl.create_default_context(cafile=trusted))


def renewals_are_not_noticed(server):
    """Clients that keep their connections, and those that come anew all the time, while certificates are replaced."""
    trusted = os.path.join(server.dir, "trusted.pem")
    shutil.copy(server.certificate, trusted)
    done = threading.Event()
    troubles, rounds = [], [0] * 8

    def ask(i):
        connection = None
        try:
            while not done.is_set() or rounds[i] < 3:
                if connection is None:
                    connection = connect_trusting(server, trusted)
                answer, _ = get(connection)
                assert answer.status == 200
                rounds[i] += 1
                if i % 2:
                    connection.close()
                    connection = None
        except Exception as e:
            troubles.append((i, repr(e)))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(rounds))]
    for t in threads:
        t.start()
    serials = set()
    for _ in range(RENEWALS):
        server.renew(trusted)
        # Until the new one is answered: the next renewal shall find it in use.
        with open(server.certificate) as f:
            want = ssl.PEM_cert_to_DER_cert(f.read())
        for _ in range(10000):
            connection = connect(server, ssl.create_default_context(cafile=trusted))
            got = connection.sock.getpeercert(True)
            connection.close()
            if got == want:
                break
        assert got == want
        serials.add(got)
    done.set()
    for t in threads:
        t.join()
    assert not troubles, troubles
    assert len(serials) == RENEWALS and min(rounds) >= 3, (len(serials), rounds)


def main():
    server = Server()
    try:
        check("Python asks", python_trusts_and_asks, server)
        check("Python does not trust", python_knows_other_hosts, server)
        check("Python with old versions", python_refuses_to_be_old, server)
        check("Python comes back", python_comes_back, server)
        check("curl asks", curl_asks, server)
        check("curl is sent to https", curl_is_sent_to_https, server)
        check("node asks", node_asks, server, sys.argv[1])
        check("kinto-http", kinto_http_works, server)
        check("renewals", renewals_are_not_noticed, server)
    finally:
        check("the server ends", server.stop)
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
