"""What a rule may look at: a difference, the request, both answers, what came before; and it may ask the reference."""

import base64
import json
import re
from urllib.parse import unquote


def json_of(body):
    try:
        return json.loads(body)
    except (ValueError, TypeError):
        return None


def plain(path):
    """A path without query, version prefix and escapes."""
    path = unquote(path.split("?")[0]).rstrip("/")
    return path[3:] if path.startswith("/v1/") else path


def touches(path, above):
    return path == above or path.startswith(above + "/")


class Part:
    """A request, or one of a batch with the batch's defaults and headers applied."""

    def __init__(self, method, path, headers, body):
        self.method = method
        self.path, _, self.query = path.partition("?")
        self.names = [unquote(p.split("=")[0]) for p in self.query.split("&")] if self.query else []
        self.headers = {str(k).lower(): str(v) for k, v in headers}
        self.body = body
        self.stores = method in ("PUT", "POST", "PATCH")
        self.in_default = "/buckets/default" in self.path
        self.type = self.headers.get("content-type", "")
        self.shows_changes = self.headers.get("response-behavior") in ("light", "diff")

    @property
    def token_values(self):
        """What the page token holds: values of the fields that the list is sorted by."""
        found = re.search(r"(?:^|&)_token=([^&]*)", self.query)
        try:
            return list(json.loads(base64.b64decode(unquote(found.group(1))))["last_object"].values())
        except (AttributeError, ValueError, KeyError, TypeError):
            return []


def is_batch(target):
    return target.split("?")[0].endswith("/batch")


def parts_of(request, target):
    """The request itself, or the parts of a batch."""
    body = request.get("json")
    if not is_batch(target):
        yield Part(request["method"], target, request["headers"], body)
        return
    if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
        return
    defaults = body.get("defaults") if isinstance(body.get("defaults"), dict) else {}
    for item in body["requests"]:
        if not isinstance(item, dict):
            continue
        whole = dict(defaults, **item)
        headers = {name.lower(): value for name, value in request["headers"] if name.lower() != "content-type"}
        for given in (defaults.get("headers"), item.get("headers")):
            headers.update((name.lower(), value) for name, value in (given.items() if isinstance(given, dict) else ()))
        yield Part(whole.get("method", "GET"), str(whole.get("path", "")), headers.items(), whole.get("body"))


def patches(request, target):
    """Parts that patch an object by JSON patch or merge patch."""
    return [p for p in parts_of(request, target)
            if p.method == "PATCH" and any(t in p.type for t in ("json-patch", "merge-patch"))]


class Difference:
    """One of compare.py, where the place is the same in a part of a batch (`part` is its number) and outside of one, and
    names of headers are in lower case."""

    def __init__(self, found, part):
        where, self.ref, self.our = found
        where = where[5:] if where.startswith(("part.", "part ")) else where
        self.where = where.lower() if where.startswith("header ") else where
        self.pair = (self.ref, self.our)
        self.part = part
        self.is_status = self.where == "status"
        self.is_length = self.where == "header content-length"
        self.is_told = self.is_length or self.where.startswith("body.") and self.where.endswith(
            ("message", "details[].name", "details[].description"))  # what an error reads like


class Look:
    """Everything around a difference: `at` says which one. Pairs are of the reference and ours."""

    def __init__(self, player, request, ref, our, comparison, wires, earlier):
        self.player = player
        self.request = request
        self.ref = ref
        self.our = our
        self.comparison = comparison
        self.method, self.target, self.headers, self.body = wires[0]
        self.path, _, self.query = self.target.partition("?")
        self.is_batch = is_batch(self.target)
        self.earlier = earlier
        self.so_far = earlier + [request]
        self.parts = list(parts_of(request, self.target))
        self.at(None)

    def at(self, part):
        self.part = part
        return self

    def _answered(self, answer):
        """The part of a batch's answer where the difference is."""
        try:
            return json.loads(answer.body)["responses"][self.part]
        except (ValueError, KeyError, IndexError, TypeError):
            return {}

    @property
    def statuses(self):
        """Of the answers, or of the part of a batch."""
        return tuple(self._answered(a).get("status") if self.is_batch else a.status for a in (self.ref, self.our))

    @property
    def bodies(self):
        """As JSON; None: it is none."""
        return tuple(self._answered(a).get("body") if self.part is not None else json_of(a.body) for a in (self.ref, self.our))

    @property
    def answered_headers(self):
        """Those of the reference's part of a batch."""
        return self._answered(self.ref).get("headers") or {}

    @property
    def answered_path(self):
        """The path of the request, or what the reference says of the part of a batch."""
        return str(self._answered(self.ref).get("path")) if self.is_batch else self.path

    @property
    def asked(self):
        """The request, or the part of a batch, that was answered differently."""
        number = self.part or 0
        return self.parts[number] if number < len(self.parts) else Part("", "", (), None)

    def any_part(self, test):
        return any(test(part) for part in self.parts)

    def said(self, *texts):
        """Did a body so far hold one of these, written as Python's json does?"""
        return any(text in json.dumps(request.get("json"), ensure_ascii=False) for request in self.so_far for text in texts)

    def broken(self, d):
        """The reference failed where ours answered."""
        return d.is_status and d.part is None and self.ref.status >= 500 and 200 <= self.our.status < 500

    def forbidden(self):
        """May the user not even read the object of this request? The reference says."""
        headers = [h for h in self.headers if h[0] == "Authorization"]
        path = self.answered_path
        if self.is_batch:
            own = (json.loads(self.body)["requests"][self.part].get("headers") or {}).get("Authorization")
            headers = headers if own is None else [("Authorization", own)]
        return path.isascii() and self.player.ask("GET", path, headers, None).status in (401, 403, 405)

    def left_of(self, query):
        """The differences that are left when the reference is asked with another query, but for Next-Page. Of reads only:
        a write would be done twice."""
        answer = self.player.ask(self.method, self.path + "?" + query, self.headers, self.body)
        check = type(self.comparison)(self.comparison.context, self.request, self.comparison.scope)
        check.answers(answer, self.our)
        return [found for found in check.differences if found[0] != "header next-page"]
