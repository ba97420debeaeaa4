"""wrk, the load generator: a script of prepared requests, on a core of its own; and what it saw."""
import json
import os
import subprocess

# The requests are made before the clock starts; picking one costs an addition. DONE is read by run().
SCRIPT = """
local raw, prepared, i = %s, {}, 0
function init(args)
  for n, r in ipairs(raw) do prepared[n] = wrk.format(r[1], r[2], r[3], r[4]) end
  raw = nil
end
function request()
  i = i %% #prepared + 1
  return prepared[i]
end
function done(summary, latency, requests)
  local e = summary.errors
  print(string.format('DONE {"requests":%%d,"microseconds":%%d,"p50":%%d,"p99":%%d,"failed":%%d}', summary.requests,
        summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def quote(text):
    """A string of Lua; the requests are ASCII."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r") + '"'


def lua(value):
    if value is None:
        return "nil"
    if isinstance(value, dict):
        return "{" + ",".join("[%s]=%s" % (lua(k), lua(v)) for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + ",".join(lua(v) for v in value) + "}"
    return quote(value)


def write_script(path, requests):
    """requests: (method, target, headers, body), each of which is sent in turn."""
    with open(path, "w", encoding="ascii") as f:
        f.write(SCRIPT % lua(requests))


class Result:
    """Of one run: requests, seconds, ops/s, p50 and p99 in milliseconds."""

    def __init__(self, found):
        self.requests = found["requests"]
        self.seconds = found["microseconds"] / 1e6
        self.rate = self.requests / self.seconds
        self.p50 = found["p50"] / 1000
        self.p99 = found["p99"] / 1000
        self.failed = found["failed"]


def start(core, script, port, connections, seconds, prefix=()):
    """A thread for each core that is named ("0,1"). `prefix`: what is to run it (nice, chrt)."""
    argv = [*prefix, "taskset", "-c", core, "wrk", "-t%d" % len(core.split(",")), "-c%d" % connections,
            "-d%ds" % seconds, "--timeout", "30s", "-s", script, "http://127.0.0.1:%d" % port]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(core, script, port, connections, seconds, prefix=()):
    child = start(core, script, port, connections, seconds, prefix)
    out, err = child.communicate()
    lines = [line[5:] for line in out.splitlines() if line.startswith("DONE ")]
    if child.returncode != 0 or not lines:
        raise SystemExit("bench: wrk failed: %s%s" % (out, err))
    return Result(json.loads(lines[0]))


def installed():
    return any(os.access(os.path.join(p, "wrk"), os.X_OK) for p in os.environ["PATH"].split(":"))
