"""Sequences of requests from a seed.

A request is plain data, so that it can be cut down, printed and sent to both servers:
    {"id", "method", "target", "user", "headers": [[name, value]], "json": value} or "raw": text (one char a byte)
What a server must tell first is a symbol, which each side replaces by what it answered itself (resolve.py):
    ⟨ts:ID⟩ ⟨ts:ID:+N⟩ timestamp in request ID's answer · ⟨id:ID⟩ id of the object it made ·
    ⟨next:ID⟩ path of its Next-Page · ⟨token:ID⟩ the token in it; ⟨#...⟩ inside JSON loses its quotes.
    ID can be N.M: part M of batch N.
Ids, users and values are few, so that requests meet each other's objects. Ids are no prefixes of one another
(the reference forgets the wrong tombstones there), and a sequence that sorts by id or asks for /permissions (sorted by
URI) makes no object with a generated id.
"""

import base64
import json
import random
from urllib.parse import quote

from accounts import ADMIN, LIST, NAMES, AccountRequests, clock_of
from schemas import Schemas

USERS = (None, "alice", "bob", "carol")
BUCKETS = ("b-1", "b-2")
COLLECTIONS = ("c-1", "c-2")
GROUPS = ("g-1", "g-2")
RECORDS = ("r-1", "r-2", "r-3", "r-4", "r-5")
KINDS = {"bucket": BUCKETS, "collection": COLLECTIONS, "group": GROUPS, "record": RECORDS, "account": NAMES}
PERMISSIONS = {
    "bucket": ("read", "write", "collection:create", "group:create"),
    "collection": ("read", "write", "record:create"),
    "group": ("read", "write"),
    "record": ("read", "write"),
    "account": ("read", "write"),
}
OLD = ("1234", "1500000000000")

SCALARS = (None, True, False, 0, 1, 1, 2, 2, 3, -1, 1.0, 1.5, "", "a", "a", "abc", "A", "b", "1", "2", "true", "null",
           "é", "日本", "a*b", "x.y", "\U0001f600", 'q"q', "a\\b", "line\nbreak")
ODD_NUMBERS = ("1e1", "1.10", "-0.0", "1E+2", "0.1e-6", "9007199254740993", "9223372036854775807",
               "9223372036854775808", "18446744073709551615", "-9223372036854775808", "-9223372036854775809",
               "18446744073709551616", "123456789012345678901234567890", "1.7976931348623157e308", "5e-324", "1e22",
               "0.30000000000000004", "100000000000000000000.5")
ARRAYS = ([], ["a"], ["a", "b"], ["b", "a"], [1], [1, 2], [1, "a", None], [True], [["a"]], [{"x": 1}])
OBJECTS = ({}, {"x": 1}, {"x": 2, "y": "a"}, {"x": {"y": 1}}, {"x": None}, {"x": [1]}, {"y": {"z": "b"}})
FIELDS = ("n", "n", "s", "s", "l", "o", "a.b", "é", "", "m")
PATHS = ("n", "n", "s", "s", "l", "o.x", "o.y", "o.x.y", "a.b", "m", "m.x", "é", "deleted", "schema")
OPERATORS = ("", "", "not_", "min_", "max_", "lt_", "gt_", "in_", "exclude_", "like_", "has_", "contains_",
             "contains_any_")
RAW_VALUES = ("", "1", "2", "1.0", "-1", "1.5", '"1"', "a", "abc", '"a"', "A", "true", "false", "null", "a*", "*b*", "*",
              "é", '"é"', "[1]", '["a"]', '["a","b"]', '[1,"a"]', "[]", "{}", '{"x":1}', "a,b", "1,2", '"a","1"', "1,",
              ",", "[1", "{", "NaN", "Infinity", "1e400", "1e1", "0", "-0", "01", "+1", " 1", "1 ", "tru", "'a'", "\\", "%")
BAD_BODIES = (
    b"{", b"[", b"1", b"null", b'"s"', b"[]", b"[1]", b"true", b'{"data":1}', b'{"data":null}', b'{"data":[]}',
    b'{"data":"x"}', b'{"data":true}', b'{"data":1.50}', b'{"foo":1}', b'{"data":{},"foo":1,"bar":[null,true]}',
    b'{"data":{"a":NaN}}', b'{"data":{"a":1},}', b"\xef\xbb\xbf{}", b'{"data":{"a":"\\ud800"}}', b'{"data":{"a":"\xff"}}',
    b'{"data":{"a":1e400}}', b'{"data":{"a":-1e400}}', b'{"data":{"a":01}}', b'{"data":{"a":.5}}', b'{"data":{"a":1.}}',
    b'{"data":{"a":+1}}', b"{'data':{}}", b'{"data":{"a":"\t"}}', b'{"data":{"a":"\\x"}}', b'{"data":{"a":"\\u12"}}',
    b'{"data":{}} x', b'{"data":{}}{}', b'{"data":{/**/}}', b'{"data":{"a":tru}}', b'{"data":{"a"}}', b'{"data" {}}',
    b'{"data":{"a":1 "b":2}}', b'{"data":{"a":[1,]}}', b'{"data":{"a":[1 2]}}', b'{"data":{"a":"x}}', b"{]", b"}",
    b'{"data":{"a":1,"a":2}}', b' \n\t{"data":{}}\r\n', b'{"data":{"\\u0000":"\\u0000"}}', b'{"data":{"a":"\\ud83d\\ude00"}}',
    b'{"data":{"a":"\\u00e9\\/\\b\\f"}}', b'{"data":{"":1}}', b"", b" ", b"nul", b'{"data":{"a":Infinity}}',
    b'{"data":{"a":-}}', b'{"data":{"a":1e}}', b'{"data":{"__proto__":{"x":1}}}', b"{\"data\":{\"a\":\"\xc3\x28\"}}",
    b'{"data":{}}\0', b'{"data":{"a":' + b"[" * 500 + b"]" * 500 + b"}}", b"{\"data\":{\"a\":\"\xed\xa0\x80\"}}", b'{"data":{1:2}}', b'{"data":{"a":"\\udc00"}}',
)
RIGHTS_FIELDS = ("uri", "resource_name", "bucket_id", "collection_id", "group_id", "record_id", "id")
RIGHTS_VALUES = {
    "uri": ("/", "/buckets/b-1", "/buckets/b-1/collections/c-1", "/buckets/b-2/groups/g-1", "records", "*b-1*"),
    "resource_name": ("bucket", "collection", "group", "record", "root", "x"),
    "bucket_id": ("b-1", "b-2", "x"),
    "collection_id": ("c-1", "c-2", "x"),
    "group_id": ("g-1", "g-2", "x"),
    "record_id": ("r-1", "r-2", "x"),
    "id": ("b-1", "c-1", "g-1", "r-1", "x"),
}
HISTORY_VALUES = {
    "uri": ("/buckets/b-1", "/buckets/b-1/collections/c-1", "/buckets/b-1/collections/c-1/records/r-1", "/buckets/b-1/groups/g-1", "*c-1*", "records"),
    "action": ("create", "update", "delete", "x"),
    "resource_name": ("bucket", "collection", "group", "record", "x"),
    "user_id": ("basicauth:x", "null", "*basic*"),
    "bucket_id": ("b-1", "b-2", "1"),
    "collection_id": ("c-1", "c-2", "1", "12.5"),
    "group_id": ("g-1", "g-2", "1"),
    "record_id": ("r-1", "r-2", "r-3", "1"),
    "target.data.id": ("r-1", "c-1", "b-1"),
    "target.data.n": ("1", "2", "a"),
    "target.data.deleted": ("true",),
    "deleted": ("true", "false"),
    "date": ("2020-01-01", "2999", "x"),
    "id": ("x", "r-1"),
    "n": ("1",),
    "target": ("1",),
    "target.permissions.read": ("system.Everyone",),
}
BAD_PERMISSIONS = (
    1, [], None, "read", True, {"foo": []}, {"read": 1}, {"read": "x"}, {"read": [1]}, {"read": None}, {"read": [""]},
    {"read": [None, "a"]}, {"read": {}}, {"write": {"a": 1}}, {"bucket:create": ["a"]}, {"record:create": ["a"]},
    {"foo": 1, "bar": 2, "read": 3}, {"read": ["a", "a"]}, {"read:attributes": ["a"]}, {"read": True}, {"": []},
    {"read": [["a"]]}, {"read": [1.5, True]}, {"read": [{}]}, {"é": []},
)
BAD_MEMBERS = (1, "a", [1], ["system.Everyone"], ["/buckets/b-1/groups/g-1"], ["system.Authenticated"], None, [""], [1, "a", 2],
               ["a", None], {}, True, [["a"]], {"a": 1}, ["a", "a"], ["/buckets/"], ["/foo"], [1.5], ["basicauth:x", "system.Everyone"])
BAD_IDS = (1, None, "", "a b", "_a", "-a", "a/b", "é", "a.b", True, [], {}, 1.5, "a" * 300, "A_-9", "a@b", "default")
BAD_PATH_IDS = ("a%20b", "_a", "-a", "%C3%A9", "a.b", "a%2Fb", "%00", "a%00", "%22", "a+b", "a@b", "..", "%2E%2E", "r%2D1",
                "%72-1", "%ff", "%c3%28", "~a", "a;b", "a:b", "A_-9", "%25", "0", "a" * 200, "a%09", "a,b", "é", "r-1%0A")
BAD_TAGS = ('1234', 'W/"1"', '"abc"', '', '"1', '"-1"', '"1.5"', '""', 'abc', '"1", "2"', ' "1234" ', '"01"', '"0"', '*,*', "'1'", '" 1"', '"*"')
CONTENT_TYPES = ("text/plain", "application/json; charset=utf-8", "application/json;charset=latin1", "APPLICATION/JSON", "garbage",
                 "application/merge-patch+json", "application/json-patch+json", "application/x-www-form-urlencoded",
                 "multipart/form-data", "", "application/vnd.api+json", "application/json; charset=xyz", "application/json-patch+json; charset=utf-8")
ACCEPTS = ("*/*", "application/json", "text/html", "text/html, application/json;q=0.5", "application/*", "text/*;q=0.1",
           "garbage", "", "application/json;q=0", "image/png, */*;q=0.1", "application/xml", "text/plain")
CREDENTIALS = ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"nocolon").decode(),
               "Basic " + base64.b64encode(b":pw").decode(), "basic " + base64.b64encode(b"alice:pw").decode(),
               "BASIC " + base64.b64encode(b"bob:pw").decode(), "Bearer abc", "Foo", "Digest x", "",
               "Basic " + base64.b64encode(b"alice:").decode(), "Basic " + base64.b64encode(b"alice:pw:x").decode(),
               "Basic " + base64.b64encode("é:é".encode()).decode(), "Basic " + base64.b64encode(b"\xff:\xfe").decode(),
               "Basic  " + base64.b64encode(b"alice:pw").decode(), "Basic " + base64.b64encode(b"alice:pw").decode().rstrip("="),
               "Token " + base64.b64encode(b"alice:pw").decode(), "Basic " + base64.b64encode(b"alice:other").decode())
BAD_CONTROLS = (
    "_since=abc", "_since=1.5", "_since=-1", "_since=true", "_since=null", "_since=", "_since=99999999999999",
    "_since=1&_since=2", '_since="abc"', "_since=[]", "_since={}", '_since="1"', "_since=1", "_since=%221.5%22", "_since=1e3",
    "_before=abc", "_before=5", '_before="5"', "_before=null", "_before=-5", "_to=5", "_to=abc", '_to="5"', "_to=null",
    "_limit=abc", "_limit=-1", "_limit=0", "_limit=2.5", "_limit=1e1", '_limit="2"', "_limit=", "_limit=null",
    "_limit=true", "_limit=99999999999999999999", "_limit=1&_limit=2", "_limit=[1]", "_limit=1.0", "_limit=%202", "_limit=01",
    "_token=abc", "_token=", "_token=e30=", "_token=W10=", "_token=bnVsbA==", "_token=eyJsYXN0X29iamVjdCI6MX0=", "_token=%ff",
    "_token=eyJsYXN0X29iamVjdCI6e30sIm9mZnNldCI6MH0=", "_token=MQ==", "_token=1", "_token=eyJsYXN0X29iamVjdCI6W119",
    "_sort=", "_sort=*", "_sort=-", "_sort=v..x", "_sort=,n", "_sort=n,,s", "_sort=n&_sort=s", "_sort=%C3%A9", "_sort=n%20",
    "_sort=--n", "_sort=-n.", "_sort=.n", "_sort=+n", "_sort=1", "_sort=n;s",
    "_fields=", "_fields=n&_fields=s", "_fields=,", "_fields=*", "_fields=1", "_fields=%22n%22", "_fields=.", "_fields=n.",
    "_foo=1", "__foo=1", "_=1", "=1", "not_=1", "in_=1", "n", "n=1&n=2", "%00=1", "n=%00", "n=a%00b", "_since=%00", "_foo=%00",
    "n=%ff", "a%ffb=1", "last_modified=abc", "last_modified=1", 'last_modified="1"', "last_modified=true", "last_modified=1.5",
    "gt_last_modified=1", 'min_last_modified="1"', "max_last_modified=abc", "lt_last_modified=5", "not_last_modified=5",
    "like_last_modified=1", "has_last_modified=true", "in_last_modified=1", "exclude_last_modified=1",
    "contains_last_modified=1", "contains_any_last_modified=1", "gt_last_modified=null", "last_modified=", "last_modified=null",
    "id=1", "in_id=1", "in_id=r-1,1", "exclude_id=1", "contains_id=a", "contains_any_id=a", "has_id=true", "has_id=false",
    "like_id=1", "gt_id=1", "id=null", "id=true", "id=[]", "not_id=1", "in_id=", "exclude_id=", "id=", "min_id=null",
    "deleted=true", "deleted=false", "has_deleted=true", "not_deleted=true", "_to=5&_since=abc&_limit=x", "a..b=1", ".a=1", "a.=1",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
UTILITIES = ("/v1/", "/v1/__heartbeat__", "/v1/__lbheartbeat__", "/v1/__version__", "/v1/contribute.json", "/v1/__flush__", "/v1/__counters__",
             "/v1/batch", "/v1/permissions", "/v1/nope", "/v1/__user_data__/basicauth:x", "/v1/buckets")
STRANGE_URLS = (
    "/", "/v1", "/v1//", "/v1/nope", "/v1/nope/", "/v1/nope?a=1", "/v2/", "/v2", "/v0/buckets", "/v1.1/", "/v10/buckets", "/V1/",
    "/buckets", "/buckets?_a=1&b=%20", "/buckets/", "/nope", "/nope/", "/favicon.ico", "/v1/buckets/", "/v1/buckets/b-1/",
    "/v1/buckets/?_limit=1", "/v1/buckets//b-1", "/v1//buckets", "/v1/buckets/b-1/nope", "/v1/buckets/b-1/collections/c-1/nope",
    "/v1/buckets/b-1/collections//records", "/v1/buckets/%ff", "/v1/buckets?a=%ff", "/v1/%62uckets", "/v1/buckets/b-1/collections/",
    "/v1/buckets/b-1/collections/c-1/records/r-1/", "/v1/buckets/b-1/collections/c-1/records/r-1/x", "/v1/batch/", "/v1/?a=1",
    "/v1/__heartbeat__/", "/v1/permissions/", "/__heartbeat__", "/v1/buckets/default/", "/v1/buckets/default/nope",
    "/v1/buckets/default/collections/", "/v1/accounts", "/v1/__api__/", "/v1/admin", "/v1/./buckets", "/v1/buckets/../buckets",
    "/v1/Buckets", "/v1/buckets;a=1", "/v1/buckets#x", "/v1/buckets?", "/v1/buckets??", "/%2Fv1/buckets", "/v1/buckets/b-1?x",
)
ORIGINS = ("http://o.example", "https://a.example", "https://x.b.example", "null", "http://localhost:3000", "")


def basic(user):
    return "Basic " + base64.b64encode(("%s:pw" % user).encode()).decode()


class Generator(AccountRequests):
    def __init__(self, rng, profile, principals, size):
        self.rng = rng
        self.profile = profile
        self.size = size
        self.requests = []
        self.tagged = {}  # plural URL -> ids of requests whose answer probably has an ETag
        self.asked = {}  # URL -> id of the last request there
        self.made = {}  # plural URL -> ids of requests that make an object under a generated id
        self.by_id = rng.random() < 0.5  # this sequence sorts and compares ids, so it generates none
        self.live = {}  # plural URL -> {id: user who made it}, as far as a generator can guess
        self.buckets = BUCKETS + (("default",) if rng.random() < 0.4 and not profile.accounts else ())
        self.principals = tuple(principals.values()) * 2 + (
            "system.Everyone", "system.Authenticated", "/buckets/b-1/groups/g-1", "/buckets/b-2/groups/g-2", "unknown", "basicauth:x",
            "é") + (tuple("account:" + name for name in NAMES) if profile.accounts else ())

    # -- small choices

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, seq):
        return seq[self.rng.randrange(len(seq))]

    def user(self):
        return self.rng.choices((USERS + (ADMIN,))[: len(self.profile.users)], self.profile.users)[0]

    def value(self):
        r = self.rng.random()
        if r < 0.70:
            return self.pick(SCALARS)
        if r < 0.80:
            return self.pick(ARRAYS)
        if r < 0.90:
            return self.pick(OBJECTS)
        if r < 0.95:
            return "⟨#raw:%s⟩" % self.pick(ODD_NUMBERS)
        return self.pick(RAW_VALUES)

    def field_value(self, field):
        """Most values fit their field, so that sorting and comparing seldom meets what the reference cannot order."""
        if field == "o":
            return self.pick(OBJECTS)
        if field == "l":
            return self.pick(ARRAYS)
        if self.chance(0.93):
            return self.pick(SCALARS)
        return self.value()

    def data(self):
        fields = self.rng.sample(sorted(set(FIELDS)), self.rng.randrange(0, 4))
        return {f: self.field_value(f) for f in fields}

    def last_modified(self, plural):
        r = self.rng.random()
        if r < 0.25 or plural == LIST and r >= 0.35:
            return self.rng.randrange(1, 10**6)
        if r < 0.35:
            return self.pick(("abc", 1.5, None, "1234", [], {}, -5, 0, "", "⟨#raw:1e3⟩"))
        if r < 0.39:
            return self.pick((99999999999999, True, "⟨#raw:9223372036854775808⟩"))
        return "⟨#%s⟩" % self.stamp(plural, offsets=("", "", ":+1000000", ":-1000000"))

    def stamp(self, plural, offsets=("",)):
        known = self.tagged.get(plural)
        if not known:
            return "raw:" + self.pick(OLD)
        return "ts:%s%s" % (self.pick(known[-4:]), self.pick(offsets))

    def permissions(self, kind):
        if self.chance(0.06):
            return self.pick(BAD_PERMISSIONS)
        names = list(PERMISSIONS[kind])
        chosen = self.rng.sample(names, self.rng.randrange(0, min(3, len(names)) + 1))
        return {n: self.rng.sample(self.principals, self.rng.randrange(0, 3)) for n in chosen}

    # -- URLs

    def plural(self, kind=None):
        if kind is None and self.profile.accounts and self.chance(0.4):
            kind = "account"
        kind = kind or self.rng.choices(("bucket", "collection", "group", "record"), (2, 3, 2, 8))[0]
        if kind == "account":
            return kind, LIST
        if kind == "bucket":
            return kind, "/v1/buckets"
        bucket = self.holder("/v1/buckets", self.buckets)
        if kind != "record":
            return kind, "/v1/buckets/%s/%ss" % (bucket, kind)
        collection = self.holder("/v1/buckets/%s/collections" % bucket, COLLECTIONS)
        return kind, "/v1/buckets/%s/collections/%s/records" % (bucket, collection)

    def holder(self, plural, names):
        there = sorted(self.live.get(plural, {}))
        if there and self.chance(0.8):
            return self.pick(there)
        return self.pick(names) if self.chance(0.9) else self.pick(BAD_PATH_IDS)

    def object_id(self, kind, plural):
        if self.chance(0.03):
            return self.pick(BAD_PATH_IDS)
        made = self.made.get(plural)
        if made and self.chance(0.15):
            return "⟨id:%s⟩" % self.pick(made)
        if kind == "bucket":
            return self.pick(self.buckets)
        if kind == "account":
            return self.account_name()
        return self.pick(KINDS[kind])

    def object(self):
        kind, plural = self.plural()
        there = self.live.get(plural)
        if there and self.chance(0.65):
            return kind, plural, "%s/%s" % (plural, self.pick(sorted(there)))
        return kind, plural, "%s/%s" % (plural, self.object_id(kind, plural))

    def existing(self):
        """Mostly an object that is probably there."""
        found = [(plural, name) for plural, there in sorted(self.live.items()) for name in sorted(there)]
        if not found or self.chance(0.25):
            return self.object()
        plural, name = self.pick(found)
        return plural.rsplit("/", 1)[1][:-1], plural, "%s/%s" % (plural, name)

    def who(self, target):
        """Mostly somebody who may: the one who made the object, or what holds it."""
        if self.chance(0.25):
            return self.user()
        parts = target.split("?")[0].split("/")
        for end in range(len(parts), 3, -1):
            made = self.live.get("/".join(parts[: end - 1]), {})
            if parts[end - 1] in made:
                return made[parts[end - 1]]
        return self.user()

    def guess(self, method, target, user, plural):
        """What the request probably did to `live`."""
        target = target.split("?")[0]
        if not plural or target.startswith("⟨"):
            return
        there = self.live.setdefault(plural, {})
        name = target[len(plural) + 1:]
        if method == "PUT" and name and plural.count("/") == 2:
            there.setdefault(name, name if plural == LIST else user)
        elif method == "PUT" and name and self.who_made(plural):
            there.setdefault(name, user)
        elif method == "DELETE" and name in there and user == there[name]:
            del there[name]
            for below in [p for p in self.live if p.startswith(target + "/")]:
                del self.live[below]

    def who_made(self, plural):
        holder = plural.rsplit("/", 1)[0]
        return self.live.get(holder.rsplit("/", 1)[0], {}).get(holder.rsplit("/", 1)[1])

    # -- query strings

    def query_value(self, text):
        return quote(text, safe="*,:" if self.chance(0.8) else "")

    def filter(self):
        op = self.pick(OPERATORS)
        path = self.pick(PATHS)
        if self.by_id and self.chance(0.1):
            path = "id"
        if path == "id":
            text = self.pick(RECORDS + ("zz", "r-1,r-3", "r", '"r-2"'))
        elif op == "has_":
            text = self.pick(("true", "false", "true", "false", "null", "0", "abc", "", '"false"'))
        elif op == "like_":
            text = self.pick(("a", "A", "a*", "*b*", "b", "*", "é", "", '"1"', "1", "null", "a*b", "q", "日", "a**b", "*a"))
            path = path if self.chance(0.1) else "s"
        elif op in ("contains_", "contains_any_"):
            text = self.pick(("a", '["a"]', '["a","b"]', "1", '["1"]', '[1,"a"]', "[]", "null", '{"x":1}', "[[\"a\"]]", "a,b", '"a"'))
            path = path if self.chance(0.3) else "l"
        elif op in ("in_", "exclude_"):
            path = path if self.chance(0.3) else self.pick("ns")
            text = self.pick(("1,2", "a,b", "1", "a", '"1",2', "null,1", "true,false", "", "1,,2", "[1,2]", "1.0", "é,a"))
        else:
            text = self.pick(RAW_VALUES)
        return "%s=%s" % (quote(op + path, safe="."), self.query_value(text))

    def time_filter(self, plural):
        name = self.pick(("_since", "_since", "_before", "_to", "gt_last_modified", "min_last_modified", "lt_last_modified",
                          "max_last_modified", "last_modified", "not_last_modified"))
        stamp = "⟨%s⟩" % self.stamp(plural)
        return "%s=%s" % (name, "%22" + stamp + "%22" if self.chance(0.4) else stamp)

    def sort(self):
        fields = ["n", "s", "m", "o.x", "last_modified", "l"] + (["id"] if self.by_id else []) + ["a.b"]
        weights = [8, 8, 3, 2, 4, 0.3] + ([4] if self.by_id else []) + [2]
        count = self.pick((1, 1, 2, 2, 3))
        chosen = []
        while len(chosen) < count:
            f = self.rng.choices(fields, weights)[0]
            if f not in [c.lstrip("-") for c in chosen]:
                chosen.append(("-" if self.chance(0.4) else "") + f)
        return "_sort=" + ",".join(chosen)

    def query(self, plural, bad=0.15):
        """At most one has_ filter: the reference forgets the filters before it."""
        parts = []
        while self.chance(0.45) and len(parts) < 3:
            part = self.filter()
            if not (part.startswith("has_") and any(p.startswith("has_") for p in parts)):
                parts.append(part)
        if self.chance(0.25):
            parts.append(self.time_filter(plural))
        if self.chance(0.35):
            parts.append(self.sort())
        if self.chance(0.2):
            parts.append("_limit=%d" % self.pick((1, 2, 3, 0, 10)))
        if self.chance(0.12):
            parts.append("_fields=" + self.pick(("n", "n,s", "o.x", "o", "a.b", "m", "id", "last_modified", "o.x,o.y", "o.x.y,n", "é")))
        if self.chance(bad):
            parts.append(self.pick(BAD_CONTROLS))
        self.rng.shuffle(parts)
        has = [i for i, p in enumerate(parts) if p.startswith("has_")]
        if has and self.chance(0.8):
            parts.insert(0, parts.pop(has[0]))
        return "?" + "&".join(parts) if parts else ""

    def rights_query(self):
        """Of /permissions: its own fields, which are all that it knows, and now and then others."""
        parts = []
        while self.chance(0.5) and len(parts) < 3:
            field = self.pick(RIGHTS_FIELDS) if self.chance(0.95) else self.pick(PATHS)
            op = self.pick(("", "", "", "not_", "in_", "exclude_", "like_", "gt_", "min_", "lt_", "max_"))
            if op == "like_" or field == "uri":
                field = "uri"
            value = self.pick(RIGHTS_VALUES.get(field, ("b-1", "x")))
            if op in ("in_", "exclude_"):
                value += "," + self.pick(RIGHTS_VALUES.get(field, ("b-2", "y")))
            parts.append("%s%s=%s" % (op, field, self.query_value(value)))
        if self.chance(0.15):
            parts.append("has_%s=%s" % (self.pick(RIGHTS_FIELDS), self.pick(("true", "false"))))
            parts.insert(0, parts.pop())
        if self.chance(0.4):
            chosen = self.rng.sample(RIGHTS_FIELDS + ("last_modified",), self.pick((1, 1, 2, 3)))
            parts.append("_sort=" + ",".join(("-" if self.chance(0.4) else "") + f for f in chosen))
        if self.chance(0.3):
            parts.append("_limit=%d" % self.pick((1, 2, 3, 0, 10)))
        if self.chance(0.15):
            parts.append("_fields=" + self.pick(("uri", "id,uri", "resource_name,bucket_id", "permissions", "record_id,foo", "uri.x")))
        if self.chance(0.05):
            parts.append(self.pick(BAD_CONTROLS))
        return "?" + "&".join(parts) if parts else ""

    # -- headers and bodies

    def tag(self, plural, target=None):
        r = self.rng.random()
        if r < 0.4 and target in self.asked:
            return '"⟨ts:%d⟩"' % self.asked[target]
        if r < 0.55:
            return '"⟨%s⟩"' % self.stamp(clock_of(plural, target))
        if r < 0.75:
            return "*"
        if r < 0.85:
            return '"%s"' % self.pick(OLD)
        if r < 0.88:
            return "⟨%s⟩" % self.stamp(clock_of(plural, target))
        if r < 0.885:
            return "**"
        return self.pick(BAD_TAGS)

    def headers(self, method, plural, p=0.18, target=None):
        found = []
        if self.chance(p):
            names = ("If-Match", "If-None-Match") + (("If-None-Match",) * 2 if method == "GET" else ())
            found.append([self.pick(names), self.tag(plural, target)])
            if self.chance(0.05):
                found.append(["If-None-Match" if found[0][0] == "If-Match" else "If-Match", self.tag(plural)])
        if self.chance(0.3 if method == "PATCH" else 0.01):
            found.append(["Response-Behavior", self.pick(("full", "light", "light", "diff", "diff", "LIGHT", "foo", ""))])
        if self.chance(0.05):
            found.append(["Origin", self.pick(ORIGINS)])
        if self.chance(0.03):
            found.append(["Accept", self.pick(ACCEPTS)])
        return found

    def body(self, kind, plural, request, own_id=None, patch=False):
        if self.chance(0.05):
            request["raw"] = self.pick(BAD_BODIES).decode("latin-1")
            return
        if self.chance(0.04):
            return
        body = {}
        if self.chance(0.85):
            data = self.data()
            if kind == "group" and self.chance(0.75):
                data["members"] = self.pick(BAD_MEMBERS) if self.chance(0.15) else self.rng.sample(
                    self.principals[:6] + ("unknown",), self.rng.randrange(0, 3))
            if own_id is not None and self.chance(0.15):
                data["id"] = own_id if self.chance(0.7) else self.pick(BAD_IDS)
            if self.chance(0.10):
                data["last_modified"] = self.last_modified(plural)
            if patch and self.chance(0.3) and data:
                data[self.pick(sorted(data))] = None
            if self.chance(0.01):
                data["__permissions__"] = self.permissions(kind)
            if kind == "account":
                self.account_data(data)
            if kind == "collection" and self.chance(0.05):
                data["cache_expires"] = self.pick((10, 100, 0, "a", None, 1.5))
            body["data"] = data
        if self.chance(0.3):
            body["permissions"] = self.permissions(kind)
        if self.chance(0.01):
            body[self.pick(("foo", "id", "é", ""))] = self.value()
        request["json"] = body

    def json_patch(self, kind, request):
        request["json"] = [self.json_operation(kind) for _ in range(self.pick((1, 1, 1, 2, 3)))]
        if self.chance(0.05):
            request["json"] = self.pick(([], {}, [1], {"a": 1}, [None], [{"op": "add"}], [{"op": "foo", "path": "/data/n"}], "x", [[]],
                                         [{"path": "/data/n"}], [{"op": "add", "path": 1}], [{"op": 1, "path": "/data/n"}],
                                         [{"op": "add", "path": "/data/z", "value": 1, "extra": {"a": None}}],
                                         [{"op": "test", "path": None}], {"data": {"n": 1}}))

    def json_operation(self, kind):
        op = self.pick(("add", "add", "remove", "replace", "test", "move", "copy"))
        if self.chance(0.2):
            path = "/permissions/%s/%s" % (self.pick(PERMISSIONS[kind] + ("foo",)), self.pick(self.principals).replace("/", "~1"))
            if self.chance(0.1):
                path = path.rsplit("/", 1)[0]
            found = {"op": op if op not in ("move", "copy") else "add", "path": path}
            if self.chance(0.3):
                found["value"] = self.pick(("x", ["x"], 1, None))
            return found
        paths = ("/data/n", "/data/n", "/data/s", "/data/s", "/data/l", "/data/l/0", "/data/l/1", "/data/l/-", "/data/l/9", "/data/l/x", "/data/l/01",
                 "/data/o", "/data/o/x", "/data/o/x/y", "/data/o/z", "/data/m", "/data/m/x", "/data/a.b", "/data/é", "/data/", "/data/n/x",
                 "/data/a~1b", "/data/a~0b", "/data/a~2b", "/data/id", "/data/last_modified", "/foo", "/foo/x", "data/n", "", "/", "/data/l/-1")
        if kind == "account" and self.chance(0.1):
            paths = ("/data/password",)
        if self.chance(0.02):
            paths = ("/data",)
        found = {"op": op, "path": self.pick(paths)}
        if op in ("move", "copy"):
            found["from"] = self.pick(paths)
            if self.chance(0.05):
                del found["from"]
        elif op != "remove" and self.chance(0.95):
            found["value"] = self.pick(OBJECTS) if found["path"] == "/data" else self.field_value(self.pick(("n", "s", "l", "o")))
        return found

    # -- adding a request

    def add(self, method, target, user=None, headers=(), plural=None, **rest):
        if self.by_id and method == "POST" and "json" not in rest and "batch" not in target and "flush" not in target:
            method = "GET"  # it might make an object with a generated id
        request = dict(id=len(self.requests), method=method, target=target, user=user, headers=list(headers), **rest)
        if method in ("GET", "DELETE") and self.chance(0.01):
            request["raw"] = self.pick(("{", "1", "null", "\xff", "[]", " "))  # means nothing there, but is looked at
        if ("json" in request or "raw" in request) and not any(h[0] == "Content-Type" for h in request["headers"]):
            if not self.chance(0.02):
                request["headers"].append(["Content-Type", "application/json"])
        if self.chance(0.01):
            request["user"] = None
            request["headers"].append(["Authorization", self.pick(CREDENTIALS)])
        self.requests.append(request)
        if plural != "/v1/permissions":
            self.guess(method, target, request["user"], plural)
        self.asked[target.split("?")[0]] = request["id"]
        if plural:
            self.tagged.setdefault(clock_of(plural, target), []).append(request["id"])
        return request

    def write(self, method, kind, plural, target, user, own_id, headers=None):
        request = {}
        headers = self.headers(method, plural, 0.18, target) if headers is None else headers
        if method == "PATCH" and self.chance(0.45):
            if self.chance(0.5):
                headers.append(["Content-Type", "application/merge-patch+json"])
                self.body(kind, plural, request, own_id, patch=True)
            else:
                headers.append(["Content-Type", "application/json-patch+json"])
                self.json_patch(kind, request)
        else:
            self.body(kind, plural, request, own_id)
            if self.chance(0.03):
                headers.append(["Content-Type", self.pick(CONTENT_TYPES)])
        return self.add(method, target, user, headers, plural, **request)

    # -- kinds of requests

    def do_read(self):
        _, plural, target = self.existing()
        query = ""
        if self.chance(0.08):
            query = "?" + self.pick(("_fields=n", "_fields=o.x,s", "n=1", "_since=abc", "_limit=x", "_fields=", "a=%00", "_fields=n&_fields=s",
                                     "_fields=m", "_sort=n", "_fields=a.b", "_fields=id"))
        self.add(self.pick(("GET", "GET", "GET", "HEAD")), target + query, self.who(target), self.headers("GET", plural, 0.3, target), plural)

    def do_put(self):
        kind, plural, target = self.object()
        query = "" if self.chance(0.98) else "?" + self.pick(BAD_CONTROLS)
        self.write("PUT", kind, plural, target + query, self.who(target), target.rsplit("/", 1)[1])

    def do_patch(self):
        kind, plural, target = self.existing()
        self.write("PATCH", kind, plural, target, self.who(target), target.rsplit("/", 1)[1])

    def do_post(self):
        kind, plural = self.plural()
        request = {}
        self.body(kind, plural, request, None)
        body = request.get("json")
        if isinstance(body, dict) and (self.by_id or self.chance(0.5)):
            if not isinstance(body.get("data"), dict):
                body["data"] = {}
            body["data"]["id"] = self.pick(KINDS[kind]) if self.chance(0.9) else self.pick(BAD_IDS)
        elif self.by_id:
            return self.do_put()
        added = self.add("POST", plural, self.who(plural), self.headers("POST", plural), plural, **request)
        if isinstance(body, dict) and "id" not in (body.get("data") or {}) and not self.by_id:
            self.made.setdefault(plural, []).append(added["id"])

    def do_delete(self):
        kind, plural, target = self.existing()
        if kind in ("bucket", "collection") and self.chance(0.5):
            kind, plural, target = self.object()
        query = ""
        if self.chance(0.25):
            query = "?last_modified=" + self.pick(("⟨%s⟩" % self.stamp(plural, (":+1000000",)), "1234", "abc", "1.5", '%221234%22', "99999999999999", "-1", "null", "true", "",
                                                   "⟨%s⟩" % self.stamp(plural), "⟨%s⟩" % self.stamp(plural, (":+1000000",)),
                                                   "%%22⟨%s⟩%%22" % self.stamp(plural, (":+1000000",))))
        self.add("DELETE", target + query, self.who(target), self.headers("DELETE", plural, 0.18, target), plural)

    def do_list(self):
        _, plural = self.plural()
        if self.by_id and self.chance(0.1):
            plural = "/v1/permissions"
        self.add(self.pick(("GET", "GET", "GET", "GET", "HEAD")), plural + self.query(plural), self.who(plural),
                 self.headers("GET", plural, 0.2, plural), plural)

    def do_plural_delete(self):
        kind, plural = self.plural()
        if kind in ("bucket", "collection") and self.chance(0.7):
            return self.do_list()
        query = self.query(plural) or ("?n=1" if self.chance(0.7) else "")
        if self.chance(0.05):
            query += ("&" if query else "?") + "last_modified=" + self.pick(("1234", "abc", "%221234%22", "⟨%s⟩" % self.stamp(plural)))
        first = self.add("DELETE", plural + query, self.who(plural), self.headers("DELETE", plural, 0.1), plural)
        if "_limit" in query:
            for _ in range(self.pick((1, 2))):
                self.add("DELETE", "⟨next:%d⟩" % first["id"], first["user"], [], plural)

    def do_rights(self):
        """What a user may do; sometimes from page to page. It is in the order of uris: no generated ids."""
        if not self.by_id:
            return self.do_share()
        plural = "/v1/permissions"
        first = self.add(self.pick(("GET", "GET", "GET", "HEAD")), plural + self.rights_query(), self.user(), [], plural)
        if "_limit" in first["target"] and first["method"] == "GET":
            for _ in range(self.pick((1, 2, 3))):
                self.add("GET", "⟨next:%d⟩" % first["id"], first["user"], [], plural)

    def history_query(self, history):
        """Of the entries' own fields, which are all that the list knows, and now and then others."""
        parts = []
        while self.chance(0.45) and len(parts) < 3:
            field = self.pick(sorted(HISTORY_VALUES))
            op = self.pick(("", "", "", "", "not_", "in_", "exclude_", "like_", "min_", "lt_"))
            if op in ("min_", "lt_") and field.startswith("target"):
                op = ""
            if op == "like_":
                field = "uri"
            value = self.pick(HISTORY_VALUES[field])
            if op in ("in_", "exclude_"):
                value += "," + self.pick(HISTORY_VALUES[field])
            parts.append("%s%s=%s" % (op, field, self.query_value(value)))
        if self.chance(0.15):
            field = self.pick(sorted(HISTORY_VALUES))
            truth = "true" if field in ("bucket_id", "collection_id", "record_id") else self.pick(("true", "false"))  # false is text there
            parts.insert(0, "has_%s=%s" % (field, truth))
        if self.chance(0.2):
            parts.append(self.time_filter(history))
        if self.chance(0.25):
            fields = ("last_modified", "date", "uri", "action", "resource_name", "record_id", "collection_id", "n")
            parts.append("_sort=" + ",".join(("-" if self.chance(0.4) else "") + f for f in self.rng.sample(fields, self.pick((1, 1, 2)))))
        if self.chance(0.3):
            parts.append("_limit=%d" % self.pick((1, 2, 3, 0, 10)))
        if self.chance(0.15):
            parts.append("_fields=" + self.pick(("uri", "uri,target", "target.data.n", "target.data,action", "user_id,foo", "n", "id", "target.permissions")))
        if self.chance(0.05):
            parts.append(self.pick(BAD_CONTROLS))
        return "?" + "&".join(parts) if parts else ""

    def do_history(self):
        """Changes, and then what is told of them: the list, from page to page, a part of it deleted; or a collection as it was."""
        bucket = "/v1/buckets/" + self.holder("/v1/buckets", self.buckets)
        history = bucket + "/history"
        user = self.who(bucket)
        for _ in range(self.pick((0, 1, 3))):
            kind, plural, target = self.existing()
            if kind != "bucket" and self.chance(0.8):
                self.write(self.pick(("PUT", "PATCH")), kind, plural, target, self.who(target), None, [])
            elif kind == "record":
                self.add("DELETE", target, self.who(target), [], plural)
        r = self.rng.random()
        if r < 0.3:
            records = "%s/collections/%s/records" % (bucket, self.pick(COLLECTIONS))
            stamp = "⟨%s⟩" % self.stamp(records, ("", "", "", ":-1000000", ":+1000000")) if self.chance(0.9) else self.pick(
                ("0", "9999999999999", "x", "-1", "1.5", "", "99999999999999999999"))
            collection = records.rsplit("/", 2)[1] if self.chance(0.95) else self.pick(BAD_PATH_IDS)
            method = "GET" if self.chance(0.9) else self.pick(METHODS)
            self.add(method, "%s/snapshot/collections/%s@%s" % (bucket, collection, stamp), user, [], records)
        elif r < 0.38:
            self.add("DELETE", history + (self.history_query(history) or "?action=update"), user, self.headers("DELETE", history, 0.1), history)
        elif r < 0.44:
            self.add(self.pick(METHODS), history + self.pick(("", "/x", "/")), user, [], None)
        else:
            first = self.add(self.pick(("GET", "GET", "GET", "GET", "HEAD")), history + self.history_query(history), user,
                             self.headers("GET", history, 0.2, history), history)
            if "_limit" in first["target"] and first["method"] == "GET":
                for _ in range(self.pick((1, 2, 5))):
                    first = self.add("GET", "⟨next:%d⟩" % first["id"], user, [], history)

    def do_chain(self):
        """A list followed from page to page; sometimes with a write between two of them."""
        kind, plural = self.plural()
        if self.by_id and self.chance(0.15):
            plural = "/v1/permissions"
        user = self.who(plural)
        query = [] if self.profile.settings.get("kinto.paginate_by") and self.chance(0.5) else ["_limit=%d" % self.pick((1, 2, 2, 3))]
        if self.chance(0.7) and plural != "/v1/permissions":
            query.append(self.sort())
        if self.chance(0.3):
            query.append(self.filter() if self.chance(0.7) else self.time_filter(plural))
        if self.chance(0.1):
            query.append("_fields=n")
        if self.chance(0.1):
            query.append(self.pick(BAD_CONTROLS))
        last = self.add(self.pick(("GET", "GET", "GET", "HEAD")), plural + "?" + "&".join(query), user, [], plural)
        for _ in range(self.pick((2, 5, 8))):
            if self.chance(0.05):
                self.write("PUT", kind, plural, "%s/%s" % (plural, self.object_id(kind, plural)), "alice", None)
            method = "GET" if self.chance(0.95) else self.pick(("HEAD", "DELETE"))
            if self.chance(0.04):
                self.add("GET", "%s?_token=⟨token:%d⟩&_limit=2%s" % (plural, last["id"], self.pick(("", "&_sort=s", "&_since=0", "&n=1"))),
                         user, [], plural)
            if self.chance(0.1):
                self.add("GET", "⟨next:%d⟩" % last["id"], self.user(), [], plural)
            last = self.add(method, "⟨next:%d⟩" % last["id"], user, [], plural)

    def do_share(self):
        """Gives something to somebody, who then looks, writes and lists."""
        kind, plural, target = self.existing()
        names = PERMISSIONS[kind]
        body = {"permissions": {self.pick(names): [self.pick(self.principals)] for _ in range(self.pick((1, 2)))}}
        if self.chance(0.5):
            body["data"] = self.data()
        self.add(self.pick(("PUT", "PATCH")), target, self.who(target), [], plural, json=body)
        for _ in range(self.pick((1, 2, 3))):
            user = self.user()
            r = self.rng.random()
            if r < 0.3:
                self.add("GET", target, user, self.headers("GET", plural, 0.3, target), plural)
            elif r < 0.6:
                below = plural if kind in ("record", "group") or self.chance(0.4) else target + self.pick(
                    ("/collections", "/groups") if kind == "bucket" else ("/records",))
                self.add("GET", below + (self.query(below) if self.chance(0.4) else ""), user, [], below)
            else:
                self.write(self.pick(("PUT", "PATCH")), kind, plural, target, user, None)

    def filled(self):
        """A list that probably has something in it, and somebody who may read it."""
        there = [p for p, names in sorted(self.live.items()) if len(names) > 1 and p.endswith("/records")]
        plural = self.pick(there) if there and self.chance(0.85) else self.plural()[1]
        return plural, self.who(plural)

    def do_filters(self):
        """Questions to one list, one filter each or two."""
        plural, user = self.filled()
        for _ in range(self.pick((2, 4, 6))):
            parts = [self.filter()] + ([self.filter()] if self.chance(0.25) else []) + ([self.time_filter(plural)] if self.chance(0.15) else [])
            if sum(p.startswith("has_") for p in parts) > 1:
                continue
            parts.sort(key=lambda p: not p.startswith("has_"))
            self.add("GET", plural + "?" + "&".join(parts), user, [], plural)

    def do_sync(self):
        """A device that polls: the list, changes, what changed since; tombstones among them."""
        plural, user = self.filled()
        kind = plural.rsplit("/", 1)[1][:-1]
        first = self.add("GET", plural, user, [], plural)
        for _ in range(self.pick((1, 2, 3))):
            target = "%s/%s" % (plural, self.pick(sorted(self.live.get(plural, {})) or KINDS[kind]))
            if self.chance(0.6):
                self.add("DELETE", target, self.who(target), [], plural)
            else:
                self.write("PUT", kind, plural, target, self.who(target), None, [])
        for _ in range(self.pick((1, 2))):
            query = self.pick(("_since=⟨ts:%d⟩", "_since=%%22⟨ts:%d⟩%%22", "gt_last_modified=⟨ts:%d⟩", "_before=⟨ts:%d⟩&deleted=true", "min_last_modified=⟨ts:%d⟩",
                               "_since=⟨ts:%d⟩&deleted=true", "_since=⟨ts:%d⟩&n=1", "_since=⟨ts:%d⟩&_fields=n", "_since=⟨ts:%d⟩&_limit=1",
                               "_since=⟨ts:%d⟩&exclude_id=r-1,r-2", "_since=⟨ts:%d⟩&_sort=last_modified", "_since=⟨ts:%d⟩&_sort=n,-s",
                               "_since=⟨ts:%d⟩&not_deleted=true", "_since=0&has_deleted=false&n=⟨ts:%d⟩", "_since=0&_to=⟨ts:%d⟩")) % first["id"]
            headers = [["If-None-Match", '"⟨ts:%d⟩"' % first["id"]]] if self.chance(0.15) else []
            last = self.add(self.pick(("GET", "GET", "GET", "GET", "HEAD")), plural + "?" + query, user, headers, plural)
            if "_limit" in query:
                self.add("GET", "⟨next:%d⟩" % last["id"], user, [], plural)

    def do_many(self):
        """Some records at once, so that lists have something to sort."""
        kind, plural = self.plural("record")
        user = self.who(plural)
        parts = []
        for record in self.rng.sample(RECORDS, self.pick((3, 4, 5))) + ["x-%d" % i for i in range(self.pick((0, 0, 4, 9)))]:
            parts.append({"path": "%s/%s" % (plural, record), "body": {"data": {f: self.field_value(f) for f in ("n", "s", "l", "o") if self.chance(0.7)}}})
        if "history" in self.profile.lean:  # which is told of a batch in another way: one by one
            for part in parts[:4]:
                self.add("PUT", part["path"], user, [], plural, json=part["body"])
            return
        limit = int(self.profile.settings.get("kinto.batch_max_requests", "25"))
        self.add("POST", "/v1/batch", user, [], None, json={"defaults": {"method": "PUT"}, "requests": parts[:limit]})
        for record in RECORDS[:3]:
            self.guess("PUT", "%s/%s" % (plural, record), user, plural)
        self.add("GET", plural, user, [], plural)

    def part(self):
        """One request of a batch. Deleting what holds others, and groups, have their effects late in the reference."""
        kind, plural, target = self.existing()
        method = self.rng.choices(("GET", "HEAD", "PUT", "PATCH", "DELETE", "POST"), (4, 1, 5, 3, 3, 2))[0]
        if (kind == "group" and method != "GET" and self.chance(0.9)) or (kind != "record" and method == "DELETE" and self.chance(0.95)):
            kind, plural = self.plural("record")
            target = "%s/%s" % (plural, self.object_id(kind, plural))
        request = {}
        found = {"method": method}
        if method == "POST":
            target = plural
            request = {"json": {"data": dict(self.data(), id=self.pick(KINDS[kind]))}}
        elif method in ("PUT", "PATCH"):
            self.body(kind, plural, request, target.rsplit("/", 1)[1])
        elif method == "GET" and self.chance(0.3):
            target = plural + self.query(plural)
        headers = [h for h in self.headers(method, plural) if h[1] != "**"]
        if method == "GET":
            headers = [h for h in headers if h[0] != "If-None-Match" or h[1].startswith("*") or self.chance(0.05)]
        if method == "PATCH" and self.chance(0.2):
            headers.append(["Content-Type", "application/merge-patch+json"])
        elif method == "PATCH" and self.chance(0.05):
            headers.append(["Content-Type", "application/json-patch+json"])
            self.json_patch(kind, request)
        if self.chance(0.15):
            user = self.user()
            headers.append(["Authorization", basic(user) if user else ""])
        if "json" in request:
            found["body"] = request["json"]
        if headers:
            found["headers"] = dict(headers)
        found["path"] = target if self.chance(0.5) else target.replace("/v1", "", 1)
        if self.chance(0.03):
            found["path"] = self.pick(STRANGE_URLS + UTILITIES)
            if "permissions" in found["path"] and not self.by_id:
                found["path"] = "/"
        if method == "GET" and self.chance(0.5):
            del found["method"]
        return found

    def do_batch(self):
        if self.chance(0.12):
            return self.do_bad_batch()
        limit = int(self.profile.settings.get("kinto.batch_max_requests", "25"))
        count = self.pick((1, 2, 3, 4, 6)) if self.chance(0.97) else limit + self.pick((0, 1))
        body = {"requests": [self.part() for _ in range(min(count, limit + 1))]}
        if self.chance(0.2):
            body["defaults"] = self.pick((
                {"method": "PUT"}, {"method": "GET"}, {"headers": {"If-None-Match": "*"}}, {"body": {"data": {"n": 1}}}, {},
                {"method": "PATCH", "body": {"data": {"s": "a"}}}, {"path": "/buckets/b-1/collections/c-1/records"},
                {"headers": {"Content-Type": "application/merge-patch+json"}}, {"method": "DELETE", "path": "/buckets/b-1/collections/c-1/records/r-1"}))
        self.add("POST", "/v1/batch", self.who("/v1/buckets/b-1"), self.headers("POST", "", 0.01), None, json=body)

    def do_bad_batch(self):
        body = self.pick((
            {}, [1], 1, None, {"requests": None}, {"requests": 1}, {"requests": []}, {"requests": [1]}, {"requests": [{}]},
            {"requests": [{"path": 1}]}, {"requests": [{"path": ""}]}, {"requests": [{"path": "v1/"}]}, {"requests": [{"path": "/v1/batch"}]},
            {"requests": [{"path": "/batch?x"}]}, {"requests": [{"method": "get", "path": "/v1/"}]}, {"requests": [{"path": "/v1/x/batch"}]},
            {"requests": [{"method": "OPTIONS", "path": "/v1/"}]}, {"requests": [{"method": "FOO", "path": "/v1/"}]},
            {"requests": [{"method": 1, "path": "/v1/"}]}, {"requests": [{"path": "/v1/", "foo": 1}]}, {"requests": [{"path": "/v1/", "headers": 1}]},
            {"requests": [{"path": "/v1/", "headers": {"a": 1}}]}, {"requests": [{"path": "/v1/", "body": 1}]},
            {"requests": [{"path": "/v1/", "body": "x"}]}, {"requests": [{"path": "/v1/buckets", "method": "POST", "body": []}]},
            {"requests": [], "foo": 1}, {"requests": [], "defaults": 1}, {"requests": [], "defaults": {"foo": 1}},
            {"requests": [{}], "defaults": {"path": 1}}, {"requests": [{}], "defaults": {"path": "/"}}, {"requests": [{}, {"path": 1}]},
            {"requests": [{}], "defaults": {"method": "FOO", "path": "/"}}, {"requests": [{"path": "/%ff"}]}, {"requests": [{"path": "/v2/"}]},
            {"requests": [{"path": "/v1/"}], "defaults": None}, {"requests": [{"path": "/v1/", "body": None}]}, {"requests": [None, "x"]},
            {"requests": [{"path": "/v1/", "headers": None}]}, {"requests": {"path": "/"}}, {"requests": [{"path": "/é"}]},
            {"requests": [{"path": "/v1/buckets/%C3%A9"}]}, {"requests": [{"path": "/a" * 3000}]}, {"requests": [{"method": "POST", "path": "/v1/batch"}]},
            {"requests": [{"path": "/buckets/b-1/", "method": "PATCH"}, {"path": "/v1"}]}, {"requests": [{"path": "/"}, {"path": "/v1/", "method": "HEAD"}]},
            {"requests": [{"path": "/v1/buckets", "headers": {"Authorization": "Foo"}}]}, []))
        self.add("POST", "/v1/batch", self.user(), [], None, json=body)

    def do_cors(self):
        target = self.pick(UTILITIES + STRANGE_URLS) if self.chance(0.4) else self.pick(self.object()[1:])
        if "permissions" in target and not self.by_id:
            target = "/v1/"
        headers = []
        if self.chance(0.9):
            headers.append(["Origin", self.pick(ORIGINS)])
        if self.chance(0.9):
            headers.append(["Access-Control-Request-Method", self.pick(METHODS + ("FOO", "get", ""))])
        if self.chance(0.5):
            headers.append(["Access-Control-Request-Headers", self.pick((
                "authorization, content-type", "If-Match", "x-foo,x-bar", "", "etag", "authorization,content-type,if-match,if-none-match,cache-control"))])
        method = "OPTIONS" if self.chance(0.8) else self.pick(METHODS)
        self.add(method, target, self.user(), headers, None)

    def do_misc(self):
        r = self.rng.random()
        if r < 0.3:
            target = self.pick(UTILITIES)
            if target == "/v1/permissions" and not self.by_id:
                target = "/v1/"
            method = "GET" if self.chance(0.7) else self.pick(METHODS)
            if target == "/v1/__flush__" and method == "POST" and self.chance(0.8):
                method = "GET"
            body = {"json": {}} if method in ("POST", "PUT", "PATCH") and self.chance(0.5) else {}
            self.add(method, target, self.user(), self.headers(method, "", 0.05), None, **body)
        elif r < 0.6:
            method = self.pick(METHODS) if self.chance(0.5) else "GET"
            if method == "DELETE":
                method = "GET"
            self.add(method, self.pick(STRANGE_URLS), self.user(), self.headers("GET", "", 0.05), None)
        elif r < 0.8:
            method = self.pick(METHODS + ("FOO", "TRACE", "get"))
            if method in ("DELETE", "PUT"):
                method = "POST"
            self.add(method, self.pick(self.object()[1:]), self.user(), self.headers("GET", "", 0.05), None)
        elif r < 0.9:
            kind, plural, target = self.object()
            given = [["Authorization", self.pick(CREDENTIALS)] for _ in range(self.pick((1, 1, 1, 2)))]
            self.add(self.pick(("GET", "POST", "PUT")), self.pick((plural, target)), None, given, plural)
        else:
            self.erase(self.user())

    def erase(self, user):
        """Mostly as it is meant; or another method, a header that means something elsewhere, a body, no principal at all."""
        principal = self.pick(self.principals)
        target = "/v1/__user_data__/" + quote(principal, safe=self.pick(("", ":", ":/")))
        if self.chance(0.1):
            target = self.pick(("/v1/__user_data__", target + "/", target + "?" + self.pick(BAD_CONTROLS)))
        method = "DELETE" if self.chance(0.85) else self.pick(METHODS)
        headers = self.headers("GET", "", 0.1)
        if self.chance(0.1):
            self.add("POST", "/v1/batch", user, [], None, json={"requests": [
                {"method": method, "path": target[3:]}, {"method": self.pick(("GET", "DELETE")), "path": target[3:]}]})
        else:
            self.add(method, target, user, headers, None, **({"raw": self.pick(("{}", "{", "[]"))} if self.chance(0.05) else {}))

    def do_erase(self):
        """What is somebody's alone goes; then what is left of it, for everybody."""
        for _ in range(self.pick((0, 1, 2, 3))):
            self.do_share()
        if self.chance(0.6):
            kind, plural, target = self.object()
            self.write("PUT", kind, plural, target, self.user(), None)
        self.erase(self.user() if self.chance(0.2) else "alice")
        for _ in range(self.pick((2, 4, 6))):
            kind, plural, target = self.existing()
            self.add("GET", self.pick((target, target, plural, plural + "?_since=0")), self.user(), [], plural)
        if self.by_id:
            self.add("GET", "/v1/permissions", self.user(), [], "/v1/permissions")

    def do_schemas(self):
        """Somebody gives a collection or its bucket a schema, and then tries to write what fits and what does not."""
        schemas = Schemas(self.rng)
        bucket = "/v1/buckets/" + self.pick(self.buckets)
        collections = bucket + "/collections"
        collection = "%s/%s" % (collections, self.pick(COLLECTIONS))
        records = collection + "/records"
        for _ in range(self.pick((1, 1, 2))):
            if self.chance(0.7):
                self.add(self.pick(("PUT", "PATCH")), collection, "alice", [], collections, json={"data": {"schema": schemas.root()}})
            else:
                field = self.pick(("record:schema", "record:schema", "collection:schema", "group:schema"))
                self.add(self.pick(("PUT", "PATCH")), bucket, "alice", [], "/v1/buckets", json={"data": {field: schemas.root()}})
        for _ in range(self.pick((4, 8, 12))):
            self.judged(schemas, bucket, records)

    def judged(self, schemas, bucket, records):
        data = schemas.data()
        plural = records if self.chance(0.85) else bucket + self.pick(("/groups", "/collections"))
        name = self.pick(KINDS[plural.rsplit("/", 1)[1][:-1]])
        if self.chance(0.1):
            data["id"] = name
        if self.chance(0.1):
            data["last_modified"] = self.last_modified(plural)
        method = self.pick(("PUT", "PUT", "PUT", "PATCH", "PATCH", "POST"))
        if method == "POST":
            data["id"] = name
        target = plural if method == "POST" else "%s/%s" % (plural, name)
        if self.chance(0.15):
            parts = [{"method": "PUT", "path": target if method != "POST" else "%s/%s" % (plural, name), "body": {"data": d}} for d in (
                {k: v for k, v in data.items() if k != "id"}, schemas.data())]
            self.add("POST", "/v1/batch", "alice", [], None, json={"requests": parts})
        elif method == "PATCH" and self.chance(0.3):
            operations = [{"op": "add", "path": "/data/" + k, "value": v} for k, v in data.items()]
            self.add(method, target, "alice", [["Content-Type", "application/json-patch+json"]], plural, json=operations)
        elif method == "PATCH" and self.chance(0.3):
            flat = {k: v for k, v in data.items() if not isinstance(v, dict)}  # an object over a scalar is another story
            self.add(method, target, "alice", [["Content-Type", "application/merge-patch+json"]], plural, json={"data": flat})
        elif method == "PUT" and self.chance(0.07):
            self.add(method, target, "alice", [], plural, json={"permissions": {"read": ["system.Everyone"]}})
        else:
            headers = [["Response-Behavior", self.pick(("light", "diff"))]] if method == "PATCH" and self.chance(0.1) else []
            self.add(method, target, "alice", headers, plural, json={"data": data})

    KIND_WEIGHTS = (("read", 12), ("put", 16), ("patch", 14), ("post", 8), ("delete", 6), ("list", 18), ("plural_delete", 3), ("chain", 3),
                    ("share", 6), ("many", 1.5), ("filters", 4), ("sync", 4), ("rights", 1.5), ("batch", 7), ("cors", 3), ("misc", 7))

    def setup(self):
        self.add("POST", "/v1/__flush__")
        if self.chance(0.04):
            return
        if self.profile.accounts:
            self.account_setup()
        buckets = BUCKETS[: self.pick((1, 1, 2))]
        for b in buckets:
            self.add("PUT", "/v1/buckets/" + b, "alice" if self.chance(0.85) else "bob", [], "/v1/buckets", json={"permissions": self.permissions("bucket")})
            for c in COLLECTIONS[: self.pick((1, 1, 2))]:
                base = "/v1/buckets/%s/collections" % b
                self.add("PUT", "%s/%s" % (base, c), "alice", [], base, json={"permissions": self.permissions("collection")})
        if self.chance(0.4):
            base = "/v1/buckets/b-1/groups"
            self.add("PUT", base + "/g-1", "alice", [], base,
                     json={"data": {"members": self.rng.sample(self.principals[:3], 2)}})
        if self.chance(0.8):
            self.do_many()

    def sequence(self):
        self.setup()
        kinds = self.KIND_WEIGHTS + tuple((kind, 1) for kind in ("schemas", "history", "erase") if kind in self.profile.lean)
        kinds += self.ACCOUNT_WEIGHTS if self.profile.accounts else ()
        names = [k for k, _ in kinds]
        weights = [w * self.profile.lean.get(k, 1) for k, w in kinds]
        while len(self.requests) < self.size:
            getattr(self, "do_" + self.rng.choices(names, weights)[0])()
        return self.requests


def sequence(seed, profile, principals, size):
    """The requests of one sequence; it begins with a flush. Same arguments, same requests."""
    return json.loads(json.dumps(Generator(random.Random(seed), profile, principals, size).sequence()))


def description():
    """What is asked of each profile once: the description of the API, which only the settings change."""
    batch = {"requests": [{"path": "/v1/__api__"}]}
    asked = [("GET", "/v1/__api__", {}), ("HEAD", "/v1/__api__", {}), ("PUT", "/v1/__api__", {}), ("POST", "/v1/batch", {"json": batch})]
    return [dict(id=number, method=method, target=target, user=None, headers=[["Content-Type", "application/json"]], **more)
            for number, (method, target, more) in enumerate(asked)]
