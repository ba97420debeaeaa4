#!/usr/bin/env python3
"""Drives a server with kinto-http, the Python client: a library of articles, shared by two people.

    kinto_http_client.py URL STATE work      fills the server, checks it, writes what must stay to STATE
    kinto_http_client.py URL STATE verify    after a restart: everything in STATE is still true

Alice writes 10,000 records in batches, changes, filters, sorts, pages, shares and deletes them; Bob
keeps a copy by polling _since and must see exactly the changes and tombstones. Ends with
"N passed, N failed"; the exit status is 1 when anything failed.
"""

import asyncio
import json
import logging
import random
import sys

import kinto_http
from kinto_http.exceptions import KintoException
from kinto_http.patch_type import BasicPatch, JSONPatch, MergePatch

RECORDS = 10000
BUCKET, ARTICLES, NOTES, GROUP = "library", "articles", "notes", "readers"
ALICE, BOB, CAROL = ("alice", "secret"), ("bob", "secret"), ("carol", "secret")


class Checks:
    """Counts; a failed check is printed and the run goes on."""

    def __init__(self):
        self.passed = self.failed = 0

    def __call__(self, what, got, want=True):
        if got == want:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAIL {what}\n     got  {got!r:.300}\n     want {want!r:.300}")

    def refused(self, what, status, call):
        """call() must end with this status; returns the body of the error."""
        try:
            got = call()
        except KintoException as e:
            self(what, e.response.status_code, status)
            return e.response.json()
        self(what, f"answered {got!r:.100}", status)
        return {}

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


check = Checks()


def client(url, user, collection=ARTICLES):
    return kinto_http.Client(
        server_url=url, auth=user, bucket=BUCKET, collection=collection, retry=2, retry_after=1
    )


def article(n):
    data = {"n": n, "title": f"Article {n % 97}", "tags": [f"t{n % 7}", f"u{n % 3}"],
            "meta": {"lang": ["en", "fr", "de"][n % 3], "draft": n % 2 == 0}}
    if n % 10 == 0:
        data["rating"] = n / 4
    return data


def by_id(records):
    return {r["id"]: r for r in records}


class Copy:
    """A client that keeps a copy of a collection by polling, as every syncing client does."""

    def __init__(self, remote):
        self.remote, self.records, self.since = remote, {}, None

    def poll(self):
        """Takes over what changed; returns the ids of changed and of deleted records."""
        params = {} if self.since is None else {"_since": f'"{self.since}"'}
        changes = self.remote.get_records(**params)
        self.remote._records_timestamp.clear()
        changed, deleted = set(), set()
        for change in changes:
            if change.get("deleted"):
                deleted.add(change["id"])
                self.records.pop(change["id"], None)
            else:
                changed.add(change["id"])
                self.records[change["id"]] = change
        newest = max((c["last_modified"] for c in changes), default=None)
        self.since = newest if newest is not None else self.since
        return changed, deleted


def set_up(alice, bob):
    info = alice.server_info()
    check("hello names kinto", info["project_name"], "kinto")
    bob_id = bob.server_info()["user"]["id"]
    check("users differ", bob_id != info["user"]["id"])
    made = alice.create_bucket(id=BUCKET, data={"kind": "test"})
    check("bucket is made", made["data"]["id"], BUCKET)
    check("maker may write", made["permissions"]["write"], [info["user"]["id"]])
    check.refused("bucket exists already", 412, lambda: alice.create_bucket(id=BUCKET))
    check("if_not_exists gives the old one",
          alice.create_bucket(id=BUCKET, if_not_exists=True)["data"]["kind"], "test")
    alice.create_collection(id=ARTICLES, data={"sort": "-n"})
    alice.create_collection(id=NOTES)
    check.refused("private for bob", 403, lambda: bob.get_records())
    check("collections", sorted(c["id"] for c in alice.get_collections()), [ARTICLES, NOTES])
    alice.create_group(id=GROUP, data={"members": []})
    alice.create_group(id="others", data={"members": ["basicauth:nobody"]})
    check("groups", sorted(g["id"] for g in alice.get_groups()), ["others", GROUP])
    alice.patch_group(id=GROUP, changes=BasicPatch(data={"members": [bob_id]}))
    check("group is patched", alice.get_group(id=GROUP)["data"]["members"], [bob_id])
    alice.delete_group(id="others")
    check("one group is left", [g["id"] for g in alice.get_groups()], [GROUP])


def fill(alice):
    with alice.batch() as batch:
        for n in range(RECORDS):
            batch.create_record(id=f"r{n:05d}", data=article(n))
    created = alice.get_records(_limit=RECORDS)
    check("all records are there", len(created), RECORDS)
    stamps = [r["last_modified"] for r in created]
    check("stamps are unique", len(set(stamps)), RECORDS)
    check("newest first", stamps == sorted(stamps, reverse=True))
    own = by_id(created)
    check("values are kept", {k: own["r00040"][k] for k in article(40)}, article(40))
    check("timestamp is the newest", alice.get_records_timestamp(), str(max(stamps)))


def read(alice):
    pages = list(alice.get_paginated_records(_limit=999, _sort="n"))
    got = [r["n"] for page in pages for r in page["data"]]
    check("pages", len(pages), 11)
    check("pages hold all in order", got == list(range(RECORDS)))
    got = alice.get_records(_sort="title,-n", _limit=3000, pages=float("inf"))
    want = sorted(range(RECORDS), key=lambda n: (f"Article {n % 97}", -n))
    check("sorted by two fields, in pages", [r["n"] for r in got] == want)
    ns = lambda **q: sorted(r["n"] for r in alice.get_records(**q))
    check("min and lt", ns(min_n=100, lt_n=200), list(range(100, 200)))
    check("in", ns(in_id="r00001,r00005,nope"), [1, 5])
    check("not and max", ns(max_n=20, **{"not_meta.lang": "en"}),
          [n for n in range(21) if n % 3])
    check("like", ns(like_title="*cle 96", max_n=300), [96, 193, 290])
    check("like without a star", ns(like_title="CLE 96", max_n=300), [96, 193, 290])
    check("has", ns(has_rating="true", max_n=50), [0, 10, 20, 30, 40, 50])
    check("contains", ns(contains_tags='["t3","u2"]', max_n=100),
          [n for n in range(101) if n % 7 == 3 and n % 3 == 2])
    check("contains any", len(ns(contains_any_tags='["t3","t4"]')),
          sum(n % 7 in (3, 4) for n in range(RECORDS)))
    check("inside objects", len(ns(**{"meta.draft": "true"})), RECORDS // 2)
    check("exclude", len(ns(exclude_id="r00001,r00002")), RECORDS - 2)
    some = alice.get_records(_fields="n,meta.lang", id="r00007")[0]
    check("fields", sorted(some), ["id", "last_modified", "meta", "n"])
    check("fields inside", some["meta"], {"lang": "fr"})
    body, headers = alice.session.request("get", f"/buckets/{BUCKET}/collections/{ARTICLES}/records")
    check("lists come compressed", headers.get("Content-Encoding"), "gzip")
    check("and are read all the same", len(body["data"]), RECORDS)


def change(alice):
    record = alice.get_record(id="r00001")["data"]
    done = alice.patch_record(id="r00001", changes=BasicPatch(data={"title": "changed"}))
    check("patch keeps the rest", done["data"]["n"], 1)
    check("patch moves the stamp", done["data"]["last_modified"] > record["last_modified"])
    error = check.refused("stale patch", 412, lambda: alice.patch_record(
        original=record, changes=BasicPatch(data={"title": "lost"})))
    check("412 shows what is there", error["details"]["existing"]["title"], "changed")
    done = alice.patch_record(id="r00002", changes=MergePatch(
        data={"meta": {"draft": None, "by": "alice"}}))
    check("merge patch", done["data"]["meta"], {"lang": "de", "by": "alice"})
    done = alice.patch_record(id="r00003", changes=JSONPatch([
        {"op": "test", "path": "/data/n", "value": 3},
        {"op": "add", "path": "/data/tags/-", "value": "new"},
        {"op": "add", "path": "/permissions/read/system.Everyone"}]))
    check("JSON patch of data", done["data"]["tags"], ["t3", "u0", "new"])
    check("JSON patch of permissions", done["permissions"]["read"], ["system.Everyone"])
    done = alice.update_record(data={"id": "r00004", "fresh": True})
    check("update replaces", "n" not in done["data"] and done["data"]["fresh"])
    check.refused("stale update", 412, lambda: alice.update_record(data={"id": "r00005"}, if_match=1))
    check.refused("missing record", 404, lambda: alice.get_record(id="nope"))
    bad = f"/buckets/{BUCKET}/collections/{ARTICLES}/records/a%20b"
    check.refused("bad id", 400, lambda: alice.session.request("put", bad, data={}))


def share(alice, bob, carol):
    check("bob sees the open one only", [r["id"] for r in bob.get_records()], ["r00003"])
    alice.patch_collection(changes=BasicPatch(
        permissions={"read": [f"/buckets/{BUCKET}/groups/{GROUP}"]}))
    check("shared through the group", len(bob.get_records()), RECORDS)
    check("shared object shows no permissions", bob.get_record(id="r00006")["permissions"], {})
    check.refused("bob may not write", 403, lambda: bob.update_record(data={"id": "r00006"}))
    check.refused("bob may not add", 403, lambda: bob.create_record(data={"n": 1}))
    check("carol sees the open one only", [r["id"] for r in carol.get_records()], ["r00003"])
    carol_id = carol.server_info()["user"]["id"]
    alice.patch_record(id="r00006", changes=JSONPatch(
        [{"op": "add", "path": f"/permissions/write/{carol_id}"}]))
    done = carol.patch_record(id="r00006", changes=BasicPatch(data={"by": "carol"}))
    check("carol may write one", done["data"]["by"], "carol")
    check("carol sees two", sorted(r["id"] for r in carol.get_records()), ["r00003", "r00006"])
    check.refused("carol may not delete others", 403, lambda: carol.delete_record(id="r00007"))


def sync(alice, bob):
    """Rounds of changes; after each, Bob's copy is exactly what Alice has."""
    chance = random.Random(2718)
    copy = Copy(bob)
    changed, deleted = copy.poll()
    check("first poll brings all", (len(changed), deleted), (RECORDS, set()))
    check("nothing new", copy.poll(), (set(), set()))
    alive = set(copy.records)
    for round_ in range(6):
        touched = set(chance.sample(sorted(alive), 60))
        gone = set(chance.sample(sorted(alive - touched), 40))
        new = {f"n{round_}-{i}" for i in range(20)}
        again = set(chance.sample(sorted(gone), 5))
        with alice.batch() as batch:
            for id_ in sorted(touched):
                batch.patch_record(id=id_, changes=BasicPatch(data={"round": round_}))
            for id_ in sorted(gone):
                batch.delete_record(id=id_)
            for id_ in sorted(new):
                batch.create_record(id=id_, data={"n": round_, "new": True})
        for id_ in sorted(again):
            alice.create_record(id=id_, data={"n": -1, "again": True})
        changed, deleted = copy.poll()
        check(f"round {round_}: changes", changed, touched | new | again)
        check(f"round {round_}: tombstones", deleted, gone - again)
        check(f"round {round_}: copies are equal", copy.records == by_id(alice.get_records()))
        check(f"round {round_}: nothing more", copy.poll(), (set(), set()))
        alive = set(copy.records)
    check("not modified", bob.get_records(if_none_match=bob.get_records_timestamp()), [])
    return copy


def delete(alice, bob, copy):
    gone = alice.delete_record(id="r00001") if "r00001" in copy.records else None
    if gone:
        check("deleted", gone["deleted"])
    check.refused("deleted is gone", 404, lambda: alice.get_record(id="r00001"))
    notes = client(alice.session.server_url, ALICE, NOTES)
    with notes.batch() as batch:
        for n in range(30):
            batch.create_record(data={"n": n})
    check("generated ids", len({r["id"] for r in notes.get_records()}), 30)
    check("all notes are deleted", len(notes.delete_records()), 30)
    check("none is left", notes.get_records(), [])
    check("their tombstones are", len(notes.get_records(_since="0", deleted="true")), 30)
    alice.create_bucket(id="away")
    alice.create_collection(id="c", bucket="away")
    alice.create_record(id="r", data={}, collection="c", bucket="away")
    alice.delete_bucket(id="away")
    check.refused("a deleted bucket is nobody's", 403, lambda: alice.get_bucket(id="away"))
    changed, deleted = copy.poll()
    check("the last deletion arrives", (changed, deleted), (set(), {"r00001"} if gone else set()))


async def in_parallel(url):
    alice = kinto_http.AsyncClient(server_url=url, auth=ALICE, bucket=BUCKET, collection=NOTES)
    await asyncio.gather(*(alice.create_record(id=f"p{n}", data={"n": n}) for n in range(40)))
    records = await alice.get_records()
    check("written in parallel", sorted(r["n"] for r in records), list(range(40)))
    check("stamps in parallel", len({r["last_modified"] for r in records}), 40)


def snapshot(alice):
    """Everything that must be the same after a restart."""
    notes = client(alice.session.server_url, ALICE, NOTES)
    return {
        "articles": by_id(alice.get_records(_since="0")),
        "notes": by_id(notes.get_records(_since="0")),
        "timestamps": [alice.get_records_timestamp(), notes.get_records_timestamp()],
        "bucket": alice.get_bucket(),
        "collections": by_id(alice.get_collections()),
        "permissions": alice.get_collection()["permissions"],
        "record": alice.get_record(id="r00006"),
        "group": alice.get_group(id=GROUP),
        "user": alice.server_info()["user"],
    }


def work(url, state):
    alice, bob, carol = (client(url, user) for user in (ALICE, BOB, CAROL))
    set_up(alice, bob)
    fill(alice)
    read(alice)
    change(alice)
    share(alice, bob, carol)
    copy = sync(alice, bob)
    delete(alice, bob, copy)
    asyncio.run(in_parallel(url))
    saved = snapshot(client(url, ALICE))
    saved["copy"], saved["since"] = copy.records, copy.since
    with open(state, "w", encoding="utf-8") as f:
        json.dump(saved, f)


def verify(url, state):
    with open(state, encoding="utf-8") as f:
        saved = json.load(f)
    alice, bob = client(url, ALICE), client(url, BOB)
    now = snapshot(client(url, ALICE))
    for key, value in now.items():
        check(f"{key} as before the kill", value == saved[key])
    copy = Copy(bob)
    copy.records, copy.since = saved["copy"], saved["since"]
    check("a polling client sees no change", copy.poll(), (set(), set()))
    done = alice.create_record(id="after", data={"n": 0})
    check("stamps go on", done["data"]["last_modified"] > int(saved["timestamps"][0]))
    check("and the change is seen", copy.poll(), ({"after"}, set()))
    check("copies are equal", copy.records == by_id(alice.get_records()))


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in ("work", "verify"):
        print(__doc__, file=sys.stderr)
        return 2
    url = sys.argv[1].rstrip("/") + "/v1"
    logging.getLogger("kinto_http").setLevel(logging.CRITICAL)
    try:
        (work if sys.argv[3] == "work" else verify)(url, sys.argv[2])
    except Exception as e:  # a client that gave up is a failed check, and the totals still come
        check(f"the run ended early: {type(e).__name__}: {e}", False)
    return check.end()


if __name__ == "__main__":
    sys.exit(main())
