"""GET /v1/__metrics__ of both servers after the same requests: which metrics there are, of which type and with which help, and
which series each has. Values are the clock's; and how often something was counted, and for which ids, depends on what either server
refuses: it counts only whether a label has a value."""

import re

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)')

# What doc/differences.md ("Metrics") says of metrics that are not there, and of the operations of the backends.
ONLY_REFERENCE = re.compile(r"^(python_|kinto_authentication_\w+_seconds|kinto_cache_(hits|misses))")
BACKEND = re.compile(r"^kinto_backend_")


class Metrics:
    """Of one answer: name -> (type, help), and the series: (name of the sample, its labels)."""

    def __init__(self, text):
        self.families, self.series = {}, set()
        help_text = {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                _, _, name, words = line.split(" ", 3)
                help_text[name] = words
            elif line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                self.families[name] = (kind, help_text.get(name))
            else:
                self.add(line)

    def add(self, line):
        name, labels, value = SAMPLE.match(line).groups()
        float(value)
        found = dict(LABEL.findall(labels or ""))
        for label in found:
            if label.endswith("id") and found[label]:
                found[label] = "*"
            if label == "method" and name.startswith("kinto_request_") and found[label] not in METHODS:
                found[label] = "other"
        self.series.add((name, tuple(sorted(found.items()))))
        if name.startswith(("kinto_request_duration_", "kinto_request_size_")):
            self.split(name, found)

    def split(self, name, labels):
        """Instead of the series: its method, and which ids it has. Both together say which requests were refused."""
        self.series.remove((name, tuple(sorted(labels.items()))))
        for what in ({k: v for k, v in labels.items() if not k.endswith("_id")},
                     {k: v for k, v in labels.items() if k != "method"}):
            self.series.add((name, tuple(sorted(what.items()))))


def ordinary():
    """Requests, good and refused, that both answer alike: of what is asked for once or twice only, the one time may be a
    known difference, and no series would be there to compare."""
    yield "GET", "/v1/"  # which whoever waits for a server to start has asked one of them
    for bucket in ("/v1/buckets/metrics", "/v1/buckets/default"):
        yield "PUT", bucket
        for path in ("/groups/x", "/collections/x", "/collections/x/records/x"):
            for method in ("PUT", "PATCH", "GET", "HEAD"):
                yield method, bucket + path
            for method in ("POST", "GET", "HEAD"):
                yield method, bucket + path[:-2]
        for path in ("/collections/x/records", "/collections", "/groups"):
            for target in (path + "/x", path):
                yield "DELETE", bucket + target
        for method in ("PATCH", "GET", "HEAD", "DELETE"):
            yield method, bucket
    for path in ("", "/metrics", "/metrics/groups", "/metrics/groups/x", "/metrics/collections", "/metrics/collections/x",
                 "/metrics/collections/x/records", "/metrics/collections/x/records/x"):
        yield "OPTIONS", "/v1/buckets" + path
    for method in ("POST", "GET", "HEAD", "DELETE"):
        yield method, "/v1/buckets"
    for method in ("GET", "PUT", "POST", "PATCH", "HEAD", "DELETE", "OPTIONS"):
        for path in ("/buckets", "/v1/none", "/v1/buckets/"):
            yield method, path


def ask(server):
    for method, path in ordinary():
        body = None
        if method in ("PUT", "POST", "PATCH"):
            body = b'{"data": {"members": []}}' if "groups" in path else b'{"data": {"n": 1}}'
        headers = [("Content-Type", "application/json")] if body else []
        for user in ([], [("Authorization", "Basic bWV0cmljczpwdw==")]):
            server.client.send(method, path, headers + user, body)
            server.client.receive()
    server.client.send("GET", "/v1/__metrics__", [], None)
    answer = server.client.receive()
    return answer.status, answer.get("Content-Type"), answer.body.decode()


def is_meant(side, name, labels):
    labels = dict(labels)
    if side == "reference" and (ONLY_REFERENCE.match(name) or BACKEND.match(name)):
        return True
    # Which statuses there are has rules of its own (known/), as `get` for GET has.
    return labels.get("method") == "other" or "status" in labels


def always_405(metrics):
    """Endpoint and method of what was always refused for its method."""
    statuses = {}
    for name, labels in metrics.series:
        if name == "kinto_request_summary_total":
            labels = dict(labels)
            statuses.setdefault((labels["endpoint"], labels["method"]), set()).add(labels["status"])
    return {pair for pair, found in statuses.items() if found == {"405"}}


def compare(reference, ours):
    """Sentences about what differs."""
    theirs, our = ask(reference), ask(ours)
    if theirs[:2] != our[:2] or our[0] != 200:
        return ["answers: %s, ours %s" % (theirs[:2], our[:2])]
    return differences(theirs[2], our[2])


def differences(theirs, our):
    theirs, our = Metrics(theirs), Metrics(our)
    refused = always_405(theirs) | always_405(our)
    found = []
    for name in sorted(set(theirs.families) | set(our.families)):
        pair = theirs.families.get(name), our.families.get(name)
        if pair[0] != pair[1] and not ONLY_REFERENCE.match(name):
            found.append("%s: type and help %s, ours %s" % (name, pair[0], pair[1]))
    for side, series in (("reference", theirs.series - our.series), ("ours", our.series - theirs.series)):
        series = {(name, labels) for name, labels in series
                  if (dict(labels).get("endpoint"), dict(labels).get("method")) not in refused}
        found += ["only %s: %s{%s}" % (side, name, ",".join('%s="%s"' % pair for pair in labels))
                  for name, labels in sorted(series) if not is_meant(side, name, labels)]
    if not any(name.startswith("kinto_request_duration") for name, _ in our.series):
        found.append("no request was counted")
    return found


SAMPLE_ANSWER = """# HELP kinto_backend_storage_seconds Histogram of kinto_backend_storage_seconds
# TYPE kinto_backend_storage_seconds histogram
kinto_backend_storage_seconds_bucket{le="+Inf",method="get"} 1.0
kinto_backend_storage_seconds_count{method="get"} 1.0
kinto_backend_storage_seconds_sum{method="get"} 0.5
# HELP kinto_request_summary_total Counter of kinto_request_summary
# TYPE kinto_request_summary_total counter
kinto_request_summary_total{bucket_id="b",endpoint="bucket-object",method="get",status="200"} 1.0
# HELP kinto_request_duration_seconds Histogram of kinto_request_duration_seconds
# TYPE kinto_request_duration_seconds histogram
kinto_request_duration_seconds_bucket{bucket_id="b",endpoint="bucket-object",le="0.01",method="get"} 1.0
kinto_request_duration_seconds_bucket{bucket_id="b",endpoint="bucket-object",le="+Inf",method="get"} 1.0
kinto_request_duration_seconds_count{bucket_id="b",endpoint="bucket-object",method="get"} 1.0
# HELP kinto_users_total Counter of kinto_users
# TYPE kinto_users_total counter
kinto_users_total{auth="basicauth",userid="a"} 1.0
"""
SPOILT = (('kinto_users_total counter', 'kinto_users_total gauge'), ('Counter of kinto_users', 'Users'),
          ('kinto_users_total{auth="basicauth"', 'kinto_users_total{auth="other"'), ('userid="a"', 'userid=""'),
          ('bucket-object",le', 'bucket",le'), ('bucket-object",method="get"} 1.0\n# HELP', 'bucket-object",method="put"} 1.0\n# HELP'),
          ('bucket_id="b",endpoint="bucket-object",le="0.01"', 'endpoint="bucket-object",le="0.01"'),
          ('bucket_id="b",endpoint="bucket-object",le="0.01"', 'bucket_id="",endpoint="bucket-object",le="0.01"'),
          ('le="0.01"', 'le="0.02"'), ('{le="+Inf",method="get"}', '{le="+Inf",method="fetch"}'),
          ('kinto_request_duration_seconds_count', 'kinto_request_duration_seconds_number'))


def surviving_mistakes():
    """Those of the mistakes in an answer that a comparison does not find; there must be none."""
    missed = [pair for pair in SPOILT if not differences(SAMPLE_ANSWER, SAMPLE_ANSWER.replace(*pair, 1))]
    return missed + [("nothing", "something")] * bool(differences(SAMPLE_ANSWER, SAMPLE_ANSWER))
