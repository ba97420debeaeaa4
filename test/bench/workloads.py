"""What is asked of a server. A workload prepares itself on a server that holds the data, and tells the
requests that wrk shall send; one of them is tried first, and must be answered as it should be.
"""
import http.client
import json
import random
import urllib.parse

import data

POLLED = 10  # changes that a client has not seen


class Wrong(Exception):
    """A server answers something else than it should; what it then does fast means nothing."""


class Client:
    """Sets a server up. One connection."""

    def __init__(self, port):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method, target, body=None, headers=None, expect=(200, 201)):
        self.http.request(method, target, body, dict(data.HEADERS, **(headers or {})))
        answer = self.http.getresponse()
        content = answer.read()
        if answer.status not in expect:
            raise Wrong("%s %s: %d %s" % (method, target, answer.status, content[:300]))
        return answer, content

    def close(self):
        self.http.close()


def fill_one(client, n, part, into):
    """n records, batch by batch."""
    for i in range(0, n, part):
        _, content = client.ask("POST", "/v1/batch", data.batch(range(i, min(n, i + part)), 0, into))
        if any(part["status"] not in (200, 201) for part in json.loads(content)["responses"]):
            raise Wrong("a batch: %s" % content[:300])


def fill(port, n, part=data.PART):
    """The bucket, both collections that all have, and n records."""
    client = Client(port)
    for path in (data.BUCKET, data.RECORDS.rsplit("/", 1)[0], data.NEW.rsplit("/", 1)[0]):
        client.ask("PUT", path, "{}")
    fill_one(client, n, part, data.RECORDS)
    client.close()


def list_target(records=data.RECORDS, **query):
    return records + "?" + urllib.parse.urlencode(query)


class Workload:
    """name; operations: how many a request is; writes: does it change the data? items: how many objects are in an
    answer, of n that there are; ours: nobody else has what it takes."""

    def __init__(self, name, title, requests, expect=200, operations=1, writes=False, items=None, ours=False):
        self.name, self.title = name, title
        self.make_requests = requests
        self.expect, self.operations, self.writes = expect, operations, writes
        self.items, self.ours = items, ours

    def requests(self, client, n):
        """(method, target, headers, body) to be sent in turn, against n records."""
        return [(m, t, dict(data.HEADERS, **h), b) for m, t, h, b in self.make_requests(client, n)]

    def prove(self, client, request, n):
        """The answer and its body, if it is the right one of a server with n records."""
        method, target, headers, body = request
        answer, content = client.ask(method, target, body, headers, expect=(self.expect,))
        if self.items is not None and len(json.loads(content)["data"]) != self.items(n):
            raise Wrong("%s: not %d objects: %s" % (target, self.items(n), content[:300]))
        if self.operations > 1 and any(p["status"] != 200 for p in json.loads(content)["responses"]):
            raise Wrong("%s: %s" % (target, content[:300]))
        return answer, content


def shuffled(n, most=10000):
    numbers = list(range(n))
    dice = random.Random(n)
    return dice.sample(numbers, most) if n > most else dice.sample(numbers, n)


def get_requests(_, n):
    return [("GET", "%s/%s" % (data.RECORDS, data.record_id(i)), {}, None) for i in shuffled(n)]


def list_requests(_, __):
    return [("GET", list_target(_limit=100), {}, None)]


def since_requests(client, n):
    """A client that has seen all but the last changes, which are made here."""
    answer, _ = client.ask("GET", list_target(_limit=1))
    seen = answer.getheader("ETag")
    for i in range(POLLED):
        client.ask("PUT", "%s/%s" % (data.RECORDS, data.record_id(i)), data.body({"data": data.record(i)}))
    return [("GET", list_target(_since=seen), {}, None)]


def unchanged_requests(client, _):
    answer, _ = client.ask("GET", list_target(_limit=1))
    return [("GET", data.RECORDS, {"If-None-Match": answer.getheader("ETag")}, None)]


def filter_requests(_, __):
    return [("GET", list_target(group="g17", _sort="-rank", _limit=50), {}, None)]


def indexed_requests(client, n):
    """The same of a collection with an index, which is filled here the first time."""
    collection = data.INDEXED.rsplit("/", 1)[0]
    if client.ask("GET", collection, expect=(200, 404))[0].status == 404:
        client.ask("PUT", collection, "{}")
        fill_one(client, n, data.PART, data.INDEXED)
    return [("GET", list_target(data.INDEXED, group="g17", _sort="-rank", _limit=50), {}, None)]


def put_requests(_, n):
    return [("PUT", "%s/%s" % (data.RECORDS, data.record_id(i)), {}, data.body({"data": data.record(i, 1)}))
            for i in shuffled(n)]


def post_requests(_, __):
    return [("POST", data.NEW, {}, data.body({"data": data.record(i)})) for i in range(1000)]


def patch_requests(_, n):
    return [("PATCH", "%s/%s" % (data.RECORDS, data.record_id(i)), {}, data.body({"data": {"rank": i}}))
            for i in shuffled(n)]


def batch_requests(_, n):
    numbers = shuffled(n)
    parts = [numbers[i:i + data.PART] for i in range(0, len(numbers) - data.PART + 1, data.PART)]
    return [("POST", "/v1/batch", {}, data.batch(part, 2)) for part in parts]


ALL = [
    Workload("get", "GET a record", get_requests),
    Workload("list", "list 100 records", list_requests, items=lambda n: min(100, n)),
    Workload("since", "poll, 10 changes", since_requests, items=lambda _: POLLED),
    Workload("unchanged", "poll, 304", unchanged_requests, expect=304),
    Workload("filter", "filter and sort", filter_requests,
             items=lambda n: min(50, n // data.GROUPS)),
    Workload("indexed", "filter and sort, by an index", indexed_requests, ours=True,
             items=lambda n: min(50, n // data.GROUPS)),
    Workload("put", "PUT a record", put_requests, writes=True),
    Workload("patch", "PATCH a record", patch_requests, writes=True),
    Workload("batch", "batch of 25 PUTs", batch_requests, operations=data.PART, writes=True),
    # the last one: behind it there are as many more records as a contestant is fast
    Workload("post", "POST a record", post_requests, expect=201, writes=True),
]
