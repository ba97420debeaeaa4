"""The figures of a run: shown as they come, written as JSON and as a table, and held against the goals."""
import json
import os

import goals
from names import OURS


def rate(n):
    return "%.0f" % n if n >= 100 else "%.1f" % n


class Results:
    """figures[workload][connections][contestant] = {rate, p50, p99, cpu, rss}; calls[workload][contestant]"""

    def __init__(self, machine, settings):
        self.machine = machine
        self.settings = {k: v for k, v in settings.items() if k not in ("scratch", "out")}
        self.titles, self.figures, self.calls, self.facts = {}, {}, {}, {}
        self.lines = []

    def say(self, line):
        print(line, flush=True)
        self.lines.append(line)

    def add(self, workload, connections, name, f):
        if workload.name not in self.titles:
            self.titles[workload.name] = workload.title
            self.say("\n%s\n%-24s %5s %10s %9s %9s %9s %8s" % (workload.title, "", "conn", "ops/s", "p50 ms",
                                                               "p99 ms", "CPU us", "MiB"))
        self.figures.setdefault(workload.name, {}).setdefault(str(connections), {})[name] = f
        self.say("%-24s %5d %10s %9.2f %9.2f %9.2f %8.1f" % (name, connections, rate(f["rate"]), f["p50"], f["p99"],
                                                            f["cpu"], f["rss"] / 2**20))

    def add_calls(self, workload, name, calls):
        self.calls.setdefault(workload.name, {})[name] = calls
        parts = sorted(calls.items(), key=lambda item: -item[1])
        self.say("%-24s %s calls: %s" % (name, rate(sum(calls.values())),
                                         " ".join("%s %.2f" % part for part in parts[:8])))

    def add_fact(self, name, value, says):
        self.facts[name] = {"value": value, "is": says}
        self.say("%-24s %s: %s" % (name, rate(value) if value >= 10 else "%.2f" % value, says))

    def ratio(self, workload, connections, other, what="rate"):
        """How many times the other's rate is ours; or how many times more CPU time the other takes."""
        figures = self.figures.get(workload, {}).get(connections, {})
        if OURS not in figures or other not in figures:
            return None
        ours, theirs = figures[OURS][what], figures[other][what]
        if not ours or not theirs:  # it has answered nothing in that time
            return None
        return ours / theirs if what == "rate" else theirs / ours

    def ratios(self):
        self.say("\nratios to ours %-27s %8s %8s" % ("", "rate", "CPU"))
        for workload, by_connections in self.figures.items():
            for connections, figures in by_connections.items():
                for other in figures:
                    if other != OURS and self.ratio(workload, connections, other):
                        self.say("%-12s %3s %-24s %8.2f %8.2f" % (
                            workload, connections, other, self.ratio(workload, connections, other),
                            self.ratio(workload, connections, other, "cpu")))

    def ours(self, workload, connections):
        return self.figures.get(workload, {}).get(connections, {}).get(OURS)

    def goals(self):
        self.say("\n%-64s %9s %10s" % ("goals", "wanted", "found"))
        for what, wanted, value, met in goals.found(self):
            self.say("%-64s %9s %10.2f%s" % (what, wanted, value, "" if met else "  NOT MET"))

    def write(self, folder):
        self.ratios()
        self.goals()
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "bench.json"), "w", encoding="utf-8") as f:
            json.dump({"machine": self.machine, "settings": self.settings, "figures": self.figures,
                       "calls": self.calls, "facts": self.facts}, f, indent=1, sort_keys=True)
        with open(os.path.join(folder, "bench.txt"), "w", encoding="utf-8") as f:
            f.write("\n".join(self.lines) + "\n")
