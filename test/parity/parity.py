#!/usr/bin/env python3
"""Differential tester: the reference (kinto==26.5.0) beside ours, the same requests to both, answers compared.

    parity.py [--profile NAME ...] [--seed N] [--requests N] [--ours URL] [--report FILE]

Per profile (profiles.py) both servers are started with the same INI and asked the same sequences (generate.py), each
from a flush on. Answers are compared after mapping what may differ (compare.py); differences that are meant have a rule
(known/); any other is cut down (play.py) and printed as curl commands with both answers. Exit status: 0 no difference,
1 differences, 2 usage; 0 with a loud message when the reference cannot be installed.

Environment: KINTO_BIN (default ./kinto), PARITY_REFERENCE (bin folder of an environment with the reference; without it
one is made in --scratch). `--ours reference` compares the reference with itself, which must find nothing.
"""

import argparse
import collections
import hashlib
import hmac
import json
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import generate
import metrics
from play import Player, Shrinker
from profiles import PROFILES, ini_text
from report import describe
from servers import REFERENCE, NotStarted, Server, find_reference, has_metrics, start_ours, start_reference

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIZE = 45  # requests in a sequence


class Group:
    """Findings with one key: how many, on which endpoints, and the shortest sequence that shows it."""

    def __init__(self):
        self.profiles = collections.Counter()
        self.count = 0
        self.places = collections.Counter()
        self.example = None
        self.tries = 0
        self.unsteady = 0


def principals(users=generate.USERS):
    secret = b"parity-secret"
    return {u: "basicauth:" + hmac.new(secret, ("%s:pw" % u).encode(), hashlib.sha256).hexdigest()
            for u in users if u}


def default_buckets(server):
    """User -> id of the bucket that `default` stands for; the reference says."""
    found = {}
    for user in generate.USERS[1:]:
        server.client.send("GET", "/v1/", [("Authorization", generate.basic(user))], None)
        try:
            found[user] = json.loads(server.client.receive().body)["user"]["bucket"]
        except (KeyError, ValueError):
            pass
    return found


def place(finding):
    method, target = finding.method_and_path()
    parts = target.split("?")[0].split("/")
    named = [p if number % 2 == 0 or p in ("default",) or p.startswith("__") else "*" for number, p in enumerate(parts)]
    if len(parts) > 2 and parts[1] == "v1":
        named = parts[:3] + ["*" if n % 2 == 1 and p != "default" else p for n, p in enumerate(parts[3:], 3)]
    return method + " " + ("(next page)" if target.startswith("⟨") else "/".join(named)) + ("" if finding.part is None else " in a batch")


class Run:
    """One profile: servers, sequences, findings."""

    def __init__(self, name, options, scratch, reference, groups=None):
        """`groups` may be shared by the runs of several profiles, so that a cause is cut down once."""
        self.name = name
        self.profile = PROFILES[name]
        self.options = options
        self.scratch = scratch
        self.reference = reference
        self.groups = {} if groups is None else groups
        self.known = collections.Counter()
        self.ref = self.our = self.player = None
        self.metrics = []  # what differs in them

    def start(self):
        users = principals(generate.USERS + (generate.ADMIN,))
        self.ini = os.path.join(self.scratch, self.name + ".ini")
        with open(self.ini, "w") as out:
            out.write(ini_text(self.profile, users))
        self.ref = start_reference(self.reference, self.ini, self.scratch)
        self.our = self.start_other()
        self.ref.wait()
        self.our.wait()
        self.player = Player(self.ref, self.our, default_buckets(self.ref), self.restart)

    def start_other(self):
        if self.options.ours == "reference":
            return start_reference(self.reference, self.ini, self.scratch, "second-reference")
        if self.options.ours:
            return Server("ours", url=self.options.ours)
        return start_ours(self.options.binary, self.ini, self.scratch)

    def restart(self):
        self.our.stop()
        self.our = self.start_other()
        self.our.wait()
        return self.our

    def stop(self):
        for server in (self.ref, self.our):
            if server:
                server.stop()

    def run(self):
        number = 0
        if self.options.only is None:
            self.sequence("description", generate.description())
        while self.player.sent < self.options.requests:
            seed = "%s/%s/%d" % (self.options.seed, self.name, number)
            if self.options.only is None or number == self.options.only:
                self.sequence(seed, generate.sequence(seed, self.profile, principals(), SIZE))
            if self.options.only is not None and number >= self.options.only:
                break
            number += 1
            if self.options.first and self.groups:
                break

        if self.profile.metrics:
            self.metrics = metrics.compare(self.ref, self.our)

    def sequence(self, seed, requests):
        found = list(self.player.play(requests))
        for finding in found:
            for rule in set(finding.rules):
                self.known[rule.name] += 1
            if finding.unknown:
                self.record(seed, requests, finding)

    def record(self, seed, requests, finding):
        key = finding.key()
        group = self.groups.setdefault(key, Group())
        group.count += 1
        group.profiles[self.name] += 1
        group.places[place(finding)] += 1
        if group.example or group.tries >= 2 or len(self.groups) > self.options.shrink:
            if not group.example:
                group.raw = (seed, requests[: finding.index + 1], finding)
            return
        group.tries += 1
        sent = self.player.sent
        small = Shrinker(self.player, key).run(requests[: finding.index + 1])
        if small:
            last = [f for f in self.player.play(small) if f.unknown and f.index == len(small) - 1]
            if last:
                group.example = (seed, small, last[0])
        if not group.example:
            group.unsteady += 1
            group.raw = (seed, requests[: finding.index + 1], finding)
        self.player.sent = sent

    def failures(self):
        return failures(self.groups)


def failures(groups):
    """Differences that come again. One that never did is reported, but is the clock's."""
    return {k: g for k, g in groups.items() if g.example or g.unsteady < g.tries or g.tries == 0}


def parse_options(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--requests", type=int, default=1000, help="requests of each profile (default 1000)")
    parser.add_argument("--profile", action="append", choices=sorted(PROFILES), help="default: all")
    parser.add_argument("--ours", help="URL of a running server (one profile at a time), or `reference`")
    parser.add_argument("--binary", default=os.environ.get("KINTO_BIN", os.path.join(ROOT, "kinto")))
    parser.add_argument("--scratch", default=os.path.join(ROOT, "build", "parity"))
    parser.add_argument("--report", help="write the differences there too")
    parser.add_argument("--only", type=int, help="play this sequence of the seed alone")
    parser.add_argument("--first", action="store_true", help="stop at the first difference")
    parser.add_argument("--shrink", type=int, default=40, help="cut down so many differences of a profile (default 40)")
    parser.add_argument("--list", action="store_true", help="print the requests of the sequence --only, and stop")
    parser.add_argument("--known", action="store_true", help="list the differences that are meant, and stop")
    return parser.parse_args(argv)


def list_requests(options):
    for name in options.profile or PROFILES:
        seed = "%s/%s/%d" % (options.seed, name, options.only or 0)
        for request in generate.sequence(seed, PROFILES[name], principals(), SIZE):
            print(json.dumps(request, ensure_ascii=False))


def list_known():
    from known import RULES
    for rule in RULES:
        print("%-24s %s\n    %s" % (rule.name, rule.section, rule.reason))


def one_profile(name, options, reference, groups):
    with tempfile.TemporaryDirectory(prefix="parity-") as scratch:
        run = Run(name, options, scratch, reference, groups)
        began = time.monotonic()
        try:
            run.start()
            run.run()
        except NotStarted as problem:
            print("parity: %-10s NOT STARTED: %s" % (name, problem), flush=True)
            return None, []
        finally:
            run.stop()
    print("parity: %-10s %6d requests, %5.1f s, %d differences in %d kinds, %d meant" % (
        name, run.player.sent, time.monotonic() - began, sum(g.profiles[name] for g in groups.values()),
        sum(g.profiles[name] > 0 for g in groups.values()), sum(run.known.values())), flush=True)
    for rule, count in run.known.most_common():
        print("    %6d  %s" % (count, rule), flush=True)
    for difference in run.metrics:
        print("    metrics: " + difference, flush=True)
    return run.player.sent, run.metrics


def main(argv):
    options = parse_options(argv)
    if options.list:
        return list_requests(options)
    if options.known:
        return list_known()
    os.makedirs(options.scratch, exist_ok=True)
    reference = find_reference(options.scratch)
    if reference is None:
        print("\n*** parity: SKIPPED. The reference (%s) could not be installed. Nothing was compared. ***\n" % REFERENCE)
        return 0
    names = list(options.profile or PROFILES)
    if any(PROFILES[name].metrics for name in names) and not has_metrics(reference):
        print("\n*** parity: metrics are SKIPPED. There is no prometheus_client beside the reference. ***\n")
        names = [name for name in names if not PROFILES[name].metrics]
    groups, total, broken, counting = {}, 0, 0, set()
    for name in names:
        sent, differences = one_profile(name, options, reference, groups)
        total += sent or 0
        broken += sent is None
        if differences:
            counting.add(name)
    text = describe(groups, failures(groups))
    print(text, flush=True)
    if options.report:
        with open(options.report, "w") as out:
            out.write(text)
    differing = counting | {name for group in failures(groups).values() for name in group.profiles}
    print("parity: %d requests, %d differences, %d profiles not started" % (total, len(failures(groups)), broken))
    print("%d passed, %d failed" % (len(names) - len(differing) - broken, len(differing) + broken))
    return 1 if differing or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
