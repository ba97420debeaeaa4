"""What is wanted, and what was found. A ratio counts by operations a second or by CPU time, whichever the machine's
other work has disturbed less: the larger one.
"""
from names import FILES, MEMORY, POSTGRES

# workload, connections, beside whom, at least so many times as good
RATIOS = [
    ("get", "64", FILES, 0.75),
    ("get", "64", MEMORY, 240),
    ("unchanged", "64", FILES, 0.75),
    ("unchanged", "64", MEMORY, 129),
    ("list", "64", FILES, 0.3),
    ("list", "64", MEMORY, 465),
    ("since", "64", FILES, 0.5),
    ("since", "64", MEMORY, 1790),
    ("filter", "64", MEMORY, 19),
    ("put", "64", POSTGRES, 146),
    ("batch", "64", POSTGRES, 590),
]
# fact, at most or at least, how much
FACTS = [
    ("binary", "<=", 3.0),
    ("start", "<=", 5),
    ("start_many", "<=", 50),
    ("idle_rss", "<=", 5),
    ("connections_rss", "<=", 40),
    ("bytes", "<=", 450),
    ("heavy_beside", "<=", 3),
    ("many_get", ">=", 0.85),
    ("many_put", ">=", 0.85),
    ("two_loops", ">=", 1.8),
]


def found(results):
    """(what, wanted, found, met) for each goal of which there are figures."""
    rows = []
    for workload, connections, other, wanted in RATIOS:
        ratios = [results.ratio(workload, connections, other, what) for what in ("rate", "cpu")]
        if None not in ratios:
            rows.append(("%s / %s" % (workload, other), ">= %g" % wanted, max(ratios), max(ratios) >= wanted))
    indexed, asked = results.ours("indexed", "64"), results.figures.get("filter", {}).get("64", {}).get(MEMORY)
    if indexed and asked:
        times = max(indexed["rate"] / asked["rate"], asked["cpu"] / indexed["cpu"])
        rows.append(("filter by an index / %s without" % MEMORY, ">= 1000", times, times >= 1000))
    ours = results.ours("filter", "64")
    if ours:
        rows.append(("filter, CPU ms", "<= 1.5", ours["cpu"] / 1000, ours["cpu"] <= 1500))
    loop = results.facts.get("sync_loop")
    for connections, wanted in (("1", 0.8), ("64", 5.9)):
        ours = results.ours("put", connections)
        if ours and loop:
            times = ours["rate"] / loop["value"]
            rows.append(("put at %s / fdatasync loop" % connections, ">= %g" % wanted, times, times >= wanted))
    for name, how, wanted in FACTS:
        if name in results.facts:
            value = results.facts[name]["value"]
            rows.append((results.facts[name]["is"], "%s %g" % (how, wanted), value,
                         value <= wanted if how == "<=" else value >= wanted))
    return rows
