#!/usr/bin/env python3
"""The tester tested: the reference against itself must show nothing, and against a proxy that spoils one thing in its
answers (or in what it is asked) each spoilt thing must be found, and cut down to a few requests.

    selftest.py [--requests N] [NAME ...]

Exit status 1 when a mutation survives.
"""

import argparse
import email.utils
import json
import os
import re
import socket
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True

import metrics
import parity
from generate import basic
from profiles import PROFILES
from servers import Client, Server, find_reference, start_reference


class Message:
    """A request or an answer on its way through the proxy."""

    def __init__(self, method, target, headers, body, status=None):
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.status = status

    def get(self, name):
        return next((v for k, v in self.headers if k.lower() == name), None)

    def drop(self, name):
        self.headers = [h for h in self.headers if h[0].lower() != name]

    def change(self, name, function):
        self.headers = [(k, function(v)) if k.lower() == name else (k, v) for k, v in self.headers]

    def json(self, function):
        try:
            value = json.loads(self.body)
        except ValueError:
            return
        value = function(value) or value
        self.body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def answer_mutation(test, change):
    def mutate(request, answer):
        if test(request, answer):
            change(answer)
    return (None, mutate)


def request_mutation(change):
    return (change, None)


def is_list(request, answer):
    return answer.status == 200 and request.method == "GET" and b'{"data":[' in answer.body[:9]


def swap(value):
    if isinstance(value.get("data"), list) and len(value["data"]) > 1:
        value["data"][0], value["data"][1] = value["data"][1], value["data"][0]


def drop_tombstones(value):
    value["data"] = [o for o in value["data"] if not o.get("deleted")]


def drop_query(name):
    def change(request):
        path, _, query = request.target.partition("?")
        rest = [p for p in query.split("&") if not p.startswith(name)]
        request.target = path + ("?" + "&".join(rest) if rest and rest != [""] else "")
    return change


def drop_header(name):
    return lambda request: request.drop(name)


def older(stamp):
    return re.sub(r"\d{13}", lambda m: str(int(m.group(0)) - 1000), stamp)


def one_second_on(value):
    return email.utils.formatdate(email.utils.parsedate_to_datetime(value).timestamp() + 1, usegmt=True)


def leak(value):
    if value.get("permissions") == {}:
        value["permissions"] = {"write": ["basicauth:leaked"]}


def renumber(value):
    value["errno"] += 1


def reword(value):
    if "message" in value:
        value["message"] += "."


def first_part(change):
    def whole(value):
        for part in value.get("responses", ())[:1]:
            change(part)
    return whole


def forget_null(value):
    def walk(v):
        if isinstance(v, dict):
            return {k: walk(x) for k, x in v.items() if x is not None}
        return [walk(x) for x in v] if isinstance(v, list) else v
    return walk(value)


def floats(value):
    def walk(v):
        if isinstance(v, dict):
            return {k: walk(x) for k, x in v.items()}
        if isinstance(v, list):
            return [walk(x) for x in v]
        return int(v) if isinstance(v, float) and v == int(v) else v
    return walk(value)


def entries(change):
    """Spoils the newest entry of a history, if all of it is there."""
    def whole(value):
        for entry in value.get("data", ())[:1]:
            if {"data", "permissions"} <= set(entry.get("target", ())):
                change(entry)
    return whole


def status(number):
    def change(answer):
        answer.status = number
    return change


HISTORY = lambda q, a: "/history" in q.target and a.status == 200 and q.method == "GET"  # noqa: E731
OK_BATCH = lambda q, a: q.target.startswith("/v1/batch") and a.status == 200  # noqa: E731

def shows_password(request, answer):
    return request.method == "GET" and answer.status == 200 and b'"data":{' in answer.body and b'"$2b$' in answer.body


def salted_anew(value):
    value["data"]["password"] = "$2b$04$%053d" % time.monotonic_ns()


MUTATIONS = {
    "no etag on patch": answer_mutation(lambda q, a: q.method == "PATCH" and a.status == 200, lambda a: a.drop("etag")),
    "etag unquoted": answer_mutation(lambda q, a: a.status == 304, lambda a: a.change("etag", lambda v: v.strip('"'))),
    "last-modified off": answer_mutation(lambda q, a: a.get("last-modified"), lambda a: a.change("last-modified", one_second_on)),
    "older stamps": answer_mutation(lambda q, a: q.method == "GET" and a.status == 200 and not is_list(q, a), lambda a: a.change("etag", older)),
    "order of a list": answer_mutation(is_list, lambda a: a.json(swap)),
    "no tombstones": answer_mutation(is_list, lambda a: a.json(drop_tombstones)),
    "201 is 200": answer_mutation(lambda q, a: q.method == "PUT" and a.status == 201, status(200)),
    "403 is 404": answer_mutation(lambda q, a: a.status == 403, status(404)),
    "permissions shown": answer_mutation(lambda q, a: a.status == 200 and q.method == "GET", lambda a: a.json(leak)),
    "wrong errno": answer_mutation(lambda q, a: a.status == 412 and q.method != "HEAD", lambda a: a.json(renumber)),
    "reworded": answer_mutation(lambda q, a: a.status == 400, lambda a: a.json(reword)),
    "total off by one": answer_mutation(lambda q, a: a.get("total-records"), lambda a: a.change("total-records", lambda v: str(int(v) + 1))),
    "no next-page": answer_mutation(lambda q, a: a.get("next-page") and q.method == "GET", lambda a: a.drop("next-page")),
    "next-page forgets": answer_mutation(lambda q, a: a.get("next-page"), lambda a: a.change("next-page", lambda v: re.sub(r"_sort=[^&]*&", "", v))),
    "cors header missing": answer_mutation(lambda q, a: q.get("origin") and a.status == 200, lambda a: a.drop("access-control-allow-origin")),
    "exposes less": answer_mutation(is_list, lambda a: a.change("access-control-expose-headers", lambda v: v.replace("Next-Page", "Alert"))),
    "no allow": answer_mutation(lambda q, a: a.status == 405, lambda a: a.drop("allow")),
    "no nosniff": answer_mutation(lambda q, a: a.status == 404, lambda a: a.drop("x-content-type-options")),
    "cache-control": answer_mutation(lambda q, a: a.get("cache-control"), lambda a: a.change("cache-control", lambda v: "no-cache")),
    "nulls lost": answer_mutation(lambda q, a: a.status in (200, 201) and q.method in ("GET", "PUT"), lambda a: a.json(forget_null)),
    "1.0 is 1": answer_mutation(lambda q, a: a.status in (200, 201), lambda a: a.json(floats)),
    "part status": answer_mutation(OK_BATCH, lambda a: a.json(first_part(lambda p: p.update(status=p["status"] + 1)))),
    "part path": answer_mutation(OK_BATCH, lambda a: a.json(first_part(lambda p: p.update(path=p["path"][3:])))),
    "part header": answer_mutation(OK_BATCH, lambda a: a.json(first_part(lambda p: p["headers"].pop("ETag", None)))),
    "details lost": answer_mutation(lambda q, a: a.status == 412 and a.body, lambda a: a.json(lambda v: v.pop("details", None) and None)),
    "if-match ignored": request_mutation(drop_header("if-match")),
    "if-none-match ignored": request_mutation(drop_header("if-none-match")),
    "response-behavior ignored": request_mutation(drop_header("response-behavior")),
    "accept ignored": request_mutation(drop_header("accept")),
    "sort ignored": request_mutation(drop_query("_sort=")),
    "fields ignored": request_mutation(drop_query("_fields=")),
    "since ignored": request_mutation(drop_query("_since=")),
    "before ignored": request_mutation(drop_query("_before=")),
    "contains_any ignored": request_mutation(drop_query("contains_any_")),
    "exclude ignored": request_mutation(drop_query("exclude_")),
    "min ignored": request_mutation(drop_query("min_")),
    "delete stamp ignored": request_mutation(lambda q: drop_query("last_modified=")(q) if q.method == "DELETE" else None),
    "merge is plain": request_mutation(lambda q: q.change("content-type", lambda v: v.replace("merge-patch+", ""))),
    "slash kept": request_mutation(lambda q: setattr(q, "target", q.target[:-1]) if q.target.endswith("s/") else None),
    "token ignored": request_mutation(drop_query("_token=")),
    "password as it was sent": answer_mutation(shows_password, lambda a: a.json(lambda v: v["data"].update(password="pw"))),
    "another salt each time": answer_mutation(shows_password, lambda a: a.json(salted_anew)),
    "history: no user": answer_mutation(HISTORY, lambda a: a.json(entries(lambda e: e.update(user_id=None)))),
    "history: no rights": answer_mutation(HISTORY, lambda a: a.json(entries(lambda e: e["target"].update(permissions={})))),
    "history: wrong action": answer_mutation(HISTORY, lambda a: a.json(entries(lambda e: e.update(action="update")))),
    "history: old target": answer_mutation(HISTORY, lambda a: a.json(entries(lambda e: e["target"]["data"].update(last_modified=1)))),
    "history: no date": answer_mutation(HISTORY, lambda a: a.json(entries(lambda e: e.update(date="2026-11-22")))),
    "history: shown to all": request_mutation(lambda q: q.change("authorization", lambda v: basic("alice")) if "/history" in q.target else None),
    "snapshot of now": request_mutation(lambda q: setattr(q, "target", re.sub(r"(/snapshot/.*@).*", r"\g<1>9999999999999", q.target))),
}
PROFILE_OF = {"cache-control": "cache", "password as it was sent": "accounts", "another salt each time": "accounts"}  # the others: default


def profile_of(name):
    return "history" if name.startswith(("history", "snapshot")) else PROFILE_OF.get(name, "default")


class Proxy:
    """Listens, forwards to one server over one connection at a time, and spoils."""

    def __init__(self, behind, mutation):
        self.client = Client(*behind)
        self.ask, self.reply = mutation
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock:
                self.connection(sock)

    def connection(self, sock):
        rest = b""
        while True:
            try:
                request, rest = self.read(sock, rest)
                sock.sendall(self.forward(request))
            except OSError:
                return

    @staticmethod
    def read(sock, rest):
        def more():
            data = sock.recv(65536)
            if not data:
                raise OSError("closed")
            return data
        while b"\r\n\r\n" not in rest:
            rest += more()
        head, rest = rest.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        message = Message(method, target, [tuple(h.split(": ", 1)) if ": " in h else (h.rstrip(":"), "") for h in lines[1:]], None)
        length = message.get("content-length")
        if length is not None:
            while len(rest) < int(length):
                rest += more()
            message.body, rest = rest[: int(length)], rest[int(length):]
        return message, rest

    def forward(self, request):
        if self.ask:
            self.ask(request)
        headers = [h for h in request.headers if h[0].lower() not in ("host", "content-length")]
        self.client.send(request.method, request.target, headers, request.body)
        got = self.client.receive()
        answer = Message(request.method, request.target, list(got.headers), got.body, got.status)
        if self.reply:
            self.reply(request, answer)
        if answer.body != got.body:
            answer.change("content-length", lambda v: str(len(answer.body)))
        head = "HTTP/1.1 %d x\r\n%s\r\n\r\n" % (answer.status, "\r\n".join("%s: %s" % h for h in answer.headers))
        return head.encode("latin-1") + answer.body

    def stop(self):
        self.listener.close()
        self.client.close()


class Spoilt(parity.Run):
    """A run whose other side is a proxy before a second reference."""

    def __init__(self, name, options, scratch, reference, behind):
        super().__init__(name, options, scratch, reference)
        self.behind = behind

    def start_other(self):
        self.proxy = Proxy(self.behind, MUTATIONS[self.options.mutation])
        return Server("ours", url="http://%s:%d" % self.proxy.address)

    def stop(self):
        super().stop()
        self.proxy.stop()


def attempt(name, options, reference, scratch, behind):
    options.mutation = name
    run = Spoilt(profile_of(name), options, scratch, reference, behind)
    began = time.monotonic()
    try:
        run.start()
        run.run()
    finally:
        run.stop()
    failures = run.failures()
    sizes = [len(g.example[1]) for g in failures.values() if g.example]
    print("  %-28s %s after %d requests, %.1f s, cut down to %s requests" % (
        name, "found" if failures else "SURVIVED", run.player.sent, time.monotonic() - began, min(sizes) if sizes else "-"), flush=True)
    return bool(failures)


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000, help="at most so many for each mutation")
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args(argv)
    options = parity.parse_options(["--ours", "reference", "--first", "--requests", str(chosen.requests), "--shrink", "2"])
    os.makedirs(options.scratch, exist_ok=True)
    reference = find_reference(options.scratch)
    if reference is None:
        print("\n*** selftest: SKIPPED. The reference could not be installed. ***\n")
        return 0
    tried, survived = len(metrics.SPOILT), len(metrics.surviving_mistakes())
    print("  metrics: %d of %d mistakes found" % (tried - survived, tried), flush=True)
    with tempfile.TemporaryDirectory(prefix="parity-") as scratch:
        for profile in ("default", "cache", "accounts", "history"):
            ini = os.path.join(scratch, "behind-%s.ini" % profile)
            with open(ini, "w") as out:
                out.write(parity.ini_text(PROFILES[profile], parity.principals()))
            second = start_reference(reference, ini, scratch, "behind-" + profile)
            try:
                second.wait()
                for name in chosen.names or MUTATIONS:
                    if profile_of(name) == profile:
                        tried += 1
                        survived += not attempt(name, options, reference, scratch, second.address)
            finally:
                second.stop()
    print("selftest: %d mutations survived" % survived)
    print("%d passed, %d failed" % (tried - survived, survived))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
