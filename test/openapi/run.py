#!/usr/bin/env python3
"""Is what GET /__api__ says true? Validates the description, and has schemathesis ask for all that is in it.

    run.py [--examples N] [--seed N ...] [--scratch DIR]

Under each of the settings in SETTINGS the description must be valid OpenAPI 2.0. Under those of FUZZED every answer to a
generated request, good or bad, must be one that the description names: its status, headers and body. The `default`
answer ("any other error") is taken out before, so that each status has to be named.

Environment: KINTO_BIN (default ./kinto). Ends with "N passed, N failed"; 0 of both, with a loud message, when the
packages of requirements.txt cannot be installed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import urllib.request

sys.dont_write_bytecode = True

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "test", "parity"))

from servers import NotStarted, installed, start_ours

BASE = """[app:main]
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = a secret of the test
"""
EVERYTHING = """kinto.includes = kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.counters
    kinto.plugins.history kinto.plugins.revisions kinto.plugins.prometheus
kinto.experimental_permissions_endpoint = true
kinto.experimental_collection_schema_validation = true
kinto.bucket_write_principals = system.Authenticated
kinto.user-data_delete_principals = system.Authenticated
"""
SETTINGS = {
    "plain": "",
    "everything": EVERYTHING,
    "pages": EVERYTHING + "kinto.paginate_by = 2\n",
    "read-only": EVERYTHING + "kinto.readonly = true\n",
    "switched off": "kinto.plural_bucket_delete_enabled = false\nkinto.object_record_get_enabled = false\n"
                    "kinto.object_record_put_enabled = false\nkinto.object_record_patch_enabled = false\n"
                    "kinto.object_record_delete_enabled = false\n",
    "elsewhere": "kinto.http_host = kinto.example.org:8443\nkinto.http_scheme = https\nkinto.project_name = \"Ours\"\n"
                 "kinto.record_id_generator = kinto.core.storage.generators.UUID4\n",
    "logins": "kinto.includes = kinto.plugins.openid\n",
    "batches of any length": "kinto.batch_max_requests = 0\n",
    "nobody": "",
}
ACCOUNTS = EVERYTHING.replace("kinto.includes = ", "kinto.includes = kinto.plugins.accounts ") + \
    "multiauth.policy.account.use = kinto.plugins.accounts.AccountsPolicy\n" \
    "kinto.account_create_principals = system.Everyone\n" \
    "kinto.account_write_principals = system.Everyone\n" \
    "kinto.account_read_principals = system.Everyone\n" \
    "kinto.account_password_cost = 4\n"
SETTINGS["accounts"] = ACCOUNTS
FUZZED = ("everything", "pages", "accounts")

# Checks of what the description says of answers. The others of schemathesis ask that every request which the
# description does not allow is refused, and that nobody without credentials is answered. Kinto is lenient by design
# (an empty header is none, unknown parameters are filters, objects may be open to everyone), so they stay away.
CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "response_headers_conformance", "unsupported_method", "allow_header_conformance")


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def add(self, good, what):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print("FAIL " + what, flush=True)


def install(scratch):
    wanted = os.path.join(HERE, "requirements.txt")
    return installed(os.path.join(scratch, "venv"), ["-r", wanted], open(wanted).read())


def start(options, name, folder):
    ini = os.path.join(folder, name.replace(" ", "-") + ".ini")
    with open(ini, "w") as out:
        out.write(BASE + SETTINGS[name])
        if name != "nobody":
            out.write("multiauth.policies = %sbasicauth\n" % ("account " if name == "accounts" else ""))
    server = start_ours(options.binary, ini, folder)
    server.wait()
    return server, "http://%s:%d/v1" % server.address


def operations_of(description):
    return {(method.upper() + " " + path): operation
            for path, item in description["paths"].items()
            for method, operation in item.items() if method != "parameters"}


def read_description(url, path):
    with urllib.request.urlopen(url + "/__api__", timeout=20) as answer:
        description = json.load(answer)
    with open(path, "w") as out:
        json.dump(description, out)
    return description


def without_default(description, path):
    for operation in operations_of(description).values():
        operation["responses"].pop("default")
    with open(path, "w") as out:
        json.dump(description, out)


def validate(bin_dir, tally, name, path):
    run = subprocess.run([os.path.join(bin_dir, "openapi-spec-validator"), "--schema", "2.0", path], capture_output=True, text=True)
    tally.add(run.returncode == 0, "%s: no valid description\n%s%s" % (name, run.stdout, run.stderr))


def fuzz(bin_dir, options, tally, name, seed, url, description, folder):
    """One run of schemathesis; every operation is a test, passed when it was answered with success and no check failed."""
    asked, report, seen = (os.path.join(folder, f) for f in ("asked.json", "report.json", "seen.json"))
    for left in (report, seen):
        if os.path.exists(left):
            os.remove(left)
    without_default(description, asked)
    command = [os.path.join(bin_dir, "schemathesis"), "run", asked, "--url", url, "--checks", ",".join(CHECKS),
               "--max-examples", str(options.examples), "--seed", str(seed), "--continue-on-failure", "--no-color",
               "--report", "json", "--report-json-path", report]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder,
                         env=dict(os.environ, SCHEMATHESIS_HOOKS=os.path.join(HERE, "hooks.py"), BASE_URL=url, SEEN=seen))
    try:
        found, statuses = json.load(open(report)), json.load(open(seen))
    except (OSError, ValueError):
        tally.add(False, "%s: schemathesis ended with status %d\n%s%s" % (name, run.returncode, run.stdout, run.stderr))
        return
    broken = len(found["failures"]) + len(found["errors"])
    unreached = [o for o in operations_of(description) if not any(s.startswith("2") for s in statuses.get(o, ()))]
    print("openapi: %-12s seed %d: %d operations, %d requests, %d failures" % (
        name, seed, found["operations"]["tested"], found["test_cases"]["generated"], broken), flush=True)
    tally.passed += found["operations"]["tested"] - len(unreached)
    for operation in unreached:
        tally.add(False, "%s: %s was never answered with success, but with %s" % (name, operation, statuses.get(operation)))
    tally.add(run.returncode == 0 and not broken, "%s, seed %d:\n%s%s" % (name, seed, run.stdout, run.stderr))


def one_server(bin_dir, options, tally, name, folder):
    server, url = start(options, name, folder)
    try:
        path = os.path.join(folder, "description.json")
        description = read_description(url, path)
        validate(bin_dir, tally, name, path)
        for seed in options.seed if name in FUZZED else ():
            fuzz(bin_dir, options, tally, name, seed, url, json.loads(json.dumps(description)), folder)
        tally.add(server.alive(), name + ": the server ended")
    finally:
        server.stop()


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=15, help="generated requests of each operation and phase (default 15)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--binary", default=os.environ.get("KINTO_BIN", os.path.join(ROOT, "kinto")))
    parser.add_argument("--scratch", default=os.path.join(ROOT, "build", "openapi"))
    options = parser.parse_args(argv)
    os.makedirs(options.scratch, exist_ok=True)
    tally = Tally()
    bin_dir = install(os.path.abspath(options.scratch))
    if bin_dir is None:
        print("\n*** openapi: SKIPPED. The packages of test/openapi/requirements.txt could not be installed. "
              "Nothing was tested. ***\n")
    else:
        with tempfile.TemporaryDirectory(prefix="openapi-") as folder:
            for name in SETTINGS:
                try:
                    one_server(bin_dir, options, tally, name, folder)
                except (NotStarted, OSError) as problem:
                    tally.add(False, "%s: %s" % (name, problem))
    print("%d passed, %d failed" % (tally.passed, tally.failed))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
