"""The figures as a page of bars, in SVG: for each workload how many operations a second each contestant does, on a
scale on which each step is ten times the one before.
"""
import math

from names import FILES, MEMORY, OURS, POSTGRES

CONNECTIONS = "64"
WIDTH, BAR, GAP, LEFT, RIGHT = 760, 16, 5, 190, 110
COLOURS = {OURS: "#1f6feb", FILES: "#8b949e", MEMORY: "#d29922", POSTGRES: "#bf4b8a"}


def text(x, y, content, anchor="start", weight="normal"):
    content = content.replace("&", "&amp;").replace("<", "&lt;")
    return '<text x="%d" y="%d" text-anchor="%s" font-weight="%s">%s</text>' % (x, y, anchor, weight, content)


def bars(y, title, rates, top):
    """One chart: its elements, and where the next one may begin."""
    parts = [text(8, y + 14, title, weight="bold")]
    y += 22
    for name, rate in rates:
        share = math.log10(max(rate, 1)) / math.log10(top)
        length = max(1, round((WIDTH - LEFT - RIGHT) * share))
        parts.append(text(LEFT - 8, y + 12, name, "end"))
        parts.append('<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>'
                     % (LEFT, y, length, BAR, COLOURS.get(name, "#57606a")))
        parts.append(text(LEFT + length + 6, y + 12, "%s/s" % format(round(rate), ",")))
        y += BAR + GAP
    return parts, y + 12


def draw(results):
    shown = {w: by[CONNECTIONS] for w, by in results.figures.items() if CONNECTIONS in by}
    top = 10 ** math.ceil(math.log10(max([10] + [f["rate"] for by in shown.values() for f in by.values()])))
    parts, y = [text(8, 22, "Operations a second on one core, %s connections (each step is ten times the one before)"
                     % CONNECTIONS)], 36
    for workload, by in shown.items():
        rates = sorted(((n, f["rate"]) for n, f in by.items()), key=lambda item: -item[1])
        more, y = bars(y, results.titles[workload], rates, top)
        parts += more
    parts.append(text(8, y + 8, results.machine))
    return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" '
            'font-family="sans-serif" font-size="12"><rect width="100%%" height="100%%" fill="#ffffff"/>\n%s\n</svg>\n'
            % (WIDTH, y + 20, WIDTH, y + 20, "\n".join(parts)))


def write(path, results):
    with open(path, "w", encoding="utf-8") as f:
        f.write(draw(results))
