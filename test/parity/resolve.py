"""Symbols of a request (generate.py), replaced by what one side answered earlier in the sequence.

A symbol whose request was cut away, or answered nothing of the kind, becomes a constant that is the same on both
sides, except a Next-Page: a request to a page that does not exist is not sent.
"""

import base64
import json
import re

SYMBOL = re.compile(r"⟨#?(ts|id|next|token|raw):([^⟩]*)⟩")
QUOTED = re.compile(r'"⟨#(?:ts|id|raw):[^⟩]*⟩"')
MISSING_STAMP = 1500000000000
MISSING_ID = "no-such-id"


class NoPage(Exception):
    pass


def basic(user):
    return "Basic " + base64.b64encode(("%s:pw" % user).encode()).decode()


class Memory:
    """The answers of one side in the current sequence."""

    def __init__(self):
        self.answers = {}

    def note(self, request_id, answer):
        self.answers[request_id] = answer

    def _find(self, where):
        """Headers (lower-case names) and body of request N, or of part M of batch N (`N.M`)."""
        number, _, part = where.partition(".")
        answer = self.answers.get(int(number))
        if answer is None:
            return {}, None
        headers = {k.lower(): v for k, v in answer.headers}
        try:
            body = json.loads(answer.body)
        except ValueError:
            body = None
        if part:
            try:
                found = body["responses"][int(part)]
                return {k.lower(): v for k, v in found["headers"].items()}, found["body"]
            except (KeyError, IndexError, TypeError):
                return {}, None
        return headers, body

    def lookup(self, kind, argument):
        if kind == "raw":
            return argument
        where, _, offset = argument.partition(":")
        headers, body = self._find(where)
        if kind == "ts":
            tag = headers.get("etag", "").strip('"')
            stamp = int(tag) if tag.isdigit() else MISSING_STAMP
            return str(stamp + int(offset or 0))
        if kind == "id":
            try:
                return str(body["data"]["id"])
            except (KeyError, TypeError):
                return MISSING_ID
        page = headers.get("next-page")
        if page is None:
            raise NoPage()
        if kind == "next":
            return re.sub(r"^\w+://[^/]+", "", page)
        found = re.search(r"[?&]_token=([^&]*)", page)
        return found.group(1) if found else ""

    def text(self, text):
        text = QUOTED.sub(lambda m: m.group(0)[1:-1], text)
        return SYMBOL.sub(lambda m: self.lookup(m.group(1), m.group(2)), text)

    def request(self, request):
        """(method, target, headers, body bytes or None) as this side gets it; NoPage when there is nothing to ask."""
        target = self.text(request["target"]).encode().decode("latin-1")
        headers = [(n, self.text(v).encode().decode("latin-1")) for n, v in request["headers"]]
        if request.get("user"):
            headers.append(("Authorization", basic(request["user"])))
        body = None
        if "raw" in request:
            body = request["raw"].encode("latin-1")
        elif "json" in request:
            body = self.text(json.dumps(request["json"], ensure_ascii=False)).encode()
        return request["method"], target, headers, body


def symbols(request):
    """Ids of the requests that this one refers to, with what it wants of each."""
    text = json.dumps(request, ensure_ascii=False)
    return {(m.group(1), m.group(2)) for m in SYMBOL.finditer(text) if m.group(1) != "raw"}
