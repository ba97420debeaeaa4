#!/usr/bin/env python3
"""Reads /v1/__metrics__ of a server with Prometheus' own parser, and looks whether it makes sense.

    prometheus_scraper.py URL

Ends with "N passed, N failed"; the exit status is 1 when anything failed.
"""

import collections
import sys
import time
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

OF_REQUESTS = ("kinto_request_summary", "kinto_request_duration_seconds", "kinto_request_size")
TYPES = {
    "kinto_request_summary": "counter", "kinto_request_duration_seconds": "histogram", "kinto_request_size": "summary",
    "kinto_backend_storage_seconds": "histogram", "kinto_backend_permission_seconds": "histogram",
    "kinto_backend_cache_seconds": "histogram", "kinto_users": "counter", "kinto_authentication": "counter",
    "process_cpu_seconds": "counter", "process_resident_memory_bytes": "gauge", "process_open_fds": "gauge",
    "process_start_time_seconds": "gauge",
}
passed = failed = 0


def check(what, got, want=True):
    global passed, failed
    if got == want:
        passed += 1
        return
    failed += 1
    print(f"FAIL {what}\n     got  {got!r:.300}\n     want {want!r:.300}")


def get(url, path):
    request = urllib.request.Request(url + "/v1" + path, headers={"Authorization": "Basic YWxpY2U6c2VjcmV0"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.headers, answer.read().decode()


def scrape(url):
    """Families by name."""
    headers, text = get(url, "/__metrics__")
    check("content type", headers["Content-Type"], "text/plain; version=1.0.0; charset=utf-8")
    families = list(text_string_to_metric_families(text))
    names = [f.name for f in families]
    check("a family once", sorted(set(names)), sorted(names))
    check("families are described", [f.name for f in families if not f.documentation], [])
    samples = [(s.name, tuple(sorted(s.labels.items()))) for f in families for s in f.samples]
    check("a sample once", [s for s, n in collections.Counter(samples).items() if n > 1], [])
    return {f.name: f for f in families}


def value(families, family, suffix, **labels):
    return sum(s.value for s in families[family].samples
               if s.name == family + suffix and labels.items() <= s.labels.items())


def check_histogram(family):
    buckets, counts = collections.defaultdict(list), {}
    for s in family.samples:
        key = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
        if s.name.endswith("_bucket"):
            buckets[key].append((float(s.labels["le"]), s.value))
        elif s.name.endswith("_count"):
            counts[key] = s.value
    check(family.name + " has series", len(counts) > 0)
    check(family.name + " series", sorted(buckets), sorted(counts))
    for key, found in buckets.items():
        check(f"{family.name} {key} ascends", found, sorted(found))
        check(f"{family.name} {key} ends", found[-1], (float("inf"), counts[key]))


def main(url):
    before = scrape(url)
    for name, kind in TYPES.items():
        check(name, before[name].type if name in before else None, kind)
    for family in before.values():
        if family.type == "histogram":
            check_histogram(family)
    began = before["process_start_time_seconds"].samples[0].value
    check("started", time.time() - 3600 < began <= time.time() + 1)
    totals = [value(before, name, suffix) for name, suffix in zip(OF_REQUESTS, ("_total", "_count", "_count"))]
    check("requests, one way and another", len(set(totals)), 1)
    sizes = value(before, "kinto_request_size", "_sum", endpoint="hello")
    length = sum(len(get(url, "/")[1]) for _ in range(5))
    get(url, "/made/up")
    after = scrape(url)
    check("requests since", value(after, "kinto_request_summary", "_total") - totals[0], 7)  # and the first scrape
    check("sizes since", value(after, "kinto_request_size", "_sum", endpoint="hello") - sizes, length)
    check("nothing made up", [s for f in after.values() for s in f.samples if "made" in str(s.labels)], [])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
