"""Server errors · Wording of JSON errors · Order of errors"""

import json
import re
from urllib.parse import unquote

from .look import json_of
from .rule import failing, rule


# -- Server errors: 500 in the reference, an answer here

COMPARING = re.compile(r"^(lt|gt|min|max)_|^_sort$|^_token$")
BIG_STAMP = re.compile(r'"last_modified": "⟨#raw:\d{19,}⟩"')
ODD_ROOTS = ("/data", "/permissions", "", "/")


def stars(part):
    tags = [part.headers.get(name, "") for name in ("if-match", "if-none-match")]
    return any(tag.strip()[:1] == "*" != tag.strip() for tag in tags)


def patches_a_root(part):
    return part.method == "PATCH" and isinstance(part.body, list) and any(
        isinstance(o, dict) and (o.get("path") in ODD_ROOTS or o.get("from") in ODD_ROOTS
                                 or str(o.get("path")).startswith("/permissions/")) for o in part.body)


failing("500 like", "like_ on a value that is not a string, or missing, or a pattern with regex characters",
        lambda p: any(n.startswith("like_") for n in p.names))
failing("500 order", "comparing or sorting arrays and objects, or values of a broken _token",
        lambda p: any(COMPARING.match(n) for n in p.names))
failing("500 response-behavior", "Response-Behavior light or diff with fields that are not in the new object, or on groups",
        lambda p: p.method == "PATCH" and p.shows_changes)
failing("500 merge patch", "a merge patch that puts an object over a scalar",
        lambda p: p.method == "PATCH" and "merge-patch" in p.type)
failing("500 delete stamp", "DELETE ?last_modified= with anything but bare digits",
        lambda p: p.method == "DELETE" and "last_modified" in p.names)
failing("500 **", "If-Match or If-None-Match: ** and what else begins with a star", stars)
failing("500 json patch root", "a JSON patch that removes or replaces /data or /permissions as a whole", patches_a_root)
failing("500 version", "/__version__ without a version file", lambda p: p.path.endswith("/__version__"))
failing("500 permissions list", "preconditions, POST and DELETE on /permissions",
        lambda p: p.path.rstrip("/").endswith("/permissions") and (
            p.method not in ("GET", "HEAD") or "if-match" in p.headers or "if-none-match" in p.headers))
failing("500 permissions in data", "__permissions__ inside data that is not a mapping of lists",
        lambda p: "__permissions__" in json.dumps(p.body))
failing("500 content-type", "a charset that does not exist", lambda p: "charset=xyz" in p.type)


@rule("token of structures", "Server errors", "a page token that holds arrays or objects is taken; the reference calls its own token invalid")
def structured_token(look, d):
    taken = d.is_status and look.our.status == 200 or b"_token was already used" in look.our.body
    return taken and look.ref.status == 400 and look.any_part(lambda p: any(isinstance(v, (list, dict)) for v in p.token_values))


@rule("order of structures", "Server errors", "arrays and objects have an order here; the reference's is that of its language, where it has one")
def structured_order(look, d):
    if ".data[]" not in d.where:
        return False
    fields = re.search(r"_sort=([^&]*)", unquote(look.asked.query))
    first = [f.lstrip("-").split(".")[0] for f in fields.group(1).split(",")] if fields else []
    items = look.bodies[0]["data"]
    return any(isinstance(item, dict) and isinstance(item.get(f), list) for item in items for f in first)


def bad_escapes(text):
    try:
        unquote(text, errors="strict")
        return False
    except UnicodeDecodeError:
        return True


@rule("500 batch", "Server errors", "a batch that is an array; a 304 inside a batch; a path in a batch that is not ASCII, or not UTF-8 when decoded")
def batch_error(look, d):
    if not look.broken(d) or not look.is_batch:
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
def batch_defaults(look, d):
    body = json_of(look.body)
    if not look.broken(d) or not look.is_batch or not isinstance(body, dict) or not isinstance(body.get("requests"), list):
        return False
    return any(isinstance(r, dict) and unlike(r, body.get("defaults")) for r in body["requests"])


@rule("500 stamp range", "Server errors", "last_modified of 2^63 and more is stored by the reference, then every answer that needs its date fails")
def stamp_range(look, d):
    return look.broken(d) and any(BIG_STAMP.search(json.dumps(r.get("json"), ensure_ascii=False)) for r in look.so_far)


@rule("500 depth", "Server errors", "a body nested some hundred levels deep")
def depth(look, d):
    return look.broken(d) and "[" * 200 in look.request.get("raw", "")


# -- Wording of JSON errors, Order of errors

@rule("wording", "Wording of JSON errors", "another parser; invalid UTF-8 always, some causes")
def wording(look, d):
    return d.where in ("body.message", "body.details[].description") and all(
        isinstance(v, str) and v.startswith("Invalid JSON: ") for v in d.pair) and ("utf-8" in d.ref or "Parse error" in d.ref)


@rule("switched off", "Order of errors", "an endpoint that was switched off by a setting says 405 before it looks for the parent, and at the id in the body")
def switched_off(look, d):
    looked = {(404, 405): b'"errno":111', (400, 405): b'"path: Invalid object id"'}.get(d.pair) if d.is_status else None
    return looked is not None and looked in look.ref.body
