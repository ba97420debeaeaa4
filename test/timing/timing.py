#!/usr/bin/env python3
"""Does the time of an answer tell whether a name is an account? `make timing` asks.

    timing.py [--samples N] [--cost COST] [--seed SEED] [--only WORD]

Starts $KINTO_BIN on a data directory of its own, with accounts made valid by mail (no mail server
listens), and asks the same of names that are accounts and of names that are none, in random order, N
times each. Both lots of times are compared by their ranks (Mann and Whitney): "told apart" is how often
somebody who sees one time of each guesses right which is which; 50 % is by chance. That is what a
neighbour on an idle machine could learn from one look at best; networks only blur it.

Ends with 1 when any pair that is claimed to take the same time is told apart in more than MOST of
the cases and by more than MOST_US between the medians: the look at one more key takes a few
microseconds, which on an idle machine is seen in the ranks and across a network is not. What is not
claimed (the status tells already) is printed without being judged.
"""
import argparse
import base64
import http.client
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

MOST = 0.75  # of the cases
MOST_US = 10

INI = """[server:main]
port = 0
[app:main]
kinto.includes = kinto.plugins.accounts
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy
kinto.account_create_principals = system.Everyone
kinto.account_password_cost = {cost}
kinto.account_validation = true
kinto.account_validation.email_sender = kinto@example.org
kinto.userid_hmac_secret = secret
mail.host = 127.0.0.1
mail.port = 1
"""


class Server:
    def __init__(self, cost):
        self.folder = tempfile.mkdtemp(prefix="kinto-timing-")
        ini = os.path.join(self.folder, "kinto.ini")
        with open(ini, "w") as f:
            f.write(INI.format(cost=cost))
        binary = os.environ.get("KINTO_BIN", "./kinto")
        args = [binary, "start", "-q", "--ini", ini, "--data", os.path.join(self.folder, "data")]
        self.log = open(os.path.join(self.folder, "log"), "w")
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        found = re.search(r"http://([^/ ]+)", line)
        if not found:
            self.stop()
            sys.exit(f"the server did not start: {line!r}")
        self.connection = http.client.HTTPConnection(found.group(1), timeout=30)

    def ask(self, method, path, body=None, password=None):
        """The status and how many seconds it took. password: (name, password)."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if password:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(password).encode()).decode()
        text = json.dumps(body) if body is not None else None
        begun = time.perf_counter()
        self.connection.request(method, "/v1" + path, text, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - begun

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        shutil.rmtree(self.folder)


# ---- what is asked: (words, is it claimed, method, path, body, password) --------------------------

def log_in(name):
    return "GET", "/", None, (name, "wrong")


def reset_password(name):
    return "POST", f"/accounts/{name}/reset-password", None, None


def validate(name):
    return "POST", f"/accounts/{name}/validate/00000000-0000-0000-0000-000000000000", None, None


def look(name):
    return "GET", f"/accounts/{name}", None, None


def look_with_wrong_password(name):
    return "GET", f"/accounts/{name}", None, (name, "wrong")


def sign_up(name):
    return "PUT", f"/accounts/{name}", {"data": {"password": "another"}}, None


PAIRS = [
    ("log in with a wrong password", True, log_in),
    ("look at an account with a wrong password", True, look_with_wrong_password),
    ("look at an account", True, look),
    ("validate with a wrong key", True, validate),
    ("reset-password", True, reset_password),
    ("reset-password again", True, reset_password),
    ("sign up (the status tells)", False, sign_up),
]


# ---- statistics -----------------------------------------------------------------------------------

def told_apart(a, b):
    """The share of pairs in which a's is the longer one (ties count half), turned to 0.5 and above; and how
    many standard deviations that is from chance."""
    both = sorted([(x, 0) for x in a] + [(x, 1) for x in b])
    rank_sum, i = 0.0, 0
    while i < len(both):
        j = i
        while j < len(both) and both[j][0] == both[i][0]:
            j += 1
        rank_sum += (i + j + 1) / 2 * sum(1 for x in both[i:j] if x[1] == 0)
        i = j
    n, m = len(a), len(b)
    u = rank_sum - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    share = u / (n * m)
    return max(share, 1 - share), abs(z)


def measure(server, question, names, strangers, rng):
    """Times for both, in an order that nothing else can have to do with."""
    todo = [(0, n) for n in names] + [(1, n) for n in strangers]
    rng.shuffle(todo)
    times, statuses = ([], []), (set(), set())
    for which, name in todo:
        status, seconds = server.ask(*question(name))
        times[which].append(seconds)
        statuses[which].add(status)
    return times, statuses


def report(words, claimed, times, statuses):
    share, z = told_apart(*times)
    medians = [statistics.median(t) * 1e6 for t in times]
    same = statuses[0] == statuses[1]
    bad = claimed and (not same or (share > MOST and abs(medians[0] - medians[1]) > MOST_US))
    print(f"{'FAIL' if bad else '  ok' if claimed else '    '}  {words:42} {medians[0]:9.0f} us {medians[1]:9.0f} us"
          f"   told apart {share * 100:3.0f} % (z {z:.1f})"
          + ("" if same else f"   answers {sorted(statuses[0])} and {sorted(statuses[1])}"), flush=True)
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--samples", type=int, default=300)
    p.add_argument("--cost", type=int, default=6, help="of the passwords' hashes")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--only", default="")
    o = p.parse_args()
    rng = random.Random(o.seed)
    names = [f"{rng.getrandbits(64):016x}@example.org" for _ in range(2 * o.samples)]
    accounts, strangers = names[:o.samples], names[o.samples:]
    server = Server(o.cost)
    bad = 0
    try:
        for name in accounts:
            status, _ = server.ask("PUT", f"/accounts/{name}", {"data": {"password": "secret"}})
            assert status == 201, status
        print(f"      {'':42} {'account':>12} {'none':>12}   of {o.samples} times each")
        for words, claimed, question in PAIRS:
            if o.only in words:
                bad += report(words, claimed, *measure(server, question, accounts, strangers, rng))
    finally:
        server.stop()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
