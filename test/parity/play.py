"""Playing a sequence to both servers, and cutting a difference down to the shortest sequence that shows it."""

import copy
import json
import re
import time

from compare import Comparison, Context
from known import RULES, Difference, Look, late_effects, patches
from resolve import Memory, NoPage
from servers import Answer

NOTHING = Answer(0, [], b"")  # what later requests may refer to when only one side gave it
SAFE = ("GET", "HEAD", "OPTIONS")


class Finding:
    """One request that was answered differently. `rules`: those that explain it; `unknown`: what none explains."""

    def __init__(self, index, request, ref, our, differences, part, rules, unknown):
        self.index = index
        self.request = request
        self.ref = ref
        self.our = our
        self.differences = differences
        self.part = part
        self.rules = rules
        self.unknown = unknown

    def method_and_path(self):
        if self.part is None:
            return self.request["method"], self.request["target"]
        return batch_part(self.request, self.part)

    def key(self):
        """Two findings with the same key have, most probably, the same cause."""
        where, ref, our = self.unknown[0]
        if where.endswith("status"):
            return (where, ref, our, skeleton(self.ref, self.part), skeleton(self.our, self.part))
        status = self.ref.status if self.part is None else "part"
        if where.startswith(("body", "part.body")) and isinstance(ref, str) and ("message" in where or "description" in where):
            return (where.split(".")[-1], status, shape(ref), shape(our))
        if "header" in where:
            return (where, status, short(ref).split("?")[0], short(our).split("?")[0])
        return (where, status, type(ref).__name__, type(our).__name__)


def batch_part(request, number):
    body = request.get("json") or {}
    part = dict(body.get("defaults") or {})
    part.update(body["requests"][number])
    return part.get("method", "GET"), part.get("path", "?")


def short(value):
    return shape(value) if isinstance(value, str) else str(value)[:60]


def shape(text):
    if not isinstance(text, str):
        return str(text)[:80]
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|basicauth:\w+", "ID", text)
    text = re.sub(r"header: \S+ not allowed", "header: … not allowed", text)
    text = re.sub(r"\{.*\}|\[.*\]|'[^']*'|\"[^\"]*\"", "…", text)
    return re.sub(r"\d+", "N", text)[:120]


def skeleton(answer, part):
    """The wording of an error, without what came from the request."""
    try:
        body = json.loads(answer.body)
        if part is not None:
            body = body["responses"][part]["body"]
        return shape(body.get("message") or body.get("error") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return ""


def load(body):
    try:
        return json.loads(body)
    except (ValueError, TypeError):
        return None


class Player:
    def __init__(self, ref, our, aliases, restart=None):
        self.ref = ref
        self.our = our
        self.aliases = aliases
        self.restart = restart  # called when ours died; returns the new server
        self.sent = 0

    def ask(self, method, target, headers, body, side="ref"):
        """One request outside of the sequence, for a rule that wants to make sure."""
        client = (self.ref if side == "ref" else self.our).client
        client.send(method, target, headers, body)
        return client.receive()

    def exchange(self, request, memories):
        wires = []
        pages = 0
        for memory in memories:
            try:
                wires.append(memory.request(request))
                pages += 1
            except NoPage:
                wires.append(None)
        if pages == 0:
            return None
        clients = (self.ref.client, self.our.client)
        if pages == 1 or not request["method"].isalpha():
            return None  # that one side has no page was a difference of the earlier answer
        for client, wire in zip(clients, wires):
            client.send(*wire)
        self.sent += 1
        return [client.receive() for client in clients], wires

    def play(self, requests):
        """Yields a Finding for each request answered differently; ends where the two can no longer be compared."""
        context = Context(self.aliases)
        memories = (Memory(), Memory())
        for index, request in enumerate(requests):
            done = self.exchange(request, memories)
            if done is None:
                continue
            (ref, our), wires = done
            same = ref.status == our.status and (ref.get("etag") is None) == (our.get("etag") is None)
            for memory, answer in zip(memories, (ref, our)):
                memory.note(request["id"], answer if same else NOTHING)
            context.now = int(time.time() * 1000)
            comparison = Comparison(context, request, context.scope(wires[0][1], request.get("user")))
            comparison.answers(ref, our)
            self.forget_deleted(context, request, wires[0][1], ref)
            if comparison.differences:
                finding = self.judge(index, request, ref, our, comparison, wires, requests)
                yield finding
                if self.restart and not self.our.alive():
                    self.our = self.restart()
                    return
                if self.diverged(finding):
                    return
            if request["target"].startswith("/v1/batch") and ref.status == 200 and any(True for _ in late_effects(request)):
                return
            if ref.status == 200 and self.permissions_lost(request, wires, ref):
                return

    def permissions_lost(self, request, wires, answer):
        """A patch that answered without permissions may have wiped them in the reference: by its Response-Behavior, which
        can be made sure, or because the user may not see them."""
        parts = patches(request, wires[0][1])
        if any("permissions" in json.dumps(part.body) or isinstance(part.body, list) for part in parts) and b'"permissions":{}' in \
                answer.body.replace(b": ", b":"):
            return True
        shown = [self.hidden_permissions(request, wire, side) for wire, side in zip(wires, ("ref", "our"))]
        return shown[0] != shown[1] or {} in shown[0]

    def hidden_permissions(self, request, wire, side):
        """How many each kind has, of the objects that the request patched without showing it."""
        method, target, headers, body = wire
        found = []
        if not any(name == "Response-Behavior" for name, _ in headers) and b"Response-Behavior" not in (body or b""):
            return found
        for part in patches(dict(request, json=load(body)), target):
            path = part.path if part.path.startswith("/v1/") else "/v1" + part.path
            if part.headers.get("response-behavior") in ("light", "diff") and path.isascii():
                answer = self.ask("GET", path, [h for h in headers if h[0] == "Authorization"], None, side)
                permissions = (load(answer.body) or {}).get("permissions") or {}
                found.append({kind: len(who) for kind, who in permissions.items()})
        return found

    def judge(self, index, request, ref, our, comparison, wires, requests):
        look = Look(self, request, ref, our, comparison, wires, requests[:index])
        rules, unknown, part = [], [], comparison.parts[0]
        diverged = {}  # rule -> the part of a batch from which on what is stored differs, and may
        for found, number in zip(comparison.differences, comparison.parts):
            difference = Difference(found, number)
            rule = next((r for r in RULES if r.match(look.at(number), difference)), None)
            if rule is None and number is not None:
                rule = next((r for r, since in diverged.items() if since < number), None)
            if rule:
                rules.append(rule)
                if number is not None and self.changes_part(request, difference):
                    diverged.setdefault(rule, number)
            elif not unknown or part == number:
                part = number  # the first part with something unknown is what the finding is about
                unknown.append(found)
        return Finding(index, request, ref, our, comparison.differences, part, rules, unknown)

    @staticmethod
    def changes_part(request, difference):
        """Does this difference in a part of a batch go on to what the parts behind it see?"""
        if batch_part(request, difference.part)[0] in SAFE:
            return False
        return difference.is_status and min(difference.pair) < 300 or difference.where.startswith(("body.data", "body.permissions"))

    @staticmethod
    def diverged(finding):
        """May the two servers hold different data from here on?"""
        target, statuses = finding.request["target"], (finding.ref.status, finding.our.status)
        if "/buckets/default" in target and (statuses[0] != statuses[1] or not target.isascii()):
            return True  # only one side may have made the bucket
        if finding.request["method"] in SAFE and "/buckets/default" not in target:
            return False
        if statuses[0] >= 500:
            return True  # the reference keeps what it had written before it failed
        wheres = [d[0] for d in finding.differences]
        if any(w == "status" for w in wheres):
            return min(statuses) < 300
        return any(w.startswith(("body.data", "body.permissions", "part.status", "part.body", "body.responses")) for w in wheres)

    @staticmethod
    def forget_deleted(context, request, target, ref):
        if request["method"] == "DELETE" and ref.status == 200:
            context.forget(target, request.get("user"))
        elif request["method"] == "POST" and target.startswith("/v1/batch") and ref.status == 200:
            for number, part in enumerate((request.get("json") or {}).get("requests") or []):
                method, path = batch_part(request, number)
                if method == "DELETE":
                    context.forget(path, request.get("user"))


class Shrinker:
    """Greedy cutting, within a budget of plays; the result shows a finding with the same key at its last request."""

    def __init__(self, player, key, budget=140, seconds=25):
        self.player = player
        self.wanted = key
        self.budget = budget
        self.end = time.monotonic() + seconds

    def shows(self, requests):
        if self.budget <= 0 or time.monotonic() > self.end:
            return False
        self.budget -= 1
        for finding in self.player.play(requests):
            if finding.index == len(requests) - 1:
                return bool(finding.unknown) and finding.key() == self.wanted
        return False

    def run(self, requests):
        """None when the difference does not come again (a clock, not a cause)."""
        if not self.shows(requests):
            return None
        requests = self.fewer(requests)
        for at in range(len(requests) - 1, 0, -1):
            requests = self.simpler(requests, at)
        return requests

    def fewer(self, requests):
        size = max(1, (len(requests) - 2) // 2)
        while size >= 1:
            at = len(requests) - 1 - size
            while at >= 1:
                candidate = requests[:at] + requests[at + size:]
                if self.shows(candidate):
                    requests = candidate
                at -= size
            size = size // 2
        return requests

    def simpler(self, requests, at):
        going = True
        while going:
            going = False
            for change in simplifications(requests[at]):
                candidate = requests[:at] + [change] + requests[at + 1:]
                if self.shows(candidate):
                    requests, going = candidate, True
                    break
                if self.budget <= 0:
                    return requests
        return requests


def simplifications(request):
    """Smaller requests, the biggest steps first."""
    for number in range(len(request["headers"])):
        if request["headers"][number][0] == "Content-Type":
            continue
        yield dict(request, headers=request["headers"][:number] + request["headers"][number + 1:])
    path, mark, query = request["target"].partition("?")
    parts = query.split("&") if mark else []
    for number in range(len(parts)):
        rest = parts[:number] + parts[number + 1:]
        yield dict(request, target=path + ("?" + "&".join(rest) if rest else ""))
    if "raw" in request:
        rest = dict(request, headers=[h for h in request["headers"] if h[0] != "Content-Type"])
        del rest["raw"]
        yield rest
    if "json" in request:
        rest = dict(request, headers=[h for h in request["headers"] if h[0] != "Content-Type"])
        del rest["json"]
        yield rest
        for value in smaller(request["json"]):
            yield dict(request, json=value)


def smaller(value, depth=0):
    if depth > 6:
        return
    if isinstance(value, dict):
        for key in list(value):
            rest = dict(value)
            del rest[key]
            yield rest
        for key in list(value):
            for less in smaller(value[key], depth + 1):
                yield dict(copy.copy(value), **{key: less})
    elif isinstance(value, list):
        for number in range(len(value)):
            yield value[:number] + value[number + 1:]
        for number in range(len(value)):
            for less in smaller(value[number], depth + 1):
                yield value[:number] + [less] + value[number + 1:]
