"""Differences as text: the sequence as curl commands, then both answers."""

import json
import re
import shlex

from resolve import SYMBOL, symbols

SED = {
    "ts": r"""sed -n 's/^etag: "\(-*[0-9]*\)".*/\1/Ip'""",
    "id": r"""sed -n 's/.*"id":"\([^"]*\)".*/\1/p'""",
    "next": r"""sed -n 's,^next-page: [a-z]*://[^/]*\(.*\),\1,Ip'""",
    "token": r"""sed -n 's/^next-page: .*[?&]_token=\([^&]*\).*/\1/Ip'""",
}


def variable(kind, argument):
    where, _, offset = argument.partition(":")
    name = "%s%s" % (kind.upper(), where.replace(".", "_"))
    return "$((%s%s))" % (name, offset) if offset else "$" + name


def shell(text):
    """Single quotes, opened around each variable."""
    parts, at = [], 0
    for match in SYMBOL.finditer(text):
        parts.append(shlex.quote(text[at:match.start()]) if match.start() > at else "")
        kind, argument = match.groups()
        parts.append(shlex.quote(argument) if kind == "raw" else '"%s"' % variable(kind, argument))
        at = match.end()
    if at < len(text):
        parts.append(shlex.quote(text[at:]))
    return "".join(parts)


def curl(request, wanted):
    words = ["curl -si --path-as-is"]
    if request["method"] == "HEAD":
        words.append("-I")
    elif request["method"] != "GET":
        words.append("-X " + request["method"])
    names = {h[0].lower() for h in request["headers"]}
    if request.get("user"):
        words.append("-u %s:pw" % request["user"])
    if "accept" not in names:
        words.append("-H Accept:")
    for name, value in request["headers"]:
        words.append("-H " + (shell("%s: %s" % (name, value)) if value else shlex.quote(name + ";")))
    body = None
    if "raw" in request:
        body = "$" + shlex.quote("".join(c if " " <= c < "\x7f" and c not in "\\'" else "\\x%02x" % ord(c) for c in request["raw"]).replace("'", "\\x27"))
    elif "json" in request:
        text = json.dumps(request["json"], ensure_ascii=False)
        body = shell(re.sub(r'"(⟨#[^⟩]*⟩)"', r"\1", text))
    if body is not None:
        words.append("--data-binary " + body)
        if "content-type" not in names:
            words.append("-H Content-Type:")
    words.append('"$H"' + shell(request["target"]))
    line = " ".join(words)
    kinds = sorted({k for k, argument in wanted if argument.split(":")[0] == str(request["id"])})
    if not kinds:
        return line
    saved = 'A=$(%s); echo "$A"' % line
    for kind in kinds:
        saved += "; %s%d=$(echo \"$A\" | tr -d '\\r' | %s)" % (kind.upper(), request["id"], SED[kind])
    return saved


def commands(requests):
    wanted = set()
    for request in requests:
        wanted |= symbols(request)
    return "\n".join(curl(r, wanted) for r in requests)


def answer(answer, part):
    status, headers, body = answer.status, answer.headers, answer.body.decode("utf-8", "backslashreplace")
    if part is not None:
        try:
            found = json.loads(body)["responses"][part]
            status, headers = "part %d: %s" % (part, found["status"]), found["headers"].items()
            body = json.dumps(found["body"], ensure_ascii=False)
        except (ValueError, KeyError, IndexError, TypeError):
            pass
    shown = ["%s: %s" % h for h in sorted(headers) if h[0].lower() not in ("date", "server", "content-security-policy", "x-content-type-options")]
    return "%s\n    %s\n    %s" % (status, "\n    ".join(shown), body[:900] if body else "(no body)")


def difference(found):
    where, ref, our = found
    return "  %s\n    reference %s\n    ours      %s" % (where, brief(ref), brief(our))


def brief(value):
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))[:500]


def one(key, group):
    lines = ["### %d x %s" % (group.count, " · ".join(str(k) for k in key if k not in ("", None))),
             "at: " + ", ".join("%s (%d)" % p for p in group.places.most_common(6)),
             "profiles: " + ", ".join("%s (%d)" % p for p in group.profiles.most_common())]
    example = group.example or getattr(group, "raw", None)
    if not example:
        return "\n".join(lines)
    seed, requests, finding = example
    lines.append("seed %s%s" % (seed, "" if group.example else ", not cut down"))
    lines.append("```")
    lines.append(commands(requests if group.example else requests[-1:]))
    lines.append("```")
    lines += [difference(d) for d in finding.unknown[:4]]
    lines.append("reference: " + answer(finding.ref, finding.part))
    lines.append("ours: " + answer(finding.our, finding.part))
    return "\n".join(lines)


def describe(groups, failures):
    """The most frequent first."""
    ordered = sorted(failures.items(), key=lambda kv: -kv[1].count)
    text = "\n\n".join(one(k, g) for k, g in ordered)
    rest = [g for k, g in groups.items() if k not in failures]
    if rest:
        text += "\n\nDid not come again, so the clock's:"
    for group in rest:
        seed, _, finding = group.raw
        text += "\n- seed %s, %s %s\n%s" % (seed, *finding.method_and_path(), "\n".join(difference(d) for d in finding.unknown[:2]))
    return text + "\n" if text else text
