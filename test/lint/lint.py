#!/usr/bin/env python3
"""The rules of the tree that a compiler does not check. `make lint` runs all of them.

    lint.py [--root DIR] [CHECK ...]      CHECK: format includes banned messages settings plugins tour sandbox traces

Prints "file:line: what" for each offence and ends with 1 if there was one. Every check is a
function from a tree's root to its offences, so that selftest.py can show it a tree that breaks the
rule.
"""
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

# Rooms from below; rooms of one level do not know each other.
LEVELS = {"base": 0, "process": 1, "json": 1, "engine": 1, "http": 1, "store": 2, "auth": 3, "api": 4, "plugins": 5, "cli": 6}

# Public headers beside ROOM/ROOM.h.
ALSO_PUBLIC = {"auth/jwt.h", "auth/password.h", "http/client.h", "http/gzip.h", "http/smtp.h", "json/regex.h", "plugins/accounts.h"}

# Headers of the C library and the kernel: free for all.
SYSTEM = re.compile(
    r"^(arpa|asm|linux|net|netinet|sanitizer|sys)/\w+\.h$"
    r"|^(arm_acle|assert|ctype|dirent|emmintrin|endian|errno|fcntl|float|ftw|grp|ifaddrs|inttypes|limits|malloc|math|netdb|nmmintrin|poll"
    r"|pthread|sched|signal|spawn|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|string|strings"
    r"|termios|time|ucontext|unistd|wmmintrin)\.h$"
)

# Libraries stay behind one of our headers: each is included by the files named here only.
LIBRARIES = {
    r"(mbedtls|psa)/": ["http/tls.h", "http/tls.c", "http/tls_context.c", "http/dial_tls.c", "http/self_signed.c", "base/hash.c", "auth/jwks.c"],
    r"jsmn\.h$": 1,
    r"pcre2\.h$": 1,
    r"ares\.h$": 1,
    r"crypt\.h$": 1,
    r"zlib\.h$": ["http/gzip.c", "test/support/gunzip.h"],
    r"libpq-fe\.h$": 1,
}

# What no file may call, and what to use instead.
BANNED = {
    r"strcpy|strcat|strncpy|strncat|stpcpy": "buf_add, arena_str or memcpy with a checked length",
    r"sprintf|vsprintf": "snprintf, buf_printf or arena_printf",
    r"gets|scanf|fscanf": "a reader with a maximum",
    r"strtok": "str_cut or str_next_word",
    r"atoi|atol|atoll": "str_to_i64 and its like, which tell of errors",
    r"asctime|ctime|gmtime|localtime": "clock_http_date, or the _r variant",
    r"rand|srand|random|srandom|drand48": "base/rand.h",
    r"mktemp|tmpnam|tempnam": "mkstemp or mkdtemp",
    r"alloca|setjmp|longjmp": "an arena; an error value",
}
# What rooms may not call (tests and kinto.c may).
BANNED_IN_ROOMS = {
    r"printf|puts|putchar|perror|exit|_exit|abort": "an error value; only kinto.c prints and exits",
    r"system|popen": "nothing: no shell",
    r"atof": "native_float, which tells of errors",
    r"pthread_create": "thread_start of base/thread.h, which sees to signals",
}
ONLY_IN = {"abort": ["base/base.c"], "openat": ["process/handover.c"], "pthread_create": ["base/thread.c"], "poll": ["test/support/wait.h"]}  # exceptions to the above
# Files are touched through base/os.h only, so that tests can put a simulated disk underneath.
FILE_CALLS = (
    r"open|openat|creat|fopen|fdopen|pread|pwrite|pwritev|preadv|fsync|fdatasync|ftruncate|truncate"
    r"|fallocate|rename|link|mkdir|rmdir|opendir|mmap|flock"
)
# What tests may not call: they wait for a condition, with a deadline.
BANNED_IN_TESTS = {
    r"sleep|usleep|nanosleep|clock_nanosleep": "wait_tick() and a deadline, of test/support/wait.h",
    r"poll(?=\s*\(\s*(NULL|0)\s*,)": "wait_tick() and a deadline, or let_pass() with a reason, of test/support/wait.h",
}

TRACES = [
    (re.compile(r"(?<![\w.:/])/(work|root|home|opt|Users)/[\w.-]+"), "a path of one machine"),
    (re.compile(r"/tmp/build\b"), "a path of one machine"),
    (re.compile(r"(?i)\bissues?\s+(no\.?\s*)?#?\d+\b"), "the number of an issue"),
    (re.compile(r"(?<![\w&/#-])#\d+\b(?!;)"), "the number of an issue"),
    (re.compile(r"\b(pypi\.org|npmjs\.(org|com)|registry\.\w+\.\w+)\b"), "the name of a registry"),
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "an unfinished thought"),
]
TEXT_FILES = (".c", ".h", ".def", ".md", ".ini", ".sh", ".py", ".js", ".mjs", ".txt", ".html", "Makefile", "run")


def files(root):
    """The paths of the tree that are or would be committed, without test/lint's own."""
    try:
        out = subprocess.run(
            ["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
            capture_output=True, text=True, check=True,
        ).stdout.split("\n")
        found = [f for f in out if f]
    except (OSError, subprocess.CalledProcessError):
        found = []
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if f not in (".git", "build", "node_modules", "__pycache__")]
            found += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    return sorted(f for f in found if not f.startswith("test/lint/") and os.path.isfile(os.path.join(root, f)))


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def room_of(path):
    first = path.split("/")[0]
    return first if first in LEVELS and "/" in path else None


def sources(root, suffixes=(".c", ".h")):
    """C files of the rooms, of the tests and kinto.c."""
    return [f for f in files(root) if f.endswith(suffixes) and (room_of(f) or f == "kinto.c" or f.startswith("test/"))]


def without_comments(text, keep_strings=False):
    """Blanks comments (and the insides of literals); lines and columns stay where they are."""
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''

    def blank(m):
        s = m.group(0)
        if keep_strings and s[0] in "\"'":
            return s
        return re.sub(r"[^\n]", " ", s)

    return re.sub(pattern, blank, text, flags=re.S)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


# ---- format ------------------------------------------------------------------------------------

def check_format(root):
    tool = shutil.which("clang-format")
    if tool is None:
        print("lint: clang-format is not installed; the format was not checked", file=sys.stderr)
        return []
    offences = []
    for path in sources(root):
        run = subprocess.run([tool, "--dry-run", "--Werror", path], cwd=root, capture_output=True, text=True)
        if run.returncode != 0:
            first = re.search(r":(\d+):\d+: ", run.stderr)
            offences.append(f"{path}:{first.group(1) if first else 1}: not as clang-format has it (clang-format -i)")
    return offences


# ---- includes ----------------------------------------------------------------------------------

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def includes(root):
    for path in sources(root, (".c", ".h", ".def")):
        text = without_comments(read(root, path), keep_strings=True)
        for m in INCLUDE.finditer(text):
            yield path, line_of(text, m.start(2)), m.group(1) == '"', m.group(2)


def own_include(root, path, header):
    """What is wrong with a #include "header" in path, or None."""
    if not os.path.isfile(os.path.join(root, header)):
        return "no such file (paths start at the root of the tree)"
    here, there = room_of(path), room_of(header)
    if path.startswith("test/"):
        return None
    if header.endswith(".c"):
        return "only tests include .c files"
    if there is None:
        return "not a header of a room"
    if here == there:
        return None
    public = there == "base" or header == f"{there}/{there}.h" or header in ALSO_PUBLIC or (path == "kinto.c" and header.endswith("/settings.def"))
    if not public:
        return f"of another room only {there}/{there}.h"
    if here is not None and LEVELS[there] >= LEVELS[here]:
        return f"{here} lies below or beside {there}"
    return None


def check_includes(root):
    offences, users = [], {}
    for path, line, own, header in includes(root):
        if own:
            wrong = own_include(root, path, header)
            if wrong:
                offences.append(f'{path}:{line}: "{header}": {wrong}')
            continue
        if path.startswith("test/") or SYSTEM.match(header):
            continue
        library = next((k for k in LIBRARIES if re.match(k, header)), None)
        if library is None:
            offences.append(f"{path}:{line}: <{header}>: unknown; a library's goes into LIBRARIES of test/lint/lint.py")
        else:
            users.setdefault(library, []).append((path, line, header))
    for library, uses in users.items():
        allowed = LIBRARIES[library]
        if allowed == 1:
            allowed = [uses[0][0]]
        for path, line, header in uses:
            if path not in allowed:
                offences.append(f"{path}:{line}: <{header}>: stays behind {', '.join(allowed)}")
    return offences


# ---- banned functions --------------------------------------------------------------------------

def rules_for(path):
    rules = dict(BANNED)
    if room_of(path):
        rules.update(BANNED_IN_ROOMS)
        if path != "base/os.c":
            rules[FILE_CALLS] = "os()->..., of base/os.h"
        if room_of(path) in ("auth", "plugins"):
            rules[r"memcmp|bcmp|strn?cmp"] = "hash_equal for what somebody may guess at, str_eq for names"
    elif path.startswith("test/"):
        rules.update(BANNED_IN_TESTS)
    return rules


def check_banned(root):
    offences = []
    for path in sources(root):
        text = without_comments(read(root, path))
        # What a #pragma GCC poison names is not called.
        text = re.sub(r"^#[^\n]*", lambda m: " " * len(m.group(0)), text, flags=re.M)
        for names, instead in rules_for(path).items():
            for m in re.finditer(rf"(?<![\w.>])({names})\s*\(", text):
                if path in ONLY_IN.get(m.group(1), []):
                    continue
                offences.append(f"{path}:{line_of(text, m.start())}: {m.group(1)}(): use {instead}")
    return offences


# ---- messages ----------------------------------------------------------------------------------

# Between quotes a message shows what somebody wrote, perhaps into a setting: a URL with its password, say.
QUOTED = re.compile(r'\\"(%s|" STR_FMT ")\\"')


QUOTES_BY_ITSELF = ("auth/jwt.c",)  # strings of strangers' tokens, by make_harmless()


def check_messages(root):
    offences = []
    for path in sources(root):
        if not room_of(path) or path in QUOTES_BY_ITSELF:
            continue
        text = without_comments(read(root, path), keep_strings=True)
        for m in re.finditer(r"\b(err_set|settings_refuse)\s*\((.*?)\);", text, re.S):
            if len(QUOTED.findall(m.group(2))) > m.group(2).count("settings_quote("):
                offences.append(f"{path}:{line_of(text, m.start())}: a message quotes without settings_quote()")
    return offences


# ---- settings ----------------------------------------------------------------------------------

Row = collections.namedtuple("Row", "key kind low high default unit allowed help")
WITHOUT_EFFECT = ("IGNORED", "WARNED")
MARKED = "Without effect"  # the section of doc/settings.md that those stand in, and no others


def rows(root, table):
    """Each row of a table, macros expanded by the preprocessor; None for NULL."""
    compiler = os.environ.get("CC") or shutil.which("cc") or "gcc"
    fields = " @|@ ".join(Row._fields)
    with tempfile.NamedTemporaryFile("w", suffix=".c") as f:
        f.write(f'#define X({", ".join(Row._fields)}) @@{fields}@@\n#include "{table}"\n')
        f.flush()
        out = subprocess.run([compiler, "-E", "-P", "-I", root, f.name], capture_output=True, text=True, check=True).stdout
    for m in re.finditer(r"@@(.*?)@@", out, re.S):
        yield Row(*(c_value(field.strip()) for field in m.group(1).split("@|@")))


def c_value(text):
    literals = re.findall(r'"((?:\\.|[^"\\])*)"', text)
    if literals:
        return re.sub(r"\\(.)", r"\1", "".join(literals))
    return None if text == "NULL" else text


def documented(text):
    """The lines of the manual's tables: (line, section, key, default)."""
    section = None
    for n, line in enumerate(text.split("\n"), 1):
        if line.startswith("## "):
            section = line[3:].strip()
        m = re.match(r"\| `([^`]+)` \| .*? \| (?:`([^`]*)`|-) \| ", line)
        if m:
            yield n, section, m.group(1), m.group(2)


def matches_row(key, keys):
    for k in keys:
        if k == key or re.fullmatch(re.escape(k).replace(r"\*", ".+"), key):
            return True
    return False


def check_manual(path, text, keys):
    """Both ways: every row has its line, with its default and in the right section, and every line a row."""
    offences, seen = [], {}
    for n, section, key, default in documented(text):
        if key in seen:
            offences.append(f"{path}:{n}: {key} is in line {seen[key]} already")
        seen[key] = n
        if key not in keys:
            offences.append(f"{path}:{n}: {key} is in no settings.def")
            continue
        row, table = keys[key]
        if default != row.default:
            offences.append(f"{path}:{n}: {key}: the default is {row.default or '-'} in {table}")
        if (section == MARKED) != (row.kind in WITHOUT_EFFECT):
            offences.append(f"{path}:{n}: {key} ({row.kind}) stands in the section \"{section}\"; "
                            f"what is without effect stands in \"{MARKED}\", and nothing else")
    return offences + [f"{table}:1: {key} ({row.kind}) has no line in {path}"
                       for key, (row, table) in keys.items() if key not in seen]


def check_named(root, keys):
    """A setting that any page names in backquotes exists."""
    not_settings = re.compile(r"kinto\.((core|plugins|views)(\..*)?|engine|ini|c|x|server\.)?$")
    offences = []
    for path in files(root):
        if not path.endswith(".md"):
            continue
        for n, line in enumerate(read(root, path).split("\n"), 1):
            for key in re.findall(r"`((?:kinto|multiauth)\.[\w.*-]+)(?= =|`)", line):
                if not not_settings.match(key) and not matches_row(key, keys):
                    offences.append(f"{path}:{n}: {key} is in no settings.def")
    return offences


def check_example(path, text, keys):
    """What kinto.ini shows exists."""
    offences, section = [], None
    for n, line in enumerate(text.split("\n"), 1):
        header = re.match(r"\[(.+)\]", line)
        if header:
            section = header.group(1)
        shown = re.match(r"(?:# ?)?((?:kinto|multiauth)\.[\w.*-]+)\s*=", line)
        if shown and section == "app:main" and not matches_row(shown.group(1), keys):
            offences.append(f"{path}:{n}: {shown.group(1)} is in no settings.def")
    return offences


def check_settings(root):
    tables = [f for f in files(root) if re.fullmatch(r"\w+/settings\.def", f)]
    if not tables:
        return []
    manual, example = "doc/settings.md", "kinto.ini"
    if not os.path.isfile(os.path.join(root, manual)):
        return [f"{manual}:1: is not there, but {tables[0]} is"]
    offences, keys = [], {}
    for table in tables:
        for row in rows(root, table):
            if row.key in keys:
                offences.append(f"{table}:1: {row.key} is in {keys[row.key][1]} already")
            keys[row.key] = row, table
    offences += check_manual(manual, read(root, manual), keys) + check_named(root, keys)
    if os.path.isfile(os.path.join(root, example)):
        offences += check_example(example, read(root, example), keys)
    return offences


# ---- plugins -----------------------------------------------------------------------------------

PLUGIN = re.compile(r"(?<![\w.])kinto\.plugins\.([a-z_]+)")
PLUGIN_LISTS = {  # what names all of them: the lines of it that do
    "doc/plugins.md": r"\| `kinto\.plugins\.\w+` \| ",
    "doc/settings.md": r"\| `kinto\.includes` \| ",
    "kinto.ini": "",
}


def check_plugins(root):
    """Every plugin is in the lists that users read, and these name no other."""
    table = "plugins/plugins.def"
    if not os.path.isfile(os.path.join(root, table)):
        return []
    offences = []
    known = set(re.findall(r'^X\("kinto\.plugins\.(\w+)"', read(root, table), re.M))
    for path, lines in PLUGIN_LISTS.items():
        if not os.path.isfile(os.path.join(root, path)):
            offences.append(f"{path}:1: is not there, but {table} is")
            continue
        listed = set()
        for line in read(root, path).split("\n"):
            if re.match(lines, line):
                listed.update(PLUGIN.findall(line))
        offences += [f"{path}:1: kinto.plugins.{name} of {table} is not in its list" for name in sorted(known - listed)]
    for path in files(root):
        if not (path.endswith(".md") or path in ("kinto.ini", "plugins/settings.def")):
            continue
        for n, line in enumerate(read(root, path).split("\n"), 1):
            offences += [f"{path}:{n}: kinto.plugins.{name} is not in {table}"
                         for name in PLUGIN.findall(line) if name not in known and "not there" not in line]
    return offences


# ---- the tour of the code ----------------------------------------------------------------------

TOUR = "doc/architecture.md"
TOLD_FILE = re.compile(r"[a-z]+/\w+\.(?:c|h|def)|kinto\.c")
TOLD_NAME = re.compile(r"([a-z]\w*)(?:\(\))?")
FILES_CELL = re.compile(r"\|((?: `[\w/.]+\.(?:c|h)`,?)+) (?=\|)")  # of a table that says where what is done


def in_backquotes(text):
    for span in re.findall(r"`([^`]+)`", text):
        yield from span.removeprefix("struct ").split(" -> ")


def check_tour(root):
    """What the tour names is there: functions in one of the files that their row of the table has."""
    if not os.path.isfile(os.path.join(root, TOUR)):
        return []
    words = {path: set(re.findall(r"\w+", without_comments(read(root, path))))
             for path in sources(root, (".c", ".h", ".def")) if not path.startswith("test/")}
    offences = []
    for n, line in enumerate(read(root, TOUR).split("\n"), 1):
        cell = FILES_CELL.search(line)
        places = list(in_backquotes(cell.group(1))) if cell else list(words)
        for told in in_backquotes(line):
            name = TOLD_NAME.fullmatch(told)
            if TOLD_FILE.fullmatch(told) and told not in words:
                offences.append(f"{TOUR}:{n}: there is no {told}")
            if name and not any(name.group(1) in words.get(path, ()) for path in places):
                offences.append(f"{TOUR}:{n}: {told} is not in {', '.join(places) if cell else 'the code'}")
    return offences


# ---- traces ------------------------------------------------------------------------------------

def check_traces(root):
    offences = []
    for path in files(root):
        if not path.endswith(TEXT_FILES):
            continue
        for n, line in enumerate(read(root, path).split("\n"), 1):
            for pattern, what in TRACES:
                m = pattern.search(line)
                if m:
                    offences.append(f"{path}:{n}: {m.group(0)}: {what} does not belong into the tree")
    return offences


# ---- the sandbox -------------------------------------------------------------------------------

SANDBOX = "process/seccomp.c"
# Which argument of a call is looked up in which table of SANDBOX.
FILTERED = {"ioctl": (1, "ioctls"), "fcntl": (1, "fcntls"), "prctl": (0, "prctls"), "socket": (0, "families"), "syscall": (0, "allowed")}
MAY_BE_A_VARIABLE = ("socket",)
BEFORE_IT = re.compile(r"process/(become|landlock|process|seccomp)\.c$")  # gives up the rights, and is not yet locked in


def table_of(text, name):
    m = re.search(rf"\b{name}\[\]\s*=\s*\{{(.*?)\}};", text, re.S)
    return {w.removeprefix("__NR_") for w in re.findall(r"\w+", re.sub(r"^#.*", "", m.group(1), flags=re.M))} if m else set()


def calls_of(text, name):
    """Each call of a function: its offset and its arguments, cut at the commas of the outermost level."""
    for m in re.finditer(rf"(?<![\w.>]){name}\s*\(", text):
        args, depth, at = [""], 0, m.end()
        while at < len(text) and depth >= 0:
            c = text[at]
            depth += (c in "([{") - (c in ")]}")
            if c == "," and depth == 0:
                args.append("")
            elif depth >= 0:
                args[-1] += c
            at += 1
        yield m.start(), [a.strip() for a in args]


def check_sandbox(root):
    """What rooms ask the kernel for by a number in an argument, the filter lets through."""
    if not os.path.isfile(os.path.join(root, SANDBOX)):
        return []
    filters = without_comments(read(root, SANDBOX))
    offences = []
    for path in sources(root):
        if not room_of(path) or BEFORE_IT.match(path):
            continue
        text = without_comments(read(root, path))
        for name, (which, table) in FILTERED.items():
            for offset, args in calls_of(text, name):
                value = re.sub(r"^(__NR_|SYS_)", "", args[which]) if which < len(args) else ""
                if value in table_of(filters, table) or (name in MAY_BE_A_VARIABLE and not re.fullmatch(r"[A-Z]\w*", value)):
                    continue
                offences.append(f"{path}:{line_of(text, offset)}: {name}() with {value or 'nothing'}, which is not in {table}[] of {SANDBOX}")
    return offences


CHECKS = {
    "format": check_format,
    "includes": check_includes,
    "banned": check_banned,
    "messages": check_messages,
    "settings": check_settings,
    "plugins": check_plugins,
    "tour": check_tour,
    "sandbox": check_sandbox,
    "traces": check_traces,
}


def main(args):
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    if args[:1] == ["--root"]:
        root, args = args[1], args[2:]
    count = 0
    for name in args or CHECKS:
        offences = CHECKS[name](root)
        for offence in offences:
            print(offence)
        print(f"lint {name}: {len(offences) or 'ok'}")
        count += len(offences)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
