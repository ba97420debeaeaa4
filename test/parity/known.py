"""The differences that are meant: a row each, as narrow as its reason, with the section of doc/differences.md that
tells users about it. What no row explains is a failure.

A row's `match` sees one difference (where, reference's value, ours) and a Look at everything around it. Where the
reference answers 500, ours must answer something below 500; each cause of such an answer has a row of its own.
"""

import base64
import json
import math
import re
import time
from urllib.parse import unquote

from schemas import TROUBLES, foreign, pathless


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

    def part_of(self, answer):
        """The part of a batch's answer where the first difference is."""
        try:
            return json.loads(answer.body)["responses"][self.comparison.part]
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return {}

    def path(self):
        return self.wires[0][1].split("?")[0]

    def any_part(self, test):
        return any(test(part) for part in self.parts)

    def broken(self):
        """The reference failed where ours answered."""
        return self.ref.status >= 500 and 200 <= self.our.status < 500

    def part_path(self):
        """URL of the request, or of the part of a batch where the difference is."""
        return str(self.part_of(self.ref).get("path")) if is_batch(self) else self.path()

    def forbidden(self):
        """May the user not even read the object of this request? The reference says."""
        headers = [h for h in self.wires[0][2] if h[0] == "Authorization"]
        path = self.part_path()
        if is_batch(self):
            own = (json.loads(self.wires[0][3])["requests"][self.comparison.part].get("headers") or {}).get("Authorization")
            headers = headers if own is None else [("Authorization", own)]
        return path.isascii() and self.player.ask("GET", path, headers, None).status in (401, 403, 405)


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
        headers = {name.lower(): value for name, value in request["headers"] if name.lower() != "content-type"}
        for given in (defaults.get("headers"), item.get("headers")):
            headers.update((name.lower(), value) for name, value in (given.items() if isinstance(given, dict) else ()))
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


# -- Not there yet

MISSING = ("/__user_data__/",)


@rule("not there yet", "Not there yet", "endpoints that are still to come")
def not_there_yet(look, difference):
    where, ref, our = difference
    if where.endswith(("body.paths./__user_data__/{principal}", "body.tags.User-datas")):
        return our == "(absent)"
    statuses = (look.ref.status, look.our.status)
    if is_batch(look):
        statuses = (look.part_of(look.ref).get("status"), look.part_of(look.our).get("status"))
    return statuses[0] != 404 and statuses[1] == 404 and look.any_part(lambda p: any(m in "/v1" + p.path for m in MISSING))


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
failing("500 **", "If-Match or If-None-Match: ** and what else begins with a star",
        lambda p: any(p.headers.get(name, "").strip()[:1] == "*" != p.headers[name].strip() for name in ("if-match", "if-none-match")))
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


def token_values(part):
    """What the page token of a request holds: values of the fields that the list is sorted by."""
    found = re.search(r"(?:^|&)_token=([^&]*)", part.query)
    try:
        return list(json.loads(base64.b64decode(unquote(found.group(1))))["last_object"].values())
    except (AttributeError, ValueError, KeyError, TypeError):
        return []


@rule("token of structures", "Server errors", "a page token that holds arrays or objects is taken; the reference calls its own token invalid")
def structured_token(look, difference):
    taken = difference[:2] == ("status", 400) and look.our.status == 200 or b"_token was already used" in look.our.body
    return taken and look.ref.status == 400 and look.any_part(lambda p: any(isinstance(v, (list, dict)) for v in token_values(p)))


@rule("order of structures", "Server errors", "arrays and objects have an order here; the reference's is that of its language, where it has one")
def structured_order(look, difference):
    if ".data[]" not in difference[0]:
        return False
    part = look.part_of(look.ref)
    query = unquote(look.wires[0][1].partition("?")[2])
    try:
        items = (part["body"] if part else json.loads(look.ref.body))["data"]
        if part:
            query = unquote(str(look.request["json"]["requests"][look.comparison.part].get("path")))
    except (ValueError, KeyError, TypeError):
        return False
    fields = re.search(r"_sort=([^&]*)", query)
    first = [f.lstrip("-").split(".")[0] for f in fields.group(1).split(",")] if fields else []
    return any(isinstance(item.get(f), list) for item in items for f in first)


@rule("500 batch", "Server errors", "a batch that is an array; a 304 inside a batch; a path in a batch that is not ASCII, or not UTF-8 when decoded")
def batch_error(look, difference):
    if not look.broken() or difference[0] != "status" or not is_batch(look):
        return False
    body = look.request.get("json", look.request.get("raw"))
    if isinstance(body, list) or isinstance(body, str) and body.lstrip().startswith("["):
        return True
    return look.any_part(lambda p: "if-none-match" in p.headers or not p.path.isascii() or bad_escapes(p.path + "?" + p.query)
                         or isinstance(p.body, list))


def unlike(given, default):
    """Is there an object in the defaults of a batch where a request has something else?"""
    if not isinstance(default, dict):
        return False
    if not isinstance(given, dict):
        return True
    return any(unlike(given[key], default[key]) for key in default if key in given)


@rule("500 defaults", "Server errors", "a batch whose defaults have an object where one of its requests has something else")
def batch_defaults(look, difference):
    if not look.broken() or difference[0] != "status" or not is_batch(look):
        return False
    body = json_of(look.wires[0][3])
    requests = body.get("requests") if isinstance(body, dict) else None
    return isinstance(requests, list) and any(isinstance(r, dict) and unlike(r, body.get("defaults")) for r in requests)


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


# -- Schemas

def schemas_before(look):
    """All that was stored as a schema on the way, and may apply to this request."""
    for request in look.earlier:
        for part in parts_of(request, request["target"]):
            data = part.body.get("data") if isinstance(part.body, dict) else None
            for name, value in (data.items() if isinstance(data, dict) else ()):
                if name == "schema" or name.endswith(":schema"):
                    yield value


@rule("500 schema", "Server errors", "schemas that are none in their own draft or have no end; and a refusal of a whole object by a keyword "
      "whose value has no last element")
def schema_error(look, difference):
    failed = look.broken() or look.ref.status == 0 and look.our.status == 400  # 0: no answer in time, of an endless schema
    if not failed or difference[0] != "status" or not look.any_part(lambda p: p.method in ("PUT", "POST", "PATCH")):
        return False
    # Below the default bucket ours may stop at a schema that the reference forgets.
    endless = b"The schema refers to itself" in look.our.body or look.any_part(lambda p: "/buckets/default" in p.path)
    return any(s in TROUBLES or pathless(s) or foreign(s) or endless and "$ref" in json.dumps(s) for s in schemas_before(look))


TOLD = ("message", "details[].name", "details[].description")


def is_told(where):
    return where.replace("part.", "").startswith("body.") and where.endswith(TOLD) or where.lower().endswith("content-length")


@rule("first of several members", "Schemas", "of several members that additionalProperties refuses the reference tells of any, since it keeps them in a set")
def any_member(look, difference):
    where, ref, our = difference
    status = look.part_of(look.our).get("status") if is_batch(look) else look.our.status
    return status == 400 and is_told(where) and any('"additionalProperties": {' in json.dumps(s) for s in schemas_before(look))


@rule("unresolved references", "Schemas", "after the first error in a branch the rest of it is not looked at, so that of two broken $ref another is told")
def unresolved(look, difference):
    broken = re.compile(r"(PointerToNowhere|NoSuchAnchor|Unresolvable): ")
    part = look.part_of(look.ref)
    told = broken.search(json.dumps(part["body"]) if part else look.ref.body.decode())
    return bool(told) and (is_told(difference[0]) or difference[0].endswith("status")) and any(
        word in json.dumps(s) for s in schemas_before(look) for word in ("anyOf", "oneOf"))


@rule("schemas of the default bucket", "Schemas", "below /buckets/default the reference forgets the schemas of bucket and collection")
def default_schemas(look, difference):
    where, ref, our = difference
    below = look.any_part(lambda p: "/buckets/default" in "/v1" + p.path and p.method in ("PUT", "POST", "PATCH"))
    if not below or not any(True for _ in schemas_before(look)):
        return False
    if where.endswith("status"):
        return ref in (200, 201) and (our == 400 or is_batch(look) and our in (200, 201))
    return where.endswith("body.data.schema") or is_batch(look) and where.lower().endswith("content-length") or is_told(where)


# -- Filters

def of_a_list(look, difference):
    """Is it about which objects a list has? A DELETE moves the clock only when there are some."""
    where = difference[0].lower()
    clock = ("header etag", "header last-modified") if look.any_part(lambda p: p.method == "DELETE") else ()
    return ".data[]" in where or where.endswith(("total-objects", "total-records", "content-length", "next-page") + clock)


@rule("has_ filter", "Filters", "in the reference has_ cancels the filters before it (also the one that hides what is not shared)")
def has_filter(look, difference):
    if not look.any_part(lambda p: any(n.startswith("has_") for n in p.names)):
        return False
    if is_batch(look) or look.request["method"] not in ("GET", "HEAD") or "_limit" in look.wires[0][1]:
        return of_a_list(look, difference)
    if difference[0] == "header next-page" and difference[2] is None:
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
        names = look.comparison.context.ids
        theirs = {o["id"] for o in json.loads(look.ref.body)["data"]}
        return {names.get(o["id"], o["id"]) for o in json.loads(look.our.body)["data"]} < theirs
    except (ValueError, KeyError, TypeError):
        return False


@rule("in_ and truth", "Filters", "in the reference in_x=1 also matches true, in_x=false also 0")
def in_and_truth(look, difference):
    mixed = re.compile(r"(^|[?&])(in|exclude)_[^=]*=[^&]*(true|false|0|1)")
    return of_a_list(look, difference) and look.any_part(lambda p: mixed.search(p.query))


def one_for_true(value):
    """Is it a list, or an object, with something in it that is 0 or 1?"""
    return isinstance(value, (list, dict)) and re.search(r"(?<![\w.])[01](\.0)?(?![\w.])", json.dumps(value)) is not None


@rule("true in lists", "Filters", "in the reference [1] is equal to [true]")
def true_in_lists(look, difference):
    def compares(p):
        for piece in p.query.split("&"):
            try:
                if one_for_true(json.loads(unquote(piece.partition("=")[2]))):
                    return True
            except ValueError:
                pass
        return False
    return of_a_list(look, difference) and look.any_part(compares)


# -- Pages

@rule("page of a DELETE", "Pages", "the next page of a plural DELETE goes on behind the last object in the order that was asked for; in the reference "
      "the token has lost the fields with the object")
def page_of_delete(look, difference):
    path, _, query = look.wires[0][1].partition("?")
    return look.request["method"] == "DELETE" and "_token=" in query and "_sort=" in query and look.our.status == 200


@rule("deleted by name", "Pages", "an object whose own data says deleted: true is counted, as it is shown; the reference does not count it")
def deleted_by_name(look, difference):
    said = any('"deleted": true' in json.dumps(r.get("json")) for r in look.earlier + [look.request])
    return said and difference[0].lower().endswith(("total-objects", "total-records"))


@rule("like and line feeds", "Filters", "the pattern of like_ also matches line feeds; the reference's stops at them")
def like_lines(look, difference):
    texts = json.dumps([r.get("json") for r in look.earlier])
    return "\\n" in texts and of_a_list(look, difference) and look.any_part(lambda p: any(n.startswith("like_") for n in p.names))


@rule("1 and true", "Response-Behavior", "1 in the place of true is a change; the reference takes them for equal")
def one_is_no_truth(look, difference):
    where, ref, our = difference
    if not look.any_part(lambda p: p.headers.get("response-behavior") in ("light", "diff")):
        return False
    if where == "part header Content-Length":
        body = look.part_of(look.our).get("body")
        our = body.get("data") if isinstance(body, dict) else None
    elif not where.replace("part.", "").startswith("body.data.") or ref != "(absent)":
        return False
    return our in (0, 1) or any(word in json.dumps(our) for word in ("true", "false")) or one_for_true(our)


# -- Numbers

@rule("digits of big integers", "Numbers", "the reference reads integers beyond 64 bits as doubles, and the last digit not always right")
def digits_of_big_integers(look, difference):
    exponent = re.compile(r"\d\.\d+(e\+\d+)")
    return is_told(difference[0]) and all(exponent.search(str(v)) for v in difference[1:]) \
        and exponent.sub(r"\1", str(difference[1])) == exponent.sub(r"\1", str(difference[2]))


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
               or "\\u" in r.get("raw", "") or "%" in r["target"] + json.dumps(r.get("json")) for r in look.earlier + [look.request])


# -- Wording of JSON errors

@rule("wording", "Wording of JSON errors", "another parser; invalid UTF-8 always, some causes")
def wording(look, difference):
    where, ref, our = difference
    return where in ("body.message", "body.details[].description") and all(
        isinstance(v, str) and v.startswith("Invalid JSON: ") for v in (ref, our)) and ("utf-8" in ref or "Parse error" in ref)


# -- Response-Behavior

@rule("merged sub-objects", "Response-Behavior", "after a merge patch, light and diff also tell of changes inside a sub-object")
def merged(look, difference):
    where, ref, our = difference
    return where.startswith(("body.data.", "part.body.data.")) and ref == "(absent)" and isinstance(our, dict) and look.any_part(
        lambda p: "merge-patch" in p.headers.get("content-type", "") and p.headers.get("response-behavior") in ("light", "diff"))


# -- URLs

@rule("semicolons", "URLs", "the parameters of a query are parted by & only; the reference also parts them by ;")
def semicolons(look, difference):
    method, target, headers, body = look.wires[0]
    path, _, query = target.partition("?")
    if is_batch(look):
        return look.any_part(lambda p: ";" in p.query)
    if ";" not in query:
        return False
    again = look.player.ask(method, path + "?" + query.replace(";", "%3B"), headers, body)
    check = type(look.comparison)(look.comparison.context, look.request, look.comparison.scope)
    check.answers(again, look.our)
    return method not in ("GET", "HEAD") or not [d for d in check.differences if d[0] != "header next-page"]


@rule("raw bytes in a URL", "URLs", "bytes beyond ASCII that are not percent-encoded: the reference's web server refuses the request; here they are UTF-8")
def raw_bytes(look, difference):
    return look.ref.status == 400 and not look.wires[0][1].isascii() and b"waitress" in look.ref.body + (look.ref.get("server") or "").encode() \
        and look.our.status < 500


@rule("fragment in a URL", "URLs", "a # does not belong in a request; the reference cuts it off")
def fragment(look, difference):
    return "#" in look.wires[0][1] and look.our.status < 500


@rule("slash in a segment", "URLs", "%2F at the beginning of a path is part of the first segment")
def first_slash(look, difference):
    return look.path().startswith("/%2F") and look.our.status < 500


# -- Headers

@rule("nosniff of 410", "Headers", "the 410 after the end of service has X-Content-Type-Options, as all answers do")
def gone(look, difference):
    return look.ref.status == 410 and difference == ("header x-content-type-options", None, "nosniff")


def names(value):
    value = value.split(",") if isinstance(value, str) else value or ()
    return {v.strip().lower() for v in value}


@rule("more exposed", "Headers", "307 and 405 of aliases and batches may name more in Access-Control-Expose-Headers")
def more_exposed(look, difference):
    where, ref, our = difference
    return where.lower().endswith("access-control-expose-headers") and names(ref) <= names(our) and look.ref.status in (307, 405) \
        and ("/buckets/default" in look.path() or is_batch(look))


# -- CORS

def details(answer):
    return [(d.get("location"), d.get("name"), d.get("description")) for d in answer.get("details") or ()]


@rule("only the origin", "CORS", "an origin that may not call is told only that")
def only_the_origin(look, difference):
    try:
        parted = look.comparison.part is not None
        ref, our = (look.part_of(a)["body"] if parted else json.loads(a.body) for a in (look.ref, look.our))
        told, ours = details(ref), details(our)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    refused = len(ours) == 1 and ours[0][:2] == ("header", "Origin") and ours[0][2].endswith(" not allowed")
    return refused and ours[0] in told and ("body." in difference[0] or difference[0].lower().endswith("content-length"))


@rule("CORS of the default bucket", "CORS", "the 401 of /buckets/default may be read by pages, and every answer below it exposes what the endpoint exposes")
def default_cors(look, difference):
    where, ref, our = difference
    below = "/buckets/default" in look.path() or is_batch(look) and "/buckets/" in str(look.part_of(look.ref).get("path"))
    if not below or not look.any_part(lambda p: "/buckets/default" in "/v1" + p.path):
        return False
    if where == "header access-control-allow-origin":
        return look.ref.status == 401 and ref is None
    if where == "header access-control-expose-headers" and look.ref.status == 401:
        return our is None
    return where.lower().endswith("access-control-expose-headers") and names(ref) <= names(our)


# -- Default bucket

@rule("id like the collection's", "Default bucket", "a PUT of what is called like its collection makes the collection, too; the reference takes it for a PUT of "
      "the collection, and then misses it")
def named_like_collection(look, difference):
    def misses(p):
        names = plain(p.path).split("/")
        return p.method == "PUT" and names[1:4] == ["buckets", "default", "collections"] and len(names) > 5 and names[-1].endswith(names[4])
    return difference[0].endswith("status") and difference[1] == 404 and look.any_part(misses)


# -- The description of the API

@rule("own description", "The description of the API", "its texts and schemas are our own, so it has another length")
def own_description(look, difference):
    return difference[0].lower().endswith("content-length") and look.any_part(lambda p: p.path.endswith("/__api__"))


@rule("refused, not described", "The description of the API", "what a read-only server refuses is not in it")
def not_described(look, difference):
    where, ref, our = difference
    return our == "(absent)" and where.endswith(("body.paths./batch", "body.tags.Batch", "body.paths./__flush__", "body.tags.Flush"))


@rule("conditions of /permissions", "The description of the API", "/permissions has no If-Match and If-None-Match, which mean nothing there")
def unconditional(look, difference):
    where, ref, our = difference
    return "body.paths./permissions." in where and where.endswith(".parameters[] length") and \
        set(ref) - set(our) == {"header If-Match", "header If-None-Match"} and set(our) < set(ref)


@rule("host of the description", "The description of the API", "`host` is that of the request; the reference keeps that of the first one")
def host_of_description(look, difference):
    return difference[0].endswith("body.host") and look.any_part(lambda p: p.path.endswith("/__api__"))


# -- Order of errors

@rule("switched off", "Order of errors", "an endpoint that was switched off by a setting says 405 before it looks for the parent, and at the id in the body")
def switched_off(look, difference):
    if not all(isinstance(v, int) for v in difference[1:]):
        return False
    looked = {(404, 405): b'"errno":111', (400, 405): b'"path: Invalid object id"'}.get(difference[1:])
    return difference[0] in ("status", "part.status") and looked is not None and looked in look.ref.body


# -- Settings

@rule("empty number", "Settings", "an empty value of a number is as if the line were absent")
def empty_number(look, difference):
    return difference == ("header access-control-max-age", None, "3600")


@rule("method in lower case", "URLs", "the reference's web server refuses methods that are not in capitals; here they are methods that no endpoint has")
def small_method(look, difference):
    return not look.request["method"].isupper() and look.ref.status == 400 and 400 <= look.our.status < 500


@rule("patterns of origins", "CORS", "a pattern in cors_origins counts for every answer; in the reference not outside of endpoints")
def origin_patterns(look, difference):
    where, ref, our = difference
    if not where.lower().endswith("header access-control-allow-origin") or ref is not None:
        return False
    sent = [value for name, value in look.wires[0][2] if name.lower() == "origin"] + [p.headers.get("origin") for p in look.parts]
    status = look.part_of(look.our).get("status") if is_batch(look) else look.our.status
    return status in (200, 307, 400, 404, 405) and our in sent


@rule("Vary", "CORS", "an answer that depends on Origin says so to caches")
def vary(look, difference):
    return difference[0].lower().endswith("header vary") and difference[1:] == (None, "Origin")


# -- Timestamps

@rule("shared time", "Timestamps", "objects of one time (by explicit last_modified) have an order of their own on each side")
def shared_time(look, difference):
    if ".data[]" not in difference[0]:
        return False
    try:
        ref, our = [(look.part_of(a)["body"] if is_batch(look) else json.loads(a.body))["data"] for a in (look.ref, look.our)]
        same = look.comparison.context.same_stamp
        if len(ref) != len(our) or not all(same(look.comparison.scope, r["last_modified"], o["last_modified"]) for r, o in zip(ref, our)):
            return False
        stamps = [o["last_modified"] for o in our]
        return len(stamps) > len(set(stamps)) or ref[-1]["id"] != our[-1]["id"]  # the end of a page may lie between the two
    except (ValueError, KeyError, TypeError):
        return False


# -- Identity

@rule("contribute.json", "Identity", "each project names itself")
def contribute(look, difference):
    return look.part_path() == "/v1/contribute.json" and look.our.status == look.ref.status == 200 \
        and (difference[0].startswith(("body.", "part.body.")) or difference[0].lower().endswith("content-length"))


# -- Privacy

@rule("412 of the unreadable", "Privacy", "the reference shows the object in details.existing to users who may not read it")
def leak(look, difference):
    where, _, our = difference
    status = look.part_of(look.ref).get("status") if is_batch(look) else look.ref.status
    where = where.lower().replace("part.", "").replace("part ", "")
    if status != 412 or not where.startswith(("status", "body", "header etag", "header last-modified", "header content-length")):
        return False
    if "content-length" not in where and our not in ("(absent)", None, 401, 403):
        return False
    return "/buckets/default" not in look.part_path() and look.forbidden()


# -- Permissions

PATCH_TYPES = ("json-patch", "merge-patch")


def patches(request, target):
    """Parts that patch an object by JSON patch or merge patch."""
    return [p for p in parts_of(request, target)
            if p.method == "PATCH" and any(t in p.headers.get("content-type", "") for t in PATCH_TYPES)]


@rule("permissions in data", "Permissions", "__permissions__ inside data is checked like permissions")
def permissions_in_data(look, difference):
    if not look.any_part(lambda p: "__permissions__" in json.dumps(p.body)):
        return False
    status = look.part_of(look.our).get("status") if is_batch(look) else look.our.status
    shown = any(p.headers.get("response-behavior") in ("light", "diff") or "merge-patch" in p.headers.get("content-type", "")
                for p in look.parts)
    return status == 400 and difference[0].endswith("status") or shown and difference[0].startswith(("body.permissions", "part.body.permissions"))


@rule("kinds of a JSON patch", "Permissions", "a JSON patch cannot make up kinds of permission, or principals that are none")
def made_up_kinds(look, difference):
    told = ("unknown permission", "principals must be a list of strings", "/permissions must be an object")
    part = look.part_of(look.our)
    message = str(part["body"] if part else look.our.body)
    other = look.ref.status == 400 and is_told(difference[0])
    return (other or difference[0].endswith("status") and difference[1:] == (200, 400)) and any(
        "JSON Patch operation failed: " + t in message for t in told)


def paged_deletes(look):
    """Lists whose objects were deleted page by page, without a filter."""
    for request in look.earlier:
        for part in parts_of(request, request["target"]):
            kind = plain(part.path).split("/")
            if part.method == "DELETE" and len(kind) % 2 == 0 and all(n.startswith("_") for n in part.names):
                yield "/".join(kind)


@rule("rights after a page", "Permissions", "a plural DELETE that ends with its page takes nothing from the objects that are left; the reference wipes "
      "the permissions of the whole list, unless there is a filter")
def rights_after_a_page(look, difference):
    lists = list(paged_deletes(look))
    if not lists:
        return False
    where = difference[0].lower()
    if look.part_path().rstrip("/") == "/v1/permissions":
        return of_a_list(look, difference)
    return any(touches(plain(p.path), above) for above in lists for p in look.parts) and (
        of_a_list(look, difference) or where.endswith("status") or where.startswith(("body.data[]", "body.permissions", "part.body")))


@rule("permissions in full", "Permissions", "the ETag of /permissions never changes, so preconditions mean nothing there")
def permissions_in_full(look, difference):
    if look.part_path().rstrip("/") != "/v1/permissions":
        return False
    statuses = [look.part_of(a).get("status") if is_batch(look) else a.status for a in (look.ref, look.our)]
    return statuses == [304, 200] and look.any_part(lambda p: "if-none-match" in p.headers and p.path.endswith("/permissions"))


def groups_before(look):
    """Was a bucket deleted that had groups with members?"""
    touched = set()
    for request in look.earlier:
        for part in parts_of(request, request["target"]):
            kind = plain(part.path).split("/")
            if "groups" in kind and part.method in ("PUT", "POST", "PATCH") and "members" in json.dumps(part.body):
                touched.add(kind[2])
            if part.method == "DELETE" and len(kind) == 3 and kind[2] in touched or part.method == "DELETE" and kind[1:] == ["buckets"] and touched:
                return True
    return False


@rule("members of deleted buckets", "Permissions", "when a bucket is deleted, the memberships of its groups end; in the reference they stay")
def memberships(look, difference):
    if not groups_before(look):
        return False
    where, ref, our = difference
    if where.endswith("user.principals[] length"):
        return set(our) < set(ref)
    if where.startswith("body.permissions"):
        return our == "(absent)"
    return where.endswith("status") and our in (401, 403) and ref not in (401, 403) or of_a_list(look, difference)


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

@rule("too many parts", "Batch", "a batch with too many requests is told only that")
def too_many_parts(look, difference):
    message = re.match(rb'.*"message":"Number of requests is limited to (\d+)"', look.our.body, re.S)
    return look.ref.status == look.our.status == 400 and bool(message) and len(look.request["json"]["requests"]) > int(message.group(1)) \
        and difference[0].startswith("body.")


def touches(path, above):
    return path == above or path.startswith(above + "/")


def plain(path):
    path = unquote(path.split("?")[0]).rstrip("/")
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
        if writes and ("groups" in kind or path == "/__flush__"):
            done.append("/buckets")
    return False


@rule("effects in a batch", "Batch", "a part of a batch sees the effects of those before it; the reference runs cascades and group membership at the end")
def batch_effects(look, difference):
    return is_batch(look) and look.ref.status == 200 and look.our.status == 200 and late_effects(look.request)


@rule("failed part of the default bucket", "Batch", "the headers of failed parts below /buckets/default are those of other answers")
def failed_default_part(look, difference):
    path = json.loads(look.wires[0][3])["requests"][look.comparison.part].get("path") if is_batch(look) and look.comparison.part is not None else ""
    return difference[0].lower().startswith("part header") and "/buckets/default" in str(path) and look.part_of(look.ref).get("status", 0) >= 400


@rule("redirected part", "Batch", "a part that was redirected and then fails has the ordinary form of error; the reference answers errno 999")
def redirected_part(look, difference):
    part = look.part_of(look.ref)
    body, headers = part.get("body"), part.get("headers", {})
    asked = str(look.request["json"]["requests"][look.comparison.part].get("path")) if part else ""
    bare = part.get("status", 0) >= 400 and asked.split("?")[0].endswith("/") and set(headers) <= {"Content-Length", "Content-Type", "ETag", "Last-Modified"}
    return difference[0].startswith("part") and (bare or isinstance(body, dict) and body.get("errno") == 999)


# -- Timestamps, identifiers, bodies

@rule("last_modified 0", "Timestamps", "the reference stores last_modified: 0 of an update, and that of a new object stays 0 in a PATCH")
def stamp_zero(look, difference):
    patched = '"path": "/data/last_modified", "value": 0}'
    texts = [json.dumps(r.get("json")) for r in look.earlier + [look.request]]
    if not any(zero in text for text in texts for zero in ('"last_modified": 0', patched)):
        return False
    if difference[0].endswith("data.last_modified") and difference[1] == "(absent)":
        return True
    return difference[1] in (0, '"0"', "Thu, 01 Jan 1970 00:00:00 GMT", "of the ETag") or difference[0].lower().endswith(("last-modified", "content-length"))

@rule("tag 0", "Timestamps", "If-Match and If-None-Match: \"0\" are conditions like others; the reference ignores them")
def tag_zero(look, difference):
    sent = look.any_part(lambda p: '"0"' in (p.headers.get("if-match"), p.headers.get("if-none-match")))
    return sent and difference[0].endswith("status") and difference[1] in (200, 201) and difference[2] in (304, 412)


@rule("own ETag far ahead", "Timestamps", "the reference refuses to be asked from the time that it answered, when that is more than a day ahead")
def own_etag(look, difference):
    queries = [unquote(p.query) for p in parts_of(dict(look.request, json=json_of(look.wires[0][3])), look.wires[0][1])]
    asked = [s for q in queries for s in re.findall(r"(?:^|&)(?:_since|_before|_to|(?:\w+_)?last_modified)=\"?(\d+)", q)]
    statuses = [look.part_of(a).get("status") if is_batch(look) else a.status for a in (look.ref, look.our)]
    where = difference[0].replace("part.", "")
    return statuses[0] == 400 and any(far_ahead(stamp) for stamp in asked) and (
        where == "status" and statuses[1] == 200 or where.startswith("body.") and statuses[1] == 400)


def json_of(body):
    try:
        return json.loads(body)
    except (ValueError, TypeError):
        return None


def far_ahead(stamp):
    return int(stamp) > (time.time() + 24 * 3600) * 1000


@rule("last_modified true", "Timestamps", "the reference stores last_modified: true and false, and ETag \"True\"")
def stamp_true(look, difference):
    text = json.dumps(look.request.get("json"))
    told = ('"last_modified": %s', '"path": "/data/last_modified", "value": %s')
    return any(form % value in text for form in told for value in ("true", "false")) and look.our.status < 500


@rule("newline in an id", "Identifiers", "the reference accepts an id that ends with a line feed")
def newline(look, difference):
    return look.any_part(lambda p: "%0A" in p.path) and look.our.status < 500


@rule("body without a type", "Bodies", "under /buckets/default, and in a batch that has no Content-Type itself, the reference refuses a body without one")
def untyped(look, difference):
    typed = any(h[0] == "Content-Type" and h[1] for h in look.request["headers"])
    if is_batch(look):
        return not typed and difference[:2] == ("part.status", 415)
    return not typed and difference[:2] == ("status", 415) and "/buckets/default" in look.path()


@rule("type and id", "Bodies", "under /buckets/default the reference ignores the Content-Type of a body that has an id, and of none")
def typed_default(look, difference):
    number = look.comparison.part or 0
    part = look.parts[number] if number < len(look.parts) else None
    if part is None or "/buckets/default" not in part.path:
        return False
    kind = part.headers.get("content-type", "")
    if "merge-patch" in kind and '"id"' in json.dumps(part.body) and "null" in json.dumps(part.body):
        return ".data." in difference[0] and difference[1:] == (None, "(absent)")
    if not difference[0].endswith("status"):
        return False
    patch = "json-patch" in kind
    return (not part.body or '"id"' in json.dumps(part.body)) and (difference[2] == 415 or patch and difference[2] == 400)


@rule("kind of id", "Bodies", "an invalid id under /buckets/default is called that of a collection, or of an object")
def kind_of_id(look, difference):
    told = ("Invalid collection id", "Invalid object id")
    if difference in (("status", 400, 406), ("status", 400, 415)):
        return "/buckets/default/collections/" in look.path() and told[0].encode() in look.ref.body
    return "/buckets/default/collections/" in look.path() and look.our.status == 400 and is_told(difference[0]) and all(
        str(v).endswith(told) for v in difference[1:])


@rule("no body", "Bodies", "below /buckets/default, too, no body is no body; the reference takes it for {\"data\": {}}, and so empties what is PUT "
      "and patches nothing")
def no_body(look, difference):
    part = look.part_of(look.our)
    status = part.get("status") if part else look.our.status
    where = difference[0].replace("part.", "")
    if not look.any_part(lambda p: "/buckets/default" in "/v1" + p.path and p.method in ("PUT", "POST", "PATCH") and not p.body):
        return False
    return where == "status" and difference[1:] == (200, 400) or status in (200, 201) and (where.startswith("body.data") or where.lower().endswith("content-length"))


def hollow(value):
    """Does it hold an object that is empty but for nulls?"""
    if isinstance(value, list):
        return any(hollow(v) for v in value)
    return isinstance(value, dict) and (all(v is None for v in value.values()) or any(hollow(v) for v in value.values()))


@rule("merge of an empty object", "Bodies", "a merge patch puts an empty object over a scalar (RFC 7396); the reference keeps the scalar")
def merge_empty(look, difference):
    where, ref, our = difference
    merged = look.any_part(lambda p: "merge-patch" in p.headers.get("content-type", "") and hollow(p.body))
    return merged and (where.replace("part.", "").startswith("body.data.") and isinstance(our, dict)
                       or where.endswith("status") and (ref, our) == (200, 400)
                       or look.our.status == 400 and is_told(where) and "members" in str(look.our.body))


@rule("charset", "Bodies", "a charset in the Content-Type is ignored: JSON is UTF-8")
def charset(look, difference):
    return difference[0].startswith(("body.data", "part.body.data", "body.permissions", "part.body.permissions")) and look.any_part(lambda p: "charset=latin1" in p.headers.get("content-type", "")) \
        and not json.dumps(look.request.get("json"), ensure_ascii=False).isascii()


@rule("NUL after the body", "Bodies", "the reference accepts a NUL after the JSON")
def trailing_nul(look, difference):
    return look.request.get("raw", "").endswith("\0") and look.our.status == 400
