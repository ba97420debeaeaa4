#!/usr/bin/env python3
"""Sizes worth a look: the longest and the most branched functions, how long functions are as a whole,
lines a room, and the size of the binary. `make metrics` runs it.

    metrics.py [--binary FILE]

A function is found by the layout that clang-format gives it: its braces stand alone in the first
column, and the name is what stands before the parameters above them. Branches are counted as if, for,
while, case, ?, && and ||, plus one (McCabe's number, nearly).
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint  # noqa: E402

BRANCH = re.compile(r"\b(?:if|for|while|case)\b|&&|\|\||\?")


def functions(text):
    """(name, first line, lines, branches) of each function of a file."""
    lines = lint.without_comments(text).split("\n")
    head = 0  # where the head of the next function may begin
    for n, line in enumerate(lines):
        if line.rstrip() == "{":
            above = re.sub(r"__attribute__\s*\(\(.*?\)\)\)?", "", "\n".join(lines[head:n])).strip()
            name = re.match(r"[\w\s*]*?(\w+)\s*\(", above)
            end = next((k for k in range(n, len(lines)) if lines[k].startswith("}")), n)
            if name:
                start = next(k for k in range(head, n) if lines[k].strip())
                yield name.group(1), start + 1, end - start + 1, 1 + len(BRANCH.findall("\n".join(lines[n:end])))
        if line.startswith(("}", "#")) or re.match(r"\S.*;\s*$", line):
            head = n + 1


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def table(title, found, column):
    print(f"\n{title}")
    for row in sorted(found, key=lambda r: -r[column])[:10]:
        path, name, line, length, branches = row
        print(f"  {length:4} lines  {branches:3} branches  {name}  {path}:{line}")


def main(args):
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    rooms, found = {}, []
    for path in lint.sources(root):
        if path.startswith("test/"):
            continue
        text = lint.read(root, path)
        room = lint.room_of(path) or "kinto.c"
        rooms[room] = rooms.get(room, 0) + text.count("\n")
        if path.endswith(".c"):
            found += [(path, *f) for f in functions(text)]
    if not found:
        print("no functions")
        return 1
    lengths = [f[3] for f in found]
    over = sum(1 for n in lengths if n > 60)
    print("lines: " + ", ".join(f"{room} {n}" for room, n in rooms.items()) + f"; all {sum(rooms.values())}")
    print(f"functions: {len(found)}; lines each: median {share(lengths, .5)}, 90th percentile {share(lengths, .9)}, "
          f"over 60: {over} ({100 * over / len(found):.1f} %)")
    table("longest", found, 3)
    table("most branched", found, 4)
    if args[:1] == ["--binary"] and os.path.isfile(args[1]):
        print(f"\nbinary: {os.path.getsize(args[1]):,} bytes, {os.path.basename(args[1])}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
