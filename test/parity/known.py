"""The differences that are meant: a row each, as narrow as its reason, with the section of doc/differences.md that
tells users about it. What no row explains is a failure.

A row's `match` sees one difference (where, reference's value, ours) and a Look at everything around it. Where the
reference answers 500, ours must answer something below 500; each cause of such an answer has a row of its own.
"""

import json
import math
import re
from urllib.parse import unquote


class Look:
    """What a rule may look at: the request, both answers, what came before; and it may ask the reference."""

    def __init__(self, player, request, ref, our, comparison, wires, earlier):
        self.player = player
        self.request = request
        self.ref = ref
        self.our = our
        self.comparison = comparison
        self.wires = wires
        self.earlier = earlier
        self.parts = list(parts_of(request, wires[0][1]))

    def any_part(self, test):
        return any(test(part) for part in self.parts)

    def broken(self):
        """The reference failed where ours answered."""
        return self.ref.status >= 500 and 200 <= self.our.status < 500

    def forbidden(self):
        """May the user not even read the object of this request? The reference says."""
        _, target, headers, _ = self.wires[0]
        headers = [h for h in headers if h[0] == "Authorization"]
        return self.player.ask("GET", target.split("?")[0], headers, None).status in (401, 403)


class Part:
    def __init__(self, method, path, headers, body):
        self.method = method
        self.path, _, self.query = path.partition("?")
        self.names = [unquote(p.split("=")[0]) for p in self.query.split("&")] if self.query else []
        self.headers = {str(k).lower(): str(v) for k, v in headers}
        self.body = body


def parts_of(request, target):
    """The request itself, or the parts of a batch with the defaults applied."""
    body = request.get("json")
    if not target.split("?")[0].endswith("/batch"):
        yield Part(request["method"], target, request["headers"], body)
        return
    if not isinstance(body, dict) or not isinstance(body.get("requests"), list):
        return
    defaults = body.get("defaults") if isinstance(body.get("defaults"), dict) else {}
    for item in body["requests"]:
        if not isinstance(item, dict):
            continue
        whole = dict(defaults, **item)
        headers = dict(defaults.get("headers") or {}, **(item["headers"] if isinstance(item.get("headers"), dict) else {}))
        yield Part(whole.get("method", "GET"), str(whole.get("path", "")), headers.items(), whole.get("body"))


def is_batch(look):
    return look.wires[0][1].split("?")[0].endswith("/batch")


class Rule:
    def __init__(self, name, section, reason, match):
        self.name = name
        self.section = section
        self.reason = reason
        self.match = match


RULES = []


def rule(name, section, reason):
    def add(function):
        RULES.append(Rule(name, section, reason, function))
        return function
    return add


def failing(name, reason, test):
    """A row for an answer 500 of the reference: `test(part)` names the requests that can cause it."""
    RULES.append(Rule(name, "Server errors", reason, lambda look, d: look.broken() and d[0] == "status" and look.any_part(test)))


# -- Server errors: 500 in the reference, an answer here

COMPARING = re.compile(r"^(lt|gt|min|max)_|^_sort$|^_token$")
BIG_STAMP = re.compile(r'"last_modified": "⟨#raw:\d{19,}⟩"')
ODD_ROOTS = ("/data", "/permissions", "", "/")

failing("500 like", "like_ on a value that is not a string, or missing, or a pattern with regex characters",
        lambda p: any(n.startswith("like_") for n in p.names))
failing("500 order", "comparing or sorting arrays and objects, or values of a broken _token",
        lambda p: any(COMPARING.match(n) for n in p.names))
failing("500 response-behavior", "Response-Behavior light or diff with fields that are not in the new object, or on groups",
        lambda p: p.method == "PATCH" and p.headers.get("response-behavior") in ("light", "diff"))
failing("500 merge patch", "a merge patch that puts an object over a scalar",
        lambda p: p.method == "PATCH" and "merge-patch" in p.headers.get("content-type", ""))
failing("500 delete stamp", "DELETE ?last_modified= with anything but bare digits",
        lambda p: p.method == "DELETE" and "last_modified" in p.names)
failing("500 **", "If-Match or If-None-Match: **",
        lambda p: "**" in (p.headers.get("if-match"), p.headers.get("if-none-match")))
failing("500 json patch root", "a JSON patch that removes or replaces /data or /permissions as a whole",
        lambda p: p.method == "PATCH" and isinstance(p.body, list) and any(
            isinstance(o, dict) and (o.get("path") in ODD_ROOTS or o.get("from") in ODD_ROOTS
                                     or str(o.get("path")).startswith("/permissions/")) for o in p.body))
failing("500 version", "/__version__ without a version file", lambda p: p.path.endswith("/__version__"))
failing("500 permissions list", "preconditions, POST and DELETE on /permissions",
        lambda p: p.path.rstrip("/").endswith("/permissions") and (
            p.method not in ("GET", "HEAD") or "if-match" in p.headers or "if-none-match" in p.headers))
failing("500 permissions in data", "__permissions__ inside data that is not a mapping of lists",
        lambda p: "__permissions__" in json.dumps(p.body))
failing("500 content-type", "a charset that does not exist", lambda p: "charset=xyz" in p.headers.get("content-type", ""))


@rule("500 batch", "Server errors", "a batch that is an array; a 304 inside a batch; a path in a batch that is not ASCII, or not UTF-8 when decoded")
def batch_error(look, difference):
    if not look.broken() or difference[0] != "status" or not is_batch(look):
        return False
    body = look.request.get("json", look.request.get("raw"))
    if isinstance(body, list) or isinstance(body, str) and body.lstrip().startswith("["):
        return True
    return look.any_part(lambda p: "if-none-match" in p.headers or not p.path.isascii() or bad_escapes(p.path + "?" + p.query)
                         or isinstance(p.body, list))


def bad_escapes(text):
    try:
        unquote(text, errors="strict")
        return False
    except UnicodeDecodeError:
        return True


@rule("500 stamp range", "Server errors", "last_modified of 2^63 and more is stored by the reference, then every answer that needs its date fails")
def stamp_range(look, difference):
    texts = [json.dumps(r.get("json"), ensure_ascii=False) for r in look.earlier + [look.request]]
    return look.broken() and difference[0] == "status" and any(BIG_STAMP.search(t) for t in texts)


@rule("500 depth", "Server errors", "a body nested some hundred levels deep")
def depth(look, difference):
    return look.broken() and difference[0] == "status" and "[" * 200 in look.request.get("raw", "")


# -- Filters

@rule("has_ filter", "Filters", "in the reference has_ cancels the filters before it (also the one that hides what is not shared)")
def has_filter(look, difference):
    if not look.any_part(lambda p: any(n.startswith("has_") for n in p.names)):
        return False
    if is_batch(look) or look.request["method"] not in ("GET", "HEAD"):
        return True
    method, target, headers, body = look.wires[0]
    path, _, query = target.partition("?")
    pieces = query.split("&")
    ordered = sorted(pieces, key=lambda piece: not piece.startswith("has_"))
    if ordered == pieces:
        return shared_subset(look)
    again = look.player.ask(method, path + "?" + "&".join(ordered), headers, body)
    check = type(look.comparison)(look.comparison.context, look.request, look.comparison.scope)
    check.answers(again, look.our)
    left = [d for d in check.differences if d[0] != "header next-page"]
    return not left or shared_subset(look)


def shared_subset(look):
    """A list of a user who may not read all of it: ours shows no more than the reference."""
    if look.request["method"] == "HEAD":
        return True
    try:
        theirs = {o["id"] for o in json.loads(look.ref.body)["data"]}
        return {o["id"] for o in json.loads(look.our.body)["data"]} < theirs
    except (ValueError, KeyError, TypeError):
        return False


# -- Numbers

@rule("big integers", "Numbers", "integers beyond 64 bits stay as written; the reference makes doubles of them")
def big_integers(look, difference):
    where, ref, our = difference
    if isinstance(ref, float) and isinstance(our, int) and not isinstance(our, bool):
        return not -2**63 <= our < 2**64 and math.isclose(float(our), ref, rel_tol=1e-15)
    return False


@rule("length of numbers", "Numbers", "numbers stay as written (1.10, 1e1), so a body may be longer or shorter")
def length_of_numbers(look, difference):
    if not difference[0].lower().endswith("content-length"):
        return False
    return any("⟨#raw:" in json.dumps(r.get("json"), ensure_ascii=False) for r in look.earlier + [look.request])


# -- Text

@rule("length of text", "Text", "text is sent as UTF-8; the reference escapes what is not ASCII, so its bodies are longer")
def length_of_text(look, difference):
    if not difference[0].lower().endswith("content-length") or int(difference[1]) <= int(difference[2]):
        return False
    return any(not json.dumps(r.get("json"), ensure_ascii=False).replace("⟨", "").replace("⟩", "").isascii() or not r.get("raw", "").isascii()
               or "\\u" in r.get("raw", "") or "%" in r["target"] for r in look.earlier + [look.request])


# -- URLs

@rule("raw bytes in a URL", "URLs", "bytes beyond ASCII that are not percent-encoded: the reference's web server refuses the request; here they are UTF-8")
def raw_bytes(look, difference):
    return look.ref.status == 400 and not look.wires[0][1].isascii() and b"waitress" in look.ref.body + (look.ref.get("server") or "").encode() \
        and look.our.status < 500


@rule("fragment in a URL", "URLs", "a # does not belong in a request; the reference cuts it off")
def fragment(look, difference):
    return "#" in look.wires[0][1] and look.our.status == 400


@rule("method in lower case", "URLs", "the reference's web server refuses methods that are not in capitals; here they are methods that no endpoint has")
def small_method(look, difference):
    return not look.request["method"].isupper() and look.ref.status == 400 and 400 <= look.our.status < 500


@rule("Vary", "CORS", "an answer that depends on Origin says so to caches")
def vary(look, difference):
    return difference[0].lower().endswith("header vary") and difference[1:] == (None, "Origin")


# -- Identity

@rule("contribute.json", "Identity", "each project names itself")
def contribute(look, difference):
    return look.wires[0][1].split("?")[0] == "/v1/contribute.json" and look.our.status == look.ref.status == 200 \
        and (difference[0].startswith("body.") or difference[0] == "header content-length")


# -- Privacy

@rule("412 of the unreadable", "Privacy", "the reference shows the object in details.existing to users who may not read it")
def leak(look, difference):
    where, _, our = difference
    if look.ref.status != 412 or look.our.status not in (401, 403, 412):
        return False
    if where == "status" or where.startswith("body") or where in ("header etag", "header last-modified"):
        return our in ("(absent)", None, 401, 403) and "/buckets/default" not in look.wires[0][1] and look.forbidden()
    return False


# -- Permissions

PATCH_TYPES = ("json-patch", "merge-patch")


def patches(request, target):
    """Parts that patch an object by JSON patch or merge patch."""
    return [p for p in parts_of(request, target)
            if p.method == "PATCH" and any(t in p.headers.get("content-type", "") for t in PATCH_TYPES)]


@rule("patch of unseen permissions", "Permissions", "a JSON or merge patch by a user who may not see the object's permissions: the reference "
      "applies it to an empty mapping and so wipes what others were given; here it adds")
def unseen_permissions(look, difference):
    where, ref, our = difference
    if not patches(look.request, look.wires[0][1]) or look.ref.status != 200 or look.our.status != 200:
        return False
    if where.lower().endswith("content-length"):
        return is_batch(look)
    where = where.replace("part.body", "body")
    if not where.startswith("body.permissions."):
        return False
    if where.endswith("[] length"):
        return set(ref) < set(our)
    return ref == "(absent)"


# -- Batch

def touches(path, above):
    return path == above or path.startswith(above + "/")


def plain(path):
    path = path.split("?")[0].rstrip("/")
    return path[3:] if path.startswith("/v1/") else path


def late_effects(request):
    """Has this batch parts whose effects the reference postpones to its end, and parts after them that would notice?"""
    done = []
    for part in parts_of(request, request["target"]):
        path = plain(part.path)
        if any(touches(path, above) or touches(above, path) for above in done):
            return True
        kind = path.split("/")
        writes = part.method not in ("GET", "HEAD")
        if part.method == "DELETE" and len(kind) <= 5 and "records" not in kind:
            done.append(path)
        if writes and "groups" in kind:
            done.append("/buckets")
    return False


@rule("effects in a batch", "Batch", "a part of a batch sees the effects of those before it; the reference runs cascades and group membership at the end")
def batch_effects(look, difference):
    return is_batch(look) and look.ref.status == 200 and look.our.status == 200 and late_effects(look.request)


# -- Timestamps, identifiers, bodies

@rule("last_modified true", "Timestamps", "the reference stores last_modified: true, and ETag \"True\"")
def stamp_true(look, difference):
    return '"last_modified": true' in json.dumps(look.request.get("json")) and look.our.status < 500


@rule("newline in an id", "Identifiers", "the reference accepts an id that ends with a line feed")
def newline(look, difference):
    return look.any_part(lambda p: "%0A" in p.path) and look.our.status < 500


@rule("body without a type", "Bodies", "under /buckets/default the reference refuses a body without Content-Type, elsewhere it takes it")
def untyped_default(look, difference):
    return look.ref.status == 415 and look.our.status != 415 and difference[0] == "status" \
        and look.any_part(lambda p: "/buckets/default" in p.path and "content-type" not in p.headers)


@rule("NUL after the body", "Bodies", "the reference accepts a NUL after the JSON")
def trailing_nul(look, difference):
    return look.request.get("raw", "").endswith("\0") and look.our.status == 400
