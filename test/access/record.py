#!/usr/bin/env python3
"""Records test/access/answers.def: what the reference answers to every cell of the access matrix.

    test/access/record.py TEST_ACCESS [CASE...]

TEST_ACCESS is the built test/http/test_access. For each of its servers (CASE: only for these) the reference is started
with the settings that the program prints, the program asks it all that it would ask ours, and the answers are folded: a
situation is written with the rows in which it differs from its base (somebody who holds nothing), and situations that
differ in the same rows are written together. Rows that are ours alone (test/access/own.def) are no business of this script.
The reference is found, or installed, as by test/parity.
"""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "parity"))
import profiles  # noqa: E402
import servers  # noqa: E402

CASES = ("plain", "settings", "mixed", "accounts", "implicit", "readonly")
OUT = os.path.join(HERE, "answers.def")
REFERENCE = """kinto.storage_backend = kinto.core.storage.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.permission_backend = kinto.core.permission.memory
"""
HEAD = """/*
 * test/access/answers.def - the access matrix: what the reference (%s) answers. Recorded by test/access/record.py;
 * what differs on purpose stands in own.def, which counts for more.
 *
 *     WHEN("server: situation") ...       which server (settings) and who asks what he holds: see test_access.c
 *     AS_THE_BASE                         they differ in nothing
 *     ROW(target, cells)                  a target, and a cell for each method:
 *
 *         %s
 *
 *     "GET!" has an If-Match that fails, "PUT*" has If-None-Match: *, "POST=" an id that is there; a cell is a status,
 *     /n: n objects are listed (HEAD: counted), p: permissions are shown, -: is not asked.
 *
 * Two situations are the bases: "nobody asks", and "uma holds nothing" ("tom ..." where all are accounts). Of the others
 * only the rows are written that differ from those of nobody, or of uma. So a block says what the permission gives.
 */
"""


def ask(program, case, reference, folder):
    """Rows (situation, base, target, cells)."""
    settings = subprocess.run([program], env=dict(os.environ, ACCESS_INI=case), stdout=subprocess.PIPE, check=True, text=True).stdout
    ini, answers = os.path.join(folder, case + ".ini"), os.path.join(folder, case + ".tsv")
    with open(ini, "w") as out:
        out.write("[server:main]\nuse = egg:waitress#main\nhost = 127.0.0.1\nport = %(http_port)s\n\n[app:main]\nuse = egg:kinto\n")
        out.write(REFERENCE + settings + profiles.LOGGING)
    server = servers.start_reference(reference, ini, folder)
    try:
        server.wait()
        env = dict(os.environ, ACCESS_SERVER="http://127.0.0.1:%d" % server.address[1], ACCESS_RECORD=answers, CK_RUN_CASE=case, CK_FORK="no",
                   KINTO_BIN=os.environ.get("KINTO_BIN", "/bin/false"))
        subprocess.run([program], env=env, check=True, stdout=subprocess.DEVNULL)
    finally:
        server.stop()
    with open(answers) as rows:
        return [line.rstrip("\n").split("\t") for line in rows]


def fold(rows):
    """Blocks: ([situation...], [(target, cells)...])."""
    situations, bases = {}, {}
    for situation, base, target, cells in rows:
        situations.setdefault(situation, []).append((target, cells))
        bases[situation] = base
    blocks = {}
    for situation, found in situations.items():
        if bases[situation] != situation:
            same = dict(situations[bases[situation]])
            found = [(t, c) for t, c in found if same.get(t) != c]
        blocks.setdefault((situation.split(":")[0], tuple(found)), []).append(situation)
    return [(names, list(found)) for (_, found), names in blocks.items()]


def written(blocks):
    lines = []
    for names, found in blocks:
        lines.append("")
        lines += ['WHEN("%s")' % name for name in names]
        if not found:
            lines.append("AS_THE_BASE")
        widths = [max((len(c.split()[i]) for _, c in found), default=0) for i in range(14)]
        longest = max((len(t) for t, _ in found), default=0)
        for target, cells in found:
            row = " ".join(cell.ljust(w) for cell, w in zip(cells.split(), widths)).rstrip()
            lines.append('ROW(%s "%s")' % (('"%s",' % target).ljust(longest + 3), row))
    return lines


def verbs(program):
    return subprocess.run([program], env=dict(os.environ, ACCESS_INI="verbs"), stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def main(arguments):
    if not arguments:
        sys.exit(__doc__)
    program, cases = os.path.abspath(arguments[0]), arguments[1:] or CASES
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        reference = servers.find_reference(os.environ.get("TMPDIR", "/tmp"))
        for case in cases:
            rows = ask(program, case, reference, folder)
            print("%s: %d rows" % (case, len(rows)), flush=True)
            lines += written(fold(rows))
    with open(OUT, "w") as out:
        out.write(HEAD % (servers.REFERENCE.replace("==", " "), verbs(program)) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
