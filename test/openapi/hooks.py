"""What schemathesis loads beside the description: it leads the generated requests to objects that exist.

Left to itself it would ask for random names and be told 404. Here most names become a few that are made before
each request; most parts of a batch ask for something that there is; and now and then somebody else asks. Which ones
depends on the request alone, so that a seed gives the same requests again.

SEEN names the file that the statuses of each operation are written to: run.py looks whether all were reached.
"""

import atexit
import base64
import collections
import json
import os
import zlib

import requests
import schemathesis
from schemathesis.openapi.checks import MissingContentType

NAMES = ("a", "b-1")
TIMES = ("9999999999999", "5")
PARENTS = (("bucket_id", "buckets"), ("group_id", "groups"), ("collection_id", "collections"), ("record_id", "records"))
TARGETS = (
    "/", "/v1/buckets", "/buckets/a", "/buckets/a/collections", "/buckets/a/collections/b-1", "/buckets/default",
    "/buckets/a/collections/b-1/records", "/buckets/a/collections/b-1/records/a", "/buckets/a/groups/a", "/buckets/b-1/",
    "/buckets/default/collections/a/records", "/permissions", "/__heartbeat__", "/nope",
)
STRANGERS = {0: "bob", 1: None}  # of 16 requests; the others are alice's

session = requests.Session()
seen = collections.defaultdict(collections.Counter)
there = set()  # paths of objects that were made and have not been touched since


def number_of(value):
    return zlib.crc32(repr(value).encode())


def existing(value, names=NAMES, case=None):
    """Of four values, one stays; of one value that many requests share, it does in a quarter of them."""
    number = number_of((value, case))
    return names[number // 4 % len(names)] if number % 4 else value


def authorization(user):
    return "Basic " + base64.b64encode((user + ":secret").encode()).decode()


def lead_body(body):
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("data"), dict) and "id" in body["data"]:
        return dict(body, data=dict(body["data"], id=existing(body["data"]["id"])))
    if isinstance(body.get("requests"), list):
        return dict(body, requests=[
            dict(part, path=existing(part["path"], TARGETS)) if isinstance(part, dict) and "path" in part else part
            for part in body["requests"]])
    return body


def lead_account(case):
    """A name and a password, which all accounts must have, for three bodies of four."""
    if case.path.startswith("/accounts") and isinstance(case.body, dict) and number_of(case.body) % 4:
        data = case.body.get("data")
        given = {"password": "secret", "id": case.path_parameters.get("id") or NAMES[number_of(case.body) // 4 % 2]}
        case.body = dict(case.body, data=dict(data if isinstance(data, dict) else {}, **given))


def is_time(case, name):
    return name == "timestamp" or name == "id" and "/revisions/" in case.path


def lead(case):
    """Names and bodies; half of the requests go without what would hardly ever fit."""
    whole = number_of((case.path_parameters, case.query, case.headers, case.body))
    drop = whole % 2
    case.path_parameters = {
        name: existing(value, TIMES if is_time(case, name) else NAMES, whole) for name, value in (case.path_parameters or {}).items()}
    case.body = lead_body(case.body)
    lead_account(case)
    if drop:
        case.query = {k: v for k, v in (case.query or {}).items() if k != "_token"}
        case.headers = {k: v for k, v in (case.headers or {}).items() if k.lower() not in ("if-match", "if-none-match")}


def make(base, path):
    """Makes it, and alice may write it, whoever made it before."""
    if path not in there:
        alice = {"Authorization": authorization("alice")}
        user = session.get(base + "/", headers=alice).json()["user"]["id"]
        data = {"data": {"password": "secret"}} if path.startswith("/accounts/") else {}
        session.put(base + path, headers=alice, json=dict(data, permissions={"write": [user]}))
        there.add(path)


def make_what_it_is_about(base, case):
    """The parents of the object, and three times of four the object."""
    path, names = "", case.path_parameters or {}
    for parameter, plural in PARENTS:
        if names.get(parameter) in NAMES:
            path += "/%s/%s" % (plural, names[parameter])
            make(base, path)
    if names.get("id") in NAMES and number_of(case.query) % 4:
        make(base, "%s/%s/%s" % (path, case.path.split("/")[-2], names["id"]))


@schemathesis.hook
def before_call(context, case, kwargs):
    lead(case)
    make_what_it_is_about(os.environ["BASE_URL"], case)
    user = STRANGERS.get(number_of((case.path_parameters, case.query, case.body)) % 16, "alice")
    case.headers = dict(case.headers or {})
    case.headers.pop("Authorization", None)
    if user:
        case.headers["Authorization"] = authorization(user)


@schemathesis.hook
def after_call(context, case, response):
    seen[case.operation.label][response.status_code] += 1
    if case.method not in ("GET", "HEAD", "OPTIONS"):
        there.clear()


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """OpenAPI 2.0 names media types by operation. A 304 has no content (RFC 9110, 15.4.5), so it has no type either."""
    return not (response.status_code == 304 and isinstance(failure, MissingContentType))


@atexit.register
def write_seen():
    with open(os.environ["SEEN"], "w") as out:
        json.dump(seen, out)
