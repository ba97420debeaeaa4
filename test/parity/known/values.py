"""Numbers · Text · Timestamps · Identifiers · Bodies"""

import json
import math
import re
import time
from urllib.parse import unquote

from .lists import one_for_true
from .look import json_of, parts_of, plain
from .rule import rule


# -- Numbers, Text

@rule("digits of big integers", "Numbers", "the reference reads integers beyond 64 bits as doubles, and the last digit not always right")
def digits_of_big_integers(look, d):
    exponent = re.compile(r"\d\.\d+(e\+\d+)")
    return d.is_told and all(exponent.search(str(v)) for v in d.pair) and len({exponent.sub(r"\1", str(v)) for v in d.pair}) == 1


@rule("big integers", "Numbers", "integers beyond 64 bits stay as written; the reference makes doubles of them")
def big_integers(look, d):
    if isinstance(d.ref, float) and isinstance(d.our, int) and not isinstance(d.our, bool):
        return not -2**63 <= d.our < 2**64 and math.isclose(float(d.our), d.ref, rel_tol=1e-15)
    return False


@rule("length of numbers", "Numbers", "numbers stay as written (1.10, 1e1), so a body may be longer or shorter")
def length_of_numbers(look, d):
    return d.is_length and look.said("⟨#raw:")


def has_other_text(request):
    """May an answer to it, or after it, hold what is not ASCII?"""
    body = json.dumps(request.get("json"), ensure_ascii=False).replace("⟨", "").replace("⟩", "")
    raw = request.get("raw", "")
    return not body.isascii() or not raw.isascii() or "\\u" in raw or "%" in request["target"] + body


@rule("length of text", "Text", "text is sent as UTF-8; the reference escapes what is not ASCII, so its bodies are longer")
def length_of_text(look, d):
    longer = d.is_length and None not in d.pair and int(d.ref) > int(d.our)
    return longer and any(has_other_text(r) for r in look.so_far)


# -- Timestamps

@rule("shared time", "Timestamps", "objects of one time (by explicit last_modified) have an order of their own on each side")
def shared_time(look, d):
    if ".data[]" not in d.where:
        return False
    try:
        ref, our = (body["data"] for body in look.bodies)
        same = look.comparison.context.same_stamp
        if len(ref) != len(our) or not all(same(look.comparison.scope, r["last_modified"], o["last_modified"]) for r, o in zip(ref, our)):
            return False
        stamps = [o["last_modified"] for o in our]
        return len(stamps) > len(set(stamps)) or ref[-1]["id"] != our[-1]["id"]  # the end of a page may lie between the two
    except (KeyError, TypeError):
        return False


@rule("last_modified 0", "Timestamps", "the reference stores last_modified: 0 of an update, and that of a new object stays 0 in a PATCH")
def stamp_zero(look, d):
    if not look.said('"last_modified": 0', '"path": "/data/last_modified", "value": 0}'):
        return False
    if d.where.endswith("data.last_modified") and d.ref == "(absent)":
        return True
    return d.ref in (0, '"0"', "Thu, 01 Jan 1970 00:00:00 GMT", "of the ETag") or d.is_length or d.where.endswith("last-modified")


@rule("last_modified true", "Timestamps", "the reference stores last_modified: true and false, and ETag \"True\"")
def stamp_true(look, d):
    text = json.dumps(look.request.get("json"))
    told = ('"last_modified": %s', '"path": "/data/last_modified", "value": %s')
    return (d.is_length or d.where.endswith(("last_modified", "etag", "last-modified"))) and any(
        form % value in text for form in told for value in ("true", "false"))


@rule("tag 0", "Timestamps", "If-Match and If-None-Match: \"0\" are conditions like others; the reference ignores them")
def tag_zero(look, d):
    sent = look.any_part(lambda p: '"0"' in (p.headers.get("if-match"), p.headers.get("if-none-match")))
    return sent and d.is_status and d.ref < 500 and d.ref not in (304, 412) and d.our in (304, 412)


def far_ahead(stamp):
    return int(stamp) > (time.time() + 24 * 3600) * 1000


@rule("own ETag far ahead", "Timestamps", "the reference refuses to be asked from the time that it answered, when that is more than a day ahead")
def own_etag(look, d):
    sent = list(parts_of(dict(look.request, json=json_of(look.body)), look.target))
    asked = [s for p in sent for s in re.findall(r"(?:^|&)(?:_since|_before|_to|(?:\w+_)?last_modified)=\"?(\d+)", unquote(p.query))]
    asked += [value for p in sent for value in p.token_values if isinstance(value, int)]
    ref, our = look.statuses
    return ref == 400 and any(far_ahead(stamp) for stamp in asked) and (
        d.is_status and our == 200 or d.where.startswith("body.") and our == 400)


# -- Identifiers

@rule("newline in an id", "Identifiers", "the reference accepts an id that ends with a line feed")
def newline(look, d):
    return "%0A" in look.asked.path and look.statuses[1] in range(400, 500)


# -- Bodies

@rule("body without a type", "Bodies", "under /buckets/default, and in a batch that has no Content-Type itself, the reference refuses a body without one")
def untyped(look, d):
    typed = any(h[0] == "Content-Type" and h[1] for h in look.request["headers"])
    return not typed and d.is_status and d.ref == 415 and (d.part is not None or not look.is_batch and "/buckets/default" in look.path)


@rule("body of a GET", "Default bucket", "the body of a GET or DELETE has to be JSON under /buckets/default, too")
def needless_body(look, d):
    told = any(text in look.our.body for text in (b"Should be a JSON object or an array", b"Invalid JSON"))
    return told and d.is_status and d.ref in (200, 404) and d.our == 400 and look.asked.in_default and look.asked.method in ("GET", "DELETE")


@rule("type and id", "Bodies", "under /buckets/default the reference ignores the Content-Type of a body that has an id, and of none")
def typed_default(look, d):
    part = look.asked
    if not part.in_default:
        return False
    has_id = '"id"' in json.dumps(part.body)
    if "merge-patch" in part.type and has_id and "null" in json.dumps(part.body):
        return ".data." in d.where and d.pair == (None, "(absent)")
    return d.is_status and (not part.body or has_id) and (d.our == 415 or "json-patch" in part.type and d.our == 400)


@rule("no body", "Bodies", "below /buckets/default, too, no body is no body; the reference takes it for {\"data\": {}}, and so empties what is PUT "
      "and patches nothing")
def no_body(look, d):
    if not look.any_part(lambda p: p.in_default and p.stores and not p.body):
        return False
    return d.is_status and d.pair == (200, 400) or look.statuses[1] in (200, 201) and (d.is_length or d.where.startswith("body.data"))


def hollow(value):
    """Does it hold an object that is empty but for nulls?"""
    if isinstance(value, list):
        return any(hollow(v) for v in value)
    return isinstance(value, dict) and (all(v is None for v in value.values()) or any(hollow(v) for v in value.values()))


@rule("merge of an empty object", "Bodies", "a merge patch puts an empty object over a scalar (RFC 7396); the reference keeps the scalar")
def merge_empty(look, d):
    if not look.any_part(lambda p: "merge-patch" in p.type and hollow(p.body)):
        return False
    return d.where.startswith("body.data.") and isinstance(d.our, dict) or d.is_status and d.pair == (200, 400) \
        or d.is_told and look.our.status == 400 and b"members" in look.our.body


def nested(value):
    return isinstance(value, dict) and any(isinstance(v, dict) for v in value.values())


@rule("refused merge", "Bodies", "a merge patch that is refused changes nothing; the reference keeps in memory what it has merged into objects inside")
def refused_merge(look, d):
    if not d.where.startswith("body.data."):
        return False
    paths = [plain(p.path) for p in look.parts]
    return any(plain(p.path) in paths and "merge-patch" in p.type and isinstance(p.body, dict) and nested(p.body.get("data"))
               and "cache_expires" in json.dumps(p.body)
               for request in look.earlier for p in parts_of(request, request["target"]))


@rule("charset", "Bodies", "a charset in the Content-Type is ignored: JSON is UTF-8")
def charset(look, d):
    if d.is_status and look.our.status == 400 and look.any_part(lambda p: "charset=latin1" in p.type):
        return not look.request.get("raw", "").isascii()
    return (d.is_told or d.where.startswith(("body.data", "body.permissions"))) and look.any_part(lambda p: "charset=latin1" in p.type) \
        and not json.dumps(look.request.get("json"), ensure_ascii=False).isascii()


@rule("NUL after the body", "Bodies", "the reference accepts a NUL after the JSON")
def trailing_nul(look, d):
    return look.request.get("raw", "").endswith("\0") and look.our.status == 400


# -- Response-Behavior

@rule("merged sub-objects", "Response-Behavior", "after a merge patch, light and diff also tell of changes inside a sub-object")
def merged(look, d):
    return d.where.startswith("body.data.") and d.ref == "(absent)" and isinstance(d.our, dict) and look.any_part(
        lambda p: "merge-patch" in p.type and p.shows_changes)


@rule("1 and true", "Response-Behavior", "1 in the place of true is a change; the reference takes them for equal")
def one_is_no_truth(look, d):
    if not look.any_part(lambda p: p.shows_changes):
        return False
    our = d.our
    if d.is_length and d.part is not None:
        body = look.bodies[1]
        our = body.get("data") if isinstance(body, dict) else None
    elif not d.where.startswith("body.data.") or d.ref != "(absent)":
        return False
    return our in (0, 1) or any(word in json.dumps(our) for word in ("true", "false")) or one_for_true(our)
