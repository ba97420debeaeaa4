"""The table of rules, which the chapters fill."""

import os
import re

HEADINGS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "doc", "differences.md")
RULES = []


def headings():
    with open(HEADINGS, encoding="utf-8") as text:
        return set(re.findall(r"^## (.*)$", text.read(), re.M))


SECTIONS = headings()


class Rule:
    """`match(look, difference)`: is it this one? `section`: where users are told of it."""

    def __init__(self, name, section, reason, match):
        if section not in SECTIONS or any(r.name == name for r in RULES):
            raise ValueError("rule %s: doc/differences.md has no section %s, or there are two of that name" % (name, section))
        self.name = name
        self.section = section
        self.reason = reason
        self.match = match
        RULES.append(self)


def rule(name, section, reason):
    def add(function):
        Rule(name, section, reason, function)
        return function
    return add


def failing(name, reason, test):
    """A row for an answer 500 of the reference: `test(part)` names the requests that can cause it."""
    Rule(name, "Server errors", reason, lambda look, d: look.broken(d) and look.any_part(test))
