"""The figures as tables in Markdown, as doc/performance.md has them."""
from names import FILES, MEMORY, OURS, POSTGRES

COLUMNS = (FILES, MEMORY, POSTGRES)
FEW_CALLS = 0.05  # an operation: what is called less often than that is not named


def row(cells):
    return "| %s |" % " | ".join(cells)


def head(cells):
    return [row(cells), row(["---"] + ["--:"] * (len(cells) - 1))]


def number(n):
    return format(round(n), ",") if n >= 100 else "%.3g" % n


def times(results, workload, connections, other):
    """By operations a second / by CPU time."""
    found = [results.ratio(workload, connections, other, what) for what in ("rate", "cpu")]
    return "" if None in found else " / ".join(number(n) for n in found)


def rates(results, connections):
    lines = head(["%s connections" % connections, "a second", "p50 ms", "p99 ms", "CPU µs"]
                 + ["× " + name for name in COLUMNS])
    for workload in results.figures:
        f = results.ours(workload, connections)
        if f:
            lines.append(row([results.titles[workload], number(f["rate"]), "%.3f" % f["p50"], "%.3f" % f["p99"],
                              number(f["cpu"])] + [times(results, workload, connections, other) for other in COLUMNS]))
    return lines


def calls(results):
    lines = head(["", "calls", "which"])
    for workload, by_name in results.calls.items():
        counted = by_name.get(OURS, {})
        parts = sorted(counted.items(), key=lambda item: -item[1])
        if counted:
            lines.append(row([results.titles[workload], "%.2f" % sum(counted.values()),
                              ", ".join("%s %.2f" % part for part in parts if part[1] >= FEW_CALLS)]))
    return lines


def facts(results):
    return head(["", "found"]) + [row([f["is"], number(f["value"])]) for f in results.facts.values()]


def write(path, results):
    connections = sorted({c for by in results.figures.values() for c in by}, key=int, reverse=True)
    parts = [rates(results, c) for c in connections] + [calls(results), facts(results)]
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n\n".join("\n".join(lines) for lines in parts) + "\n")
