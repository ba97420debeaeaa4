#!/usr/bin/env python3
"""Signs up with a real mail server (aiosmtpd) in between, by the client that people use (kinto-http).

    mail_client.py        KINTO_BIN: the server's binary

The mail server is asked for in its two ways: plain, and by STARTTLS with a login, with a certificate that
SSL_CERT_FILE makes trusted. Ends with "N passed, N failed"; the exit status is 1 when anything failed.
"""

import email
import email.policy
import os
import pathlib
import queue
import re
import socket
import ssl
import subprocess
import sys
import tempfile

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from kinto_http import Client
from kinto_http.exceptions import KintoException

INI = """[app:main]
kinto.storage_backend = kinto.core.storage.memory
kinto.includes = kinto.plugins.accounts
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy
kinto.account_create_principals = system.Everyone
kinto.account_password_cost = 4
kinto.account_validation = true
kinto.account_validation.email_sender = Kinto <kinto@example.org>
kinto.account_validation.email_subject_template = Grüße, {name}
kinto.account_validation.email_body_template = Hello {name}!
  .a line that begins with a dot, %s
  https://app.example.org/?id={id}&key={activation-key}
kinto.account_validation.email_reset_password_body_template = {reset-password}
mail.host = localhost
mail.port = %d
%s"""
LOGIN = "mail.tls = true\nmail.username = kinto\nmail.password = s3cret\n"
LONG = "long " * 300
NAME = "alice@example.org"
KEY = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")

results = []


def check(what, good):
    results.append(bool(good))
    if not good:
        print("FAIL", what)


class Mailbox:
    """What the mail server does with mails."""

    def __init__(self):
        self.mails = queue.Queue()

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.put((envelope, message, session))
        return "250 taken"

    def next(self):
        return self.mails.get(timeout=30)


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"kinto", b"s3cret"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def mail_server(folder, tls):
    if not tls:
        return Controller(Mailbox(), hostname="127.0.0.1", port=free_port())
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    os.environ["SSL_CERT_FILE"] = str(certificate)
    return Controller(Mailbox(), hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True,
                      authenticator=authenticate, auth_required=True)


def start(folder, port, more):
    ini = folder / "kinto.ini"
    ini.write_text(INI % (LONG, port, more), encoding="utf-8")
    server = subprocess.Popen([os.environ["KINTO_BIN"], "start", "--ini", ini, "--port", "0"], stdout=subprocess.PIPE,
                              text=True)
    return server, re.search(r"http://\S+", server.stdout.readline()).group(0).rstrip("/")


def refused(call):
    try:
        call()
    except KintoException as e:
        return e.response.status_code
    return None


def sign_up(url, mailbox, tls):
    anonymous, alice = Client(server_url=url), Client(server_url=url, auth=(NAME, "secret"))
    data = {"password": "secret", "email-context": {"name": "Älice\r\nBcc: all@example.org"}}
    answer, _ = anonymous.session.request("put", "/accounts/" + NAME, data=data)
    check("the account is not valid yet", answer["data"]["validated"] is False)
    check("and does not log in", "user" not in alice.server_info())

    envelope, mail, session = mailbox.next()
    text = mail.get_content().replace("\r\n", "\n")
    check("it came by TLS, if asked for", (session.ssl is not None) == tls)
    check("and by a login", session.authenticated == tls or not tls)
    check("to the account, and nobody else", envelope.rcpt_tos == [NAME] and mail["to"] == NAME and mail["bcc"] is None)
    check("from the sender", envelope.mail_from == "kinto@example.org" and mail["from"] == "Kinto <kinto@example.org>")
    check("with the subject", mail["subject"] == "Grüße, Älice")
    check("with the whole text", "\n.a line that begins with a dot, " + LONG.strip() in text and "Älice" in text)
    check("without defects", not mail.defects)
    key = re.search(r"&key=(\S+)", text).group(1)

    validate = "/accounts/%s/validate/" % NAME
    check("a wrong key", refused(lambda: anonymous.session.request("post", validate + key[::-1])) == 403)
    answer, _ = anonymous.session.request("post", validate + key)
    check("the key", answer["validated"] is True)
    check("once", refused(lambda: anonymous.session.request("post", validate + key)) == 403)
    check("the confirmation", "is now active" in mailbox.next()[1].get_content())
    alice = Client(server_url=url, auth=(NAME, "secret"))  # which remembers what the server told it
    check("the account logs in", alice.server_info()["user"]["id"] == "account:" + NAME)
    alice.create_bucket(id="mine")
    check("and writes", alice.get_bucket(id="mine")["permissions"]["write"] == ["account:" + NAME])


def forget_password(url, mailbox):
    Client(server_url=url).session.request("post", "/accounts/%s/reset-password" % NAME)
    password = KEY.search(mailbox.next()[1].get_content()).group(0)
    temporary = Client(server_url=url, auth=(NAME, password))
    check("a temporary password reads nothing", refused(lambda: temporary.get_bucket(id="mine")) == 401)
    temporary.session.request("patch", "/accounts/" + NAME, data={"password": "better"})
    check("but sets another one", Client(server_url=url, auth=(NAME, "better")).get_bucket(id="mine"))
    check("and the old one is gone", "user" not in Client(server_url=url, auth=(NAME, "secret")).server_info())


def run(folder, tls):
    controller = mail_server(folder, tls)
    controller.start()
    server, url = start(folder, controller.port, LOGIN if tls else "")
    try:
        sign_up(url, controller.handler, tls)
        forget_password(url, controller.handler)
    finally:
        server.terminate()
        check("the server ends", server.wait(timeout=10) == 0)
        controller.stop()


def main():
    with tempfile.TemporaryDirectory() as folder:
        for tls in (False, True):
            run(pathlib.Path(folder), tls)
    print("%d passed, %d failed" % (results.count(True), results.count(False)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
