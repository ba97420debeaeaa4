"""Comparing two answers to the same request.

What may differ between two correct servers is mapped, not ignored:
 - Timestamps: milliseconds near now. Within one list (its URL is the scope) the two sides' timestamps must map one
   to one and in the same order. Any other number must be equal.
 - Accounts: each is a list of its own in the reference, so the scope of its timestamps is its own URL.
 - Hashes of passwords: where the reference has one of bcrypt ours has one, the same as long as the reference's is the same.
 - Generated ids: the id of an object made without one; the two must have the same form, later they are one.
 - Page tokens: opaque; that there is one, and the rest of the URL, is compared.
 - Lists that are sets (principals, header lists), and the order of keys in objects.
 - Of a description of the API, what client generators make names of; texts and schemas are each server's own.
 - Last-Modified must be its own ETag's second; Expires is compared as distance from Date.
A difference is a tuple (where, reference's value, our value); `where` is a path such as `header etag` or `body.data[].n`.
"""

import bisect
import datetime
import email.utils
import base64
import json
import math
import re
import time
from urllib.parse import unquote_plus

from servers import Answer

IGNORED = {"date", "server", "connection", "keep-alive", "via", "transfer-encoding"}
SETS = {"access-control-expose-headers", "access-control-allow-headers", "access-control-allow-methods", "allow", "vary"}
NEAR = 2 * 3600 * 1000
STAMP = re.compile(r"(?:(?<![\w.-])|(?<=%22))\d{13}(?![\w.])")
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
NAME = re.compile(r"^[A-Za-z0-9_-]{8}$")
HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
ACCOUNTS = "/v1/accounts"
# messages that print a set, or an object, whose members have any order
SET_TEXT = re.compile(r"not found in|should be one of|do not exist|is not equal to tested value")
DATE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$")
TOKEN = re.compile(r"([?&]_token=)[^&]*")


class Scope:
    """The timestamps of one list seen so far, in pairs that must keep their order."""

    def __init__(self):
        self.pairs = []  # sorted by the reference's, hence also by ours
        self.known = {}
        self.back = {}

    def same(self, ref, our):
        if ref in self.known or our in self.back:
            return self.known.get(ref) == our
        at = bisect.bisect(self.pairs, (ref, our))
        if at > 0 and self.pairs[at - 1][1] >= our:
            return False
        if at < len(self.pairs) and self.pairs[at][1] <= our:
            return False
        self.pairs.insert(at, (ref, our))
        self.known[ref] = our
        self.back[our] = ref
        return True


class Context:
    """What a sequence has taught: timestamps by list, and pairs of generated ids."""

    def __init__(self, aliases):
        self.scopes = {}
        self.ids = {}  # ours -> reference's
        self.hashes = {}  # the reference's -> ours
        self.aliases = aliases  # user -> the bucket that "default" stands for
        self.now = int(time.time() * 1000)

    def scope(self, path, user):
        path = path.split("?")[0].replace("/buckets/default", "/buckets/" + self.aliases.get(user, "default"))
        if not path.startswith("/v1"):
            path = "/v1" + path
        parts = path.split("/")
        if path.startswith(ACCOUNTS):
            return path
        if len(parts) % 2 == 0 and len(parts) > 3:  # an object: its list is one up
            parts.pop()
        return "/".join(parts)

    def forget(self, path, user):
        """A deleted bucket or collection takes the clocks below it along."""
        path = path.split("?")[0]
        if path.startswith("⟨"):
            return
        whole = self.scope(path + "/x/y", user).rsplit("/", 1)[0]
        for name in [n for n in self.scopes if n.startswith(whole + "/")]:
            del self.scopes[name]

    def near(self, number):
        return abs(number - self.now) < NEAR

    def same_stamp(self, scope, ref, our):
        if self.near(ref) and self.near(our):
            if scope is None or scope == ACCOUNTS:
                return True  # of all accounts here, of one or of none there
            return self.scopes.setdefault(scope, Scope()).same(ref, our)
        return ref == our


class Comparison:
    """One pair of answers. `differences` grows, and `parts` beside it: the part of a batch, or None."""

    def __init__(self, context, request, scope, sent=None):
        self.context = context
        self.request = request
        self.scope = scope
        self.sent = sent
        self.differences = []
        self.parts = []
        self.part = None

    def differ(self, where, ref, our):
        self.differences.append((where, ref, our))
        self.parts.append(self.part)

    # -- values

    def same_text(self, ref, our):
        if ref == our:
            return True
        our = self.with_hashes(ref, our)
        for ours, theirs in self.context.ids.items():
            our = our.replace(ours, theirs)
        if ref == our:
            return True
        left, right = STAMP.sub("T", ref), STAMP.sub("T", our)
        if left != right and not (SET_TEXT.search(ref) and sorted(left) == sorted(right)):
            return False
        pairs = zip(STAMP.findall(ref), STAMP.findall(our))
        return all(self.context.same_stamp(self.scope, int(r), int(o)) for r, o in pairs)

    def value(self, where, ref, our):
        if isinstance(ref, dict) and isinstance(our, dict):
            if "swagger" in ref and "swagger" in our:
                ref, our = outline(ref), outline(our)
            return self.mapping(where, ref, our)
        if isinstance(ref, list) and isinstance(our, list):
            return self.array(where, ref, our)
        if isinstance(ref, str) and isinstance(our, str):
            if not self.same_text(ref, our) and not self.generated(where, ref, our) and not same_microsecond(where, ref, our) \
                    and not self.same_date(where, ref, our):
                self.differ(where, ref, our)
        elif type(ref) is not type(our):
            self.differ(where, ref, our)
        elif isinstance(ref, int) and not isinstance(ref, bool):
            if not self.context.same_stamp(self.scope, ref, our):
                self.differ(where, ref, our)
        elif isinstance(ref, float):
            if ref != our or math.copysign(1, ref) != math.copysign(1, our):
                self.differ(where, ref, our)
        elif ref != our:
            self.differ(where, ref, our)

    def generated(self, where, ref, our):
        """A new object's id that the server made."""
        new = where.endswith("data.id") or where.endswith("data[].id") and self.in_history()
        if not new or our in self.context.ids or ref in self.context.aliases.values():
            return False
        if not any(form.match(ref) and form.match(our) for form in (UUID, NAME)):
            return False
        self.context.ids[our] = ref
        return True

    def in_history(self):
        return self.scope is not None and self.scope.endswith("/history")

    def same_date(self, where, ref, our):
        """When an entry of the history was made."""
        return where.endswith(".date") and self.in_history() and all(
            DATE.match(v) and self.context.near(int(datetime.datetime.fromisoformat(v).timestamp() * 1000)) for v in (ref, our))

    def one_hash(self, ref, our):
        """Ours, when it stands for the reference's: both are of the same password with the same salt, so to say."""
        known = self.context.hashes
        if ref not in known and our not in known.values():
            known[ref] = our
        return known.get(ref) == our

    def with_hashes(self, ref, our):
        """Our text with the reference's hashes, where they stand for one another."""
        pairs = list(zip(HASH.findall(ref), HASH.findall(our)))
        if pairs and all(self.one_hash(r, o) for r, o in pairs):
            for theirs, ours in pairs:
                our = our.replace(ours, theirs)
        return our

    def of_account(self, found):
        """Where the times of an account, or of the answer to a POST of one, belong to."""
        found = found.get("data") if isinstance(found.get("data"), dict) else found
        return "%s/%s" % (ACCOUNTS, found["id"]) if self.scope == ACCOUNTS and isinstance(found.get("id"), str) else self.scope

    def mapping(self, where, ref, our):
        scope, self.scope = self.scope, self.of_account(ref)
        self.members(where, ref, our)
        self.scope = scope

    def members(self, where, ref, our):
        for key in ref:
            if key not in our:
                self.differ("%s.%s" % (where, key), ref[key], "(absent)")
        for key in our:
            if key not in ref:
                self.differ("%s.%s" % (where, key), "(absent)", our[key])
        for key in ref:
            if key not in our:
                continue
            if key == "target" and self.in_history():
                self.of_target("%s.%s" % (where, key), ref, our)
                continue
            name = "*" if where.endswith("permissions") else key
            if key == "schema" and isinstance(ref[key], int) and self.scope and self.scope.endswith("/records"):
                self.of_collection("%s.%s" % (where, name), ref[key], our[key])
                continue
            if where.endswith("permissions") or key in ("permissions", "principals"):
                self.value("%s.%s" % (where, name), self.as_set(ref[key]), self.as_set(our[key]))
            else:
                self.value("%s.%s" % (where, name), ref[key], our[key])

    def of_collection(self, where, ref, our):
        """The `schema` of a record is a timestamp of its collection."""
        scope, self.scope = self.scope, self.scope.rsplit("/", 2)[0]
        self.value(where, ref, our)
        self.scope = scope

    def of_target(self, where, ref, our):
        """The object in an entry of the history: its times are of its own list; None: which one is not told."""
        scope = self.scope
        self.scope = self.context.scope(ref["uri"], None) if "uri" in ref else None
        self.value(where, ref["target"], our["target"])
        self.scope = scope

    def as_set(self, found):
        if isinstance(found, list) and all(isinstance(v, str) for v in found):
            return sorted(self.context.ids.get(v, v) for v in found)
        return found

    def array(self, where, ref, our):
        if len(ref) != len(our):
            self.differ(where + "[] length", ref, our)
            return
        for r, o in zip(ref, our):
            before = len(self.differences)
            self.value(where + "[]", r, o)
            if len(self.differences) > before:
                break

    # -- answers

    def headers(self, prefix, ref, our, date_ref, date_our, exact_names):
        ref, our = (gather(h, exact_names) for h in (ref, our))
        for name in sorted(set(ref) | set(our)):
            low = name.lower()
            if low in IGNORED:
                continue
            r, o = ref.get(name), our.get(name)
            if r is None or o is None:
                self.differ(prefix + name, r, o)
            elif low in SETS:
                if as_names(r) != as_names(o):
                    self.differ(prefix + name, sorted(as_names(r)), sorted(as_names(o)))
            elif low == "last-modified":
                r, o = second_of(r, ref, name), second_of(o, our, name)
                if r != o:
                    self.differ(prefix + name, r, o)
            elif low == "expires":
                r, o = distance(r, date_ref), distance(o, date_our)
                if r is None or o is None or abs(r - o) > 1:
                    self.differ(prefix + name, r, o)
            elif low in ("next-page", "location"):
                if not self.same_text(*(unquote_plus(TOKEN.sub(r"\1…", v)) for v in (r, o))):
                    self.differ(prefix + name, r, o)
            elif not self.same_text(r, o):
                self.differ(prefix + name, r, o)

    def answers(self, ref, our):
        if ref.status != our.status:
            self.differ("status", ref.status, our.status)
            return
        self.body(ref, our)
        self.scope = self.of_account(object_of(ref.body)) if self.scope == ACCOUNTS else self.scope
        # A length that the client just read by needs no comparing: the bodies were. Stamps and ids have equal lengths.
        if self.request["method"] != "HEAD" and None not in (ref.get("content-length"), our.get("content-length")):
            ref, our = (Answer(a.status, [h for h in a.headers if h[0].lower() != "content-length"], a.body) for a in (ref, our))
        self.headers("header ", ref.headers, our.headers, ref.get("date"), our.get("date"), False)

    def body(self, ref, our):
        if (ref.get("content-type") or "").startswith("application/json") and ref.body:
            try:
                theirs, ours = parse(ref.body), parse(our.body)
            except ValueError:
                self.differ("body", text_of(ref.body), text_of(our.body))
                return
            if self.request["target"].split("?")[0].endswith("/batch") and isinstance(theirs, dict) and "responses" in theirs:
                self.batch(ref, our, theirs, ours)
            else:
                self.value("body", theirs, ours)
        elif not self.same_text(text_of(ref.body), text_of(our.body)):
            self.differ("body", text_of(ref.body), text_of(our.body))

    def user_of_part(self, number):
        """Whose default bucket is meant? A part may have credentials of its own."""
        try:
            name, _, value = self.request["json"]["requests"][number]["headers"]["Authorization"].partition(" ")
            return base64.b64decode(value).decode().split(":")[0] if name == "Basic" else None
        except ValueError:
            return None
        except (KeyError, TypeError, AttributeError):
            return self.request.get("user")

    def batch(self, ref_answer, our_answer, ref, our):
        try:
            if len(ref["responses"]) != len(our["responses"]):
                return self.differ("body.responses[] length", ref, our)
            for number, (r, o) in enumerate(zip(ref["responses"], our["responses"])):
                self.scope = self.context.scope(r["path"], self.user_of_part(number))
                self.part = number
                if r["status"] != o["status"]:
                    self.differ("part.status", r["status"], o["status"])
                else:
                    self.value("part.path", r["path"], o["path"])
                    self.value("part.body", r["body"], o["body"])
                    self.scope = self.of_account(r["body"]) if isinstance(r["body"], dict) else self.scope
                    self.headers("part header ", r["headers"].items(), o["headers"].items(),
                                 ref_answer.get("date"), our_answer.get("date"), True)
            self.part = None
        except (KeyError, TypeError):
            self.differ("body.responses", ref, our)


def outline(description):
    """Head, tags, and each operation by its name, of an OpenAPI 2.0 document."""
    def parameter(found):
        found = description["parameters"][found["$ref"].split("/")[-1]] if "$ref" in found else found
        return "%s %s" % (found["in"], found["name"])

    def operation(found):
        return dict({key: found.get(key) for key in ("operationId", "tags", "consumes", "produces", "security")},
                    parameters=sorted(map(parameter, found.get("parameters", ()))))

    head = {k: v for k, v in description.items() if k not in ("tags", "paths", "parameters", "responses", "definitions")}
    head["tags"] = {tag["name"]: True for tag in description["tags"]}
    paths = {path: {method: operation(found) for method, found in item.items() if method != "parameters"}
             for path, item in description["paths"].items()}
    head["paths"] = {path: operations for path, operations in paths.items() if operations}
    return head


def same_microsecond(where, ref, our):
    """The time of the INI file goes through a double in the reference: its last digit may differ."""
    if not where.endswith("config.modified"):
        return False
    try:
        ref, our = (datetime.datetime.strptime(v, "%Y-%m-%dT%H:%M:%S.%f") for v in (ref, our))
    except ValueError:
        return False
    return abs((ref - our).total_seconds()) < 0.000003


def gather(headers, exact_names):
    found = {}
    for name, value in headers:
        name = name if exact_names else name.lower()
        found[name] = found[name] + ", " + value if name in found else value
    return found


def as_names(text):
    return {v.strip().lower() for v in text.split(",") if v.strip()}


def second_of(value, headers, name):
    """'of the ETag' when Last-Modified is the second of the ETag beside it."""
    tag = next((v for k, v in headers.items() if k.lower() == "etag"), "").strip('"')
    try:
        seconds = email.utils.parsedate_to_datetime(value).timestamp()
        if tag.lstrip("-").isdigit() and int(tag) // 1000 == seconds:
            return "of the ETag"
    except (TypeError, ValueError):
        pass
    return value


def distance(value, date):
    try:
        return (email.utils.parsedate_to_datetime(value) - email.utils.parsedate_to_datetime(date)).total_seconds()
    except (TypeError, ValueError):
        return None


def text_of(body):
    return body.decode("utf-8", "backslashreplace")


def parse(body):
    return json.loads(body)


def object_of(body):
    try:
        found = parse(body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
