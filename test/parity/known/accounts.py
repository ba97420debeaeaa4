"""Accounts"""

import base64
import json
import re

from .lists import of_a_list
from .look import Part, parts_of, plain
from .rule import failing, rule

HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
FAR = re.compile(r"\b\d{14,}\b")  # a time in the future, as the generator writes it


def is_list(part):
    return plain(part.path) == "/accounts"


def credentials_of(part):
    try:
        name, _, password = base64.b64decode(part.headers["authorization"].partition(" ")[2]).decode().partition(":")
        return name, password
    except (KeyError, ValueError):
        return "", ""


def name_of_user(look):
    """Empty: anonymous."""
    given = dict(look.headers, **{name.title(): value for name, value in look.asked.headers.items()}).get("Authorization", "")
    return credentials_of(Part("", "", [("Authorization", given)], None))[0]


def of_accounts(part):
    return plain(part.path).startswith("/accounts")


def timed(part):
    return any(name in ("_since", "_to", "_before") or "last_modified" in name for name in part.names)


@rule("one list", "Accounts", "all accounts are one list: its ETag changes with each of them; in the reference each is a list of its own")
def one_list(look, d):
    asked = look.asked
    if d.where == "header etag":  # of an account that the user may not see, or that is not there, it is that of the list
        return of_accounts(asked) and look.statuses == (412, 412)
    conditional = "if-match" in asked.headers or "if-none-match" in asked.headers
    if not is_list(asked):  # a tag of the list is also that of the newest account
        return conditional and of_accounts(asked) and d.is_status and d.pair in ((200, 304), (412, 304))
    if asked.method == "POST":
        return False
    return conditional and d.is_status and sorted(d.pair) in ([200, 304], [200, 412], [304, 400], [304, 412]) or timed(asked) and of_a_list(look, d)


@rule("unusable password", "Accounts", "a password longer than 72 bytes, or with a NUL, is refused; the reference answers 500 to the first, and hashes the "
      "beginning of the second")
def unusable_password(look, d):
    refused = "A password has 1 to 72 bytes, none of them NUL" in json.dumps(look.bodies[1])
    told = d.is_told or d.where.startswith("body.details[]") or d.where in ("header content-security-policy", "header x-content-type-options")
    return refused and (d.is_status and d.ref in (500, 201, 200, 412) or told)


def is_hash(value):
    return isinstance(value, str) and bool(HASH.fullmatch(value))


@rule("password by JSON patch", "Accounts", "a password that a JSON patch sets is hashed; the reference stores it as it was sent")
def patched_password(look, d):
    patch = look.asked.method == "PATCH" and "json-patch" in look.asked.type and "/data/password" in json.dumps(look.asked.body)
    return patch and d.where == "body.data.password" and is_hash(d.our) and not is_hash(d.ref) or d.is_length and patch


@rule("password again", "Accounts", "in a batch that gives an account the same password again, its hash is that of the first time")
def password_again(look, d):
    if d.part is None or d.where != "body.data.password" or not all(map(is_hash, d.pair)):
        return False
    return any(json.dumps(look.asked.body["data"]["password"]) in json.dumps(p.body) for p in look.parts[: d.part])


@rule("permissions for strangers", "Accounts", "the permissions of an account that anonymous readers may read are not shown to them")
def for_strangers(look, d):
    return not name_of_user(look) and of_accounts(look.asked) and d.where.startswith("body.permissions.") and d.our == "(absent)"


@rule("time ahead of an account", "Accounts", "a last_modified in the future is as if it were not there, since it would move the clock of all accounts")
def time_ahead(look, d):
    wanted = FAR.findall(look.asked.query + " " + json.dumps(look.asked.body))
    return of_accounts(look.asked) and d.where in ("body.data.last_modified", "header etag", "header last-modified", "header content-length") \
        and any(time in json.dumps(look.bodies[0]) for time in wanted)


def sign_ups(request):
    """Bodies of those, also where a body means nothing: mappings, or None."""
    for part in parts_of(request, request["target"]):
        if is_list(part):
            yield None if "raw" in request or not isinstance(part.body, dict) or not isinstance(part.body.get("data", {}), dict) else part.body


@rule("500 sign-up", "Server errors", "a sign-up with a body that is no mapping, or whose data or id are of another kind; and after an id "
      "that was a number or a boolean, whatever looks through all lists")
def broken_sign_up(look, d):
    def odd(body, kinds):
        return body is not None and isinstance(body.get("data", {}).get("id", ""), kinds)

    now = any(body is None or odd(body, (dict, list)) for body in sign_ups(look.request))
    return look.broken(d) and (now or any(odd(body, (bool, int, float, type(None))) for request in look.so_far for body in sign_ups(request)))


failing("500 long password", "logging in with a password that is longer than 72 bytes", lambda p: len(credentials_of(p)[1].encode()) > 72)


@rule("names as patterns", "Accounts", "in the memory backend of the reference names are regular expressions, so that a + in one fits nothing")
def names_as_patterns(look, d):
    return "+" in name_of_user(look) and is_list(look.asked) and look.asked.method != "POST" and of_a_list(look, d)


@rule("user of a part", "Batch", "whose the parts of a batch are is known before the first one begins: what it does to accounts counts for the next request")
def user_of_a_part(look, d):
    name = credentials_of(look.asked)[0] or look.request.get("user")
    before = look.parts[: look.part or 0]
    return bool(name) and any(p.method not in ("GET", "HEAD") and (plain(p.path) == "/accounts/" + name or is_list(p)) for p in before)
