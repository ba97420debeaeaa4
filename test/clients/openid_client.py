#!/usr/bin/env python3
"""Logs in to a server by a real OpenID Connect provider (openid_provider.mjs), and uses what it gets.

    openid_client.py CLIENTS      CLIENTS: the folder of node_modules; KINTO_BIN: the server's binary

With REFERENCE=1, KINTO_BIN is the reference's, and what this project does on purpose in another way is
left out. Ends with "N passed, N failed"; the exit status is 1 when anything failed.
"""

import base64
import concurrent.futures
import http.cookiejar
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
REFERENCE = bool(os.environ.get("REFERENCE"))
AUDIENCE = "https://api.example"
CALLBACK = "http://localhost:1/page#tokens="
SCOPE = "openid email profile"
INI = """[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = %d
[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = INFO
handlers =
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.includes = kinto.plugins.openid
kinto.userid_hmac_secret = a secret of the test
kinto.bucket_create_principals = system.Authenticated
multiauth.policies = plain api mail basicauth
multiauth.policy.basicauth.use = kinto.core.authentication.BasicAuthAuthenticationPolicy
"""
POLICY = """multiauth.policy.{0}.use = kinto.plugins.openid.OpenIDConnectPolicy
multiauth.policy.{0}.issuer = {1}
multiauth.policy.{0}.client_id = {2}
multiauth.policy.{0}.client_secret = s3cret
"""

passed = failed = 0


def check(what, got, want=True):
    global passed, failed
    if got == want:
        passed += 1
        return
    failed += 1
    print(f"FAIL {what}\n     got  {got!r:.400}\n     want {want!r:.400}", flush=True)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def ask(url, headers=None, body=None, opener=urllib.request.build_opener(NoRedirect), method=None):
    """(status, headers, text) of one answer, whatever it is."""
    request = urllib.request.Request(url, headers=headers or {}, data=body, method=method)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode()


def first_line(process, pattern):
    """What the pattern finds in the process's output; the run ends when there is none in time."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        line = process.stdout.readline().decode()
        found = re.search(pattern, line)
        if found:
            return found.group(0)
        if not line:
            break
    sys.exit(f"{process.args[0]} did not start\n0 passed, 1 failed")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Run:
    def __init__(self, clients, folder):
        self.provider = subprocess.Popen(["node", HERE / "openid_provider.mjs"], stdout=subprocess.PIPE,
                                         env=dict(os.environ, NODE_PATH_DIR=clients), stderr=subprocess.DEVNULL)
        self.issuer = first_line(self.provider, r"^http://\S+")
        ini = pathlib.Path(folder, "kinto.ini")
        port = free_port()
        ini.write_text(INI % port + POLICY.format("plain", self.issuer, "kinto") +
                       POLICY.format("api", self.issuer, "kinto-api") +
                       f"multiauth.policy.api.audience = {AUDIENCE}\nmultiauth.policy.api.header_type = Bearer+api\n" +
                       POLICY.format("mail", self.issuer, "kinto") +
                       "multiauth.policy.mail.header_type = Bearer+mail\nmultiauth.policy.mail.userid_field = email\n")
        self.log = pathlib.Path(folder, "log")
        self.url = f"http://127.0.0.1:{port}/v1"
        self.server = subprocess.Popen([os.environ["KINTO_BIN"], "start", "--ini", ini, "--port", str(port)] +
                                       ([] if REFERENCE else ["-v"]), stderr=self.log.open("w"),
                                       stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                ask(self.url + "/")
                return
            except OSError:
                time.sleep(0.05)
        sys.exit("the server did not start\n0 passed, 1 failed")

    def login(self, name):
        """The browser's part: the provider's answer as the page gets it, and the state."""
        cookies = urllib.request.build_opener(
            NoRedirect, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        url = f"{self.url}/openid/{name}/login?" + urllib.parse.urlencode({"callback": CALLBACK, "scope": SCOPE})
        token_url = None
        for _ in range(10):
            status, headers, text = ask(url, opener=cookies)
            if status not in (302, 303, 307):
                check(f"{name}: a redirect", (status, text), 307)
                return {}, None
            url = urllib.parse.urljoin(url, headers["Location"])
            if f"/openid/{name}/token?" in url:
                token_url = url
            if url.startswith(CALLBACK):
                coded = urllib.parse.unquote(url[len(CALLBACK):])
                return json.loads(base64.b64decode(coded)), token_url
        check(f"{name}: an end of redirects", url, CALLBACK)
        return {}, None

    def user(self, scheme, token):
        """Who the server thinks that is; None: a stranger."""
        status, _, text = ask(self.url + "/", {"Authorization": f"{scheme} {token}"})
        if status != 200:
            return status
        return json.loads(text).get("user", {}).get("id")

    def counts(self, path):
        return json.loads(ask(self.issuer + "/test/counts")[2]).get(path, 0)

    def sign(self, alg, kid=None, **claims):
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now + 600, **claims}
        body = json.dumps({"alg": alg, "kid": kid, "claims": claims}).encode()
        return ask(self.issuer + "/test/sign", body=body)[2]

    def stop(self):
        begin = time.monotonic()
        self.server.send_signal(signal.SIGTERM)
        status = self.server.wait(30)
        if not REFERENCE:
            check("the server ends well", (status, time.monotonic() - begin < 3), (0, True))
        self.provider.kill()
        self.provider.wait()


def try_capability(run):
    deadline = time.monotonic() + 20
    while True:
        capability = json.loads(ask(run.url + "/")[2])["capabilities"]["openid"]
        if all("userinfo_endpoint" in p for p in capability["providers"]) or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    want = [{"name": name, "issuer": run.issuer, "auth_path": f"/openid/{name}/login", "client_id": client,
             "audience": audience, "header_type": "Bearer" if REFERENCE else kind,
             "userinfo_endpoint": run.issuer + "/me"}
            for name, client, audience, kind in (("plain", "kinto", "", "Bearer"),
                                                 ("api", "kinto-api", AUDIENCE, "Bearer+api"),
                                                 ("mail", "kinto", "", "Bearer+mail"))]
    check("capability", capability["providers"], want)


def try_login(run):
    plain, token_url = run.login("plain")
    check("what the page gets", sorted(plain), ["access_token", "expires_in", "id_token", "scope", "token_type"])
    status, _, text = ask(token_url)
    check("a state is good once", (status, json.loads(text)["message"]), (400, "Invalid state"))
    query = urllib.parse.urlencode({"callback": CALLBACK, "scope": SCOPE, "prompt": "none"})
    status, headers, _ = ask(f"{run.url}/openid/plain/login?{query}")
    sent = urllib.parse.parse_qs(urllib.parse.urlsplit(headers["Location"]).query)
    check("the provider is told", {k: v[0] for k, v in sent.items() if k != "state"},
          {"client_id": "kinto", "response_type": "code", "scope": SCOPE, "prompt": "none",
           "redirect_uri": run.url + "/openid/plain/token"})
    # Nobody is logged in there, without a cookie: the provider's error goes to the page.
    status, headers, _ = ask(headers["Location"])
    status, headers, _ = ask(headers["Location"])
    check("the page is told of an error", (status, headers["Location"].split("&")[0]),
          (307, CALLBACK + "error=login_required"))
    return plain


def try_opaque(run, tokens):
    access = tokens["access_token"]
    check("an access token", run.user("Bearer", access), "plain:alice")
    check("in any case", run.user("bearer", access), "plain:alice")
    check("another user id", run.user("Bearer+mail", access), "mail:alice@example.org")
    check("not a token", run.user("Bearer", access + "x"), None)
    check("not for that policy", run.user("Bearer+api", access), None)
    header = {"Authorization": f"Bearer {access}"}
    profile = json.loads(ask(run.url + "/", header)[2])["user"]["profile"]
    check("the profile", (profile["sub"], profile["email"], profile["name"]), ("alice", "alice@example.org", "Alice"))
    status, _, text = ask(run.url + "/buckets/b", header, method="PUT")
    check("write", (status, json.loads(text)["permissions"]["write"]), (201, ["plain:alice"]))
    check("others may not read", ask(run.url + "/buckets/b", {"Authorization": f"Bearer+mail {access}"})[0], 403)
    status, headers, _ = ask(run.url + "/buckets/b")
    challenges = ", ".join(headers.get_all("WWW-Authenticate"))
    check("strangers are told how", (status, challenges),
          (401, ", ".join(f'{k} realm="Realm"' for k in ("Bearer", "Bearer+api", "Bearer+mail", "Basic"))))


def try_flood(run):
    """A hundred requests with a token that was never seen: the provider is asked once."""
    tokens, _ = run.login("plain")
    before = run.counts("/me")
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        users = list(pool.map(lambda i: run.user("Bearer", tokens["access_token"]), range(100)))
    check("all of them are known", set(users), {"plain:alice"})
    check("one question", run.counts("/me") - before, 1)


def try_signed(run, tokens):
    check("an identity token", run.user("Bearer", tokens["id_token"]), "plain:alice")
    check("by its e-mail address", run.user("Bearer+mail", run.sign("RS256", aud="kinto", email="a@b.example")),
          "mail:a@b.example")
    api, _ = run.login("api")
    before = run.counts("/me")
    check("a signed access token", run.user("Bearer+api", api["access_token"]), "api:alice")
    check("it is not for the client", run.user("Bearer+api", api["id_token"]), None)
    check("elsewhere it is not known", run.user("Bearer", api["access_token"]), None)
    for alg in ("RS256", "ES256"):
        check(f"signed with {alg}", run.user("Bearer+api", run.sign(alg, sub="bob")), "api:bob")
    now = int(time.time())
    good = run.sign("ES256")
    head, body, signature = good.split(".")
    other = run.sign("ES256", sub="mallory").split(".")
    bad = {
        "another audience": run.sign("RS256", aud="https://other.example"),
        "audiences for another": run.sign("RS256", aud=[AUDIENCE, "kinto"]),
        "another issuer": run.sign("RS256", iss="http://127.0.0.1:1"),
        "expired": run.sign("RS256", exp=now - 60),
        "not yet": run.sign("RS256", nbf=now + 600),
        "without an end": run.sign("RS256", exp=None),
        "an unknown key": run.sign("RS256", kid="nobody"),
        "another kind of key": run.sign("RS256", kid="key-ES256"),
        "another's signature": ".".join((head, other[1], signature)),
        "no signature": ".".join((head, body, "")),
    }
    for what, token in bad.items():
        check(what, run.user("Bearer+api", token), None)
    check("nobody was asked but for two", run.counts("/me") - before <= 2)
    # The provider has ten seconds of grace for clocks that differ.
    short = run.sign("ES256", exp=int(time.time()) - 7)
    check("it is good as long as it lasts", run.user("Bearer+api", short), "api:alice")
    time.sleep(4.5)
    check("and not remembered longer", run.user("Bearer+api", short), None)


def try_mixed_up(run):
    """A state belongs to the provider that it was made for."""
    query = urllib.parse.urlencode({"callback": CALLBACK, "scope": SCOPE})
    headers = ask(f"{run.url}/openid/plain/login?{query}")[1]
    state = urllib.parse.parse_qs(urllib.parse.urlsplit(headers["Location"]).query)["state"][0]
    status, _, text = ask(f"{run.url}/openid/api/token?state={state}&code=1")
    check("a state for another provider", (status, json.loads(text)["message"]), (400, "Invalid state"))


def main():
    with tempfile.TemporaryDirectory() as folder:
        run = Run(os.path.abspath(sys.argv[1]), folder)
        secrets = []
        try:
            try_capability(run)
            tokens = try_login(run)
            secrets = [tokens["access_token"], tokens["id_token"]]
            try_opaque(run, tokens)
            if not REFERENCE:
                try_flood(run)
                try_signed(run, tokens)
                try_mixed_up(run)
        finally:
            run.stop()
        log = run.log.read_text()
        if not REFERENCE:
            check("no secret in the log", [s for s in secrets + ["s3cret"] if s in log], [])
            check("no error in the log", [line for line in log.splitlines() if " ERROR " in line], [])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
