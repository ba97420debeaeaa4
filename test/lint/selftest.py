#!/usr/bin/env python3
"""Shows that each check of lint.py can fail, and that it leaves alone what is right.

Every case is a small tree in a folder of its own, a check, and what the check must say: a text that
one of its offences contains, or None for no offence.
"""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lint  # noqa: E402

GOOD = {
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\n",
    "base/base.h": "#include <stddef.h>\n",
    "base/buf.h": "",
    "json/json.h": "",
    "json/private.h": "",
    "engine/engine.h": "",
    "http/http.h": "",
    "store/store.h": "",
    "store/settings.def": "",
    "api/api.h": "",
    "plugins/plugins.h": "",
    "cli/cli.h": "",
}
LINE = "| `kinto.readonly` | true, false | `false` | No writes. |\n"
DOC = {"doc/settings.md": "Set `kinto.readonly`.\n\n## Features\n" + LINE}
PLUGINS = {
    "plugins/plugins.def": 'X("kinto.plugins.a", a_load)\n',
    "doc/plugins.md": "| `kinto.plugins.a` | a |\n",
    "doc/settings.md": "| `kinto.includes` | words | - | kinto.plugins.a. |\n",
    "kinto.ini": "# kinto.plugins.a\n",
}
ROW = 'X("kinto.readonly", BOOL, 0, 0, "false", "", NULL, "No writes.")\n'
SANDBOX = {lint.SANDBOX: "static const int allowed[] = {\n#ifdef __NR_x\n    __NR_read,\n#endif\n};\n"
           "static const uint32_t families[] = {AF_INET};\nstatic const uint32_t ioctls[] = {FIONREAD, /* FIONBIO */};\n"}
TM = 'X("tm.*", IGNORED, 0, 0, NULL, "", NULL, "The reference\'s.")\n'
TM_LINE = "| `tm.*` | ignored | - | The reference's. |\n"

CASES = [
    # format
    ("format", {"base/a.c": "int a(void)\n{\nreturn 1;\n}\n"}, "base/a.c:"),
    ("format", {"base/a.c": "int a(void) { return 1; }\n"}, None),
    # includes
    ("includes", {"base/a.c": '#include "base/buf.h"\n#include <stdio.h>\n'}, None),
    ("includes", {"store/a.c": '#include "json/json.h"\n#include "engine/engine.h"\n'}, None),
    ("includes", {"store/a.c": '#include "json/private.h"\n'}, "only json/json.h"),
    ("includes", {"auth/a.c": '#include "http/client.h"\n', "http/client.h": ""}, None),
    ("includes", {"json/a.c": '#include "http/client.h"\n', "http/client.h": ""}, "json lies below or beside http"),
    ("includes", {"base/a.c": '#include "json/json.h"\n'}, "base lies below or beside json"),
    ("includes", {"engine/a.c": '#include "http/http.h"\n'}, "engine lies below or beside http"),
    ("includes", {"http/a.h": '#include "engine/engine.h"\n'}, "http lies below or beside engine"),
    ("includes", {"json/a.c": '#include "http/http.h"\n'}, "json lies below or beside http"),
    ("includes", {"http/a.c": '#include "json/json.h"\n'}, "http lies below or beside json"),
    ("includes", {"store/a.c": '#include "api/api.h"\n'}, "store lies below or beside api"),
    ("includes", {"store/a.c": '  #  include "api/api.h"\n'}, "store/a.c:1:"),
    ("includes", {"store/a.c": '/* #include "api/api.h" */\n'}, None),
    ("includes", {"store/a.def": '#include "api/api.h"\n'}, "store lies below or beside api"),
    ("includes", {"plugins/a.c": '#include "cli/cli.h"\n'}, "plugins lies below or beside cli"),
    ("includes", {"cli/a.c": '#include "plugins/plugins.h"\n#include "base/buf.h"\n'}, None),
    ("includes", {"kinto.c": '#include "cli/cli.h"\n'}, None),
    ("includes", {"kinto.c": '#include "api/api.h"\n#include "store/settings.def"\n'}, None),
    ("includes", {"kinto.c": '#include "json/private.h"\n'}, "only json/json.h"),
    ("includes", {"json/a.c": '#include "private.h"\n'}, "no such file"),
    ("includes", {"json/a.c": '#include "test/unit.h"\n', "test/unit.h": ""}, "not a header of a room"),
    ("includes", {"test/a.c": '#include "json/private.h"\n#include "json/a.c"\n', "json/a.c": ""}, None),
    ("includes", {"json/b.c": '#include "json/a.c"\n', "json/a.c": ""}, "only tests"),
    ("includes", {"http/tls.c": "#include <mbedtls/ssl.h>\n", "base/hash.c": "#include <mbedtls/sha256.h>\n"}, None),
    ("includes", {"http/loop.c": "#include <mbedtls/ssl.h>\n"}, "stays behind http/tls.h, http/tls.c, http/tls_context.c"),
    ("includes", {"json/a.c": "#include <jsmn.h>\n"}, None),
    ("includes", {"json/a.c": "#include <jsmn.h>\n", "json/b.c": "#include <jsmn.h>\n"}, "stays behind json/a.c"),
    ("includes", {"json/a.c": "#include <yajl.h>\n"}, "unknown"),
    # banned functions
    ("banned", {"base/a.c": "x = strcpy(a, b);\n"}, "strcpy(): use"),
    ("banned", {"test/a.c": "sprintf (a, b);\n"}, "sprintf(): use"),
    ("banned", {"kinto.c": "\n\nn = atoi(x);\n"}, "kinto.c:3: atoi()"),
    ("banned", {"base/a.c": "snprintf(a, n, b); my_strcpy(a); /* strcpy(a) */ p = \"strcpy(a)\";\n"}, None),
    ("banned", {"base/a.c": "char q = '\"'; strcpy(a, b); char r = '\"';\n"}, "strcpy()"),
    ("banned", {"http/a.c": "printf(\"x\");\n"}, "only kinto.c prints"),
    ("banned", {"http/a.c": "exit(1);\n"}, "exit()"),
    ("banned", {"base/base.c": "abort();\n"}, None),
    ("banned", {"base/a.c": "abort();\n"}, "abort()"),
    ("banned", {"kinto.c": "printf(\"x\"); exit(1);\n"}, None),
    ("banned", {"engine/a.c": "fd = open(path, 0);\n"}, "open(): use os()"),
    ("banned", {"engine/a.c": "fd = os()->open(path, 0); r = t.rename(a, b);\n"}, None),
    ("banned", {"base/os.c": "fd = open(path, 0);\n"}, None),
    ("banned", {"auth/a.c": "same = memcmp(a, b, n);\n"}, "memcmp(): use hash_equal"),
    ("banned", {"plugins/a.c": "same = strcmp(a, b);\n"}, "strcmp(): use hash_equal"),
    ("banned", {"api/a.c": "same = memcmp(a, b, n);\n"}, None),
    ("banned", {"test/a.c": "usleep(10);\n"}, "wait_tick() and a deadline"),
    ("banned", {"test/a.c": "poll(NULL, 0, 5);\n"}, "let_pass() with a reason"),
    # settings
    ("settings", {"store/settings.def": ROW, **DOC}, None),
    ("settings", {"store/settings.def": ROW}, "doc/settings.md:1: is not there"),
    ("settings", {"store/settings.def": ROW, "doc/settings.md": "`kinto.readonly`\n"}, "kinto.readonly (BOOL) has no line"),
    ("settings", {"store/settings.def": ROW, "doc/settings.md": LINE.replace("only`", "only_too`")}, "kinto.readonly (BOOL) has no line"),
    ("settings", {"store/settings.def": ROW, "doc/settings.md": LINE + LINE.replace("only`", "only_too`")},
     "doc/settings.md:2: kinto.readonly_too is in no settings.def"),
    ("settings", {"store/settings.def": ROW, "doc/settings.md": LINE + LINE}, "doc/settings.md:2: kinto.readonly is in line 1 already"),
    ("settings", {"store/settings.def": ROW, "doc/settings.md": LINE.replace("`false`", "`true`")}, "kinto.readonly: the default is false"),
    ("settings", {"store/settings.def": ROW, "doc/settings.md": LINE.replace("`false`", "-")}, "kinto.readonly: the default is false"),
    ("settings", {"store/settings.def": ROW.replace('"false"', "NULL"), **DOC}, "kinto.readonly: the default is - in store/settings.def"),
    ("settings", {"store/settings.def": ROW.replace('"false"', '"a \\"b\\""'), "doc/settings.md": LINE.replace("`false`", '`a "b"`')}, None),
    ("settings", {"store/settings.def": ROW + ROW, **DOC}, "is in store/settings.def already"),
    ("settings", {"store/settings.def": ROW, "api/settings.def": ROW, **DOC}, "is in api/settings.def already"),
    ("settings", {"store/settings.def": ROW + TM, "doc/settings.md": LINE + "## Without effect\n### Python\n" + TM_LINE}, None),
    ("settings", {"store/settings.def": ROW + TM, "doc/settings.md": LINE + TM_LINE}, "tm.* (IGNORED) stands in the section"),
    ("settings", {"store/settings.def": ROW, "doc/settings.md": "## Without effect\n" + LINE}, "kinto.readonly (BOOL) stands in the section"),
    ("settings", {"store/settings.def": '#define P(r) X("kinto." r "_ids", LIST, 0, 0, NULL, "", NULL, "x")\nP("group")\n',
                  "doc/settings.md": ""}, "kinto.group_ids (LIST) has no line"),
    ("settings", {"store/settings.def": ROW, "doc/a.md": "Set `kinto.reedonly = true`.\n", **DOC}, "doc/a.md:1: kinto.reedonly is in no"),
    ("settings", {"store/settings.def": ROW, "doc/a.md": "`kinto.core.x`, `kinto.c` and `kinto.readonly = true`\n", **DOC}, None),
    ("settings", {"store/settings.def": ROW, "kinto.ini": "[app:main]\n# kinto.readonly = true\n", **DOC}, None),
    ("settings", {"store/settings.def": ROW, "kinto.ini": "[app:main]\n\n# kinto.reedonly = true\n", **DOC},
     "kinto.ini:3: kinto.reedonly is in no settings.def"),
    # plugins
    ("plugins", {**PLUGINS}, None),
    ("plugins", {**PLUGINS, "plugins/plugins.def": 'X("kinto.plugins.a", a_load)\nX("kinto.plugins.b", b_load)\n'},
     "doc/plugins.md:1: kinto.plugins.b of plugins/plugins.def is not in its list"),
    ("plugins", {**PLUGINS, "doc/plugins.md": "kinto.plugins.a\n"}, "doc/plugins.md:1: kinto.plugins.a of"),
    ("plugins", {**PLUGINS, "doc/settings.md": "kinto.plugins.a\n"}, "doc/settings.md:1: kinto.plugins.a of"),
    ("plugins", {**PLUGINS, "kinto.ini": ""}, "kinto.ini:1: kinto.plugins.a of"),
    ("plugins", {**PLUGINS, "README.md": "`kinto.plugins.gone`\n"}, "README.md:1: kinto.plugins.gone is not in"),
    ("plugins", {**PLUGINS, "README.md": "kinto.plugins.gone is not there\n"}, None),
    ("plugins", {**PLUGINS, "README.md": "kinto.plugins.a.Policy\n"}, None),
    # the sandbox
    ("sandbox", {**SANDBOX, "http/a.c": "ioctl(fd_of(c, 1), FIONREAD, &n);\nos()->ioctl(fd, TCGETS);\n"}, None),
    ("sandbox", {**SANDBOX, "http/a.c": "\nif (ioctl(fd_of(c, 1),\n FIONBIO, &n) < 0)\n"}, "http/a.c:2: ioctl() with FIONBIO"),
    ("sandbox", {**SANDBOX, "http/a.c": "ioctl(fd, how, &n);\n"}, "ioctl() with how"),
    ("sandbox", {**SANDBOX, "http/a.c": "socket(a->family, SOCK_STREAM, 0); socket(AF_INET, 0, 0);\n"}, None),
    ("sandbox", {**SANDBOX, "http/a.c": "socket(AF_NETLINK, SOCK_RAW, 0);\n"}, "socket() with AF_NETLINK"),
    ("sandbox", {**SANDBOX, "base/a.c": "syscall(SYS_read, 0); syscall(__NR_read, 0);\n"}, None),
    ("sandbox", {**SANDBOX, "base/a.c": "syscall(SYS_write, 0);\n"}, "syscall() with write"),
    ("sandbox", {**SANDBOX, "test/a.c": "ioctl(fd, FIONBIO, &n);\n"}, None),
    ("sandbox", {"http/a.c": "ioctl(fd, FIONBIO, &n);\n"}, None),
    # the tour
    ("tour", {"doc/architecture.md": "Its `a_run()`, `struct a` of `base/a.c`, `kinto.readonly`, `make lint`\n", "base/a.c": "struct a; int a_run(void);\n"}, None),
    ("tour", {"doc/architecture.md": "\n`a_run()` of it\n", "base/a.c": "/* a_run */ int a_go(void);\n"}, "doc/architecture.md:2: a_run() is not in the code"),
    ("tour", {"doc/architecture.md": "`base/b.c`\n"}, "there is no base/b.c"),
    ("tour", {"doc/architecture.md": "| 1 | It runs | `base/a.c`, `base/b.c` | `a_run` -> `b_run` |\n", "base/a.c": "a_run();\n", "base/b.c": "b_run();\n"}, None),
    ("tour", {"doc/architecture.md": "| 1 | It runs | `base/a.c` | `a_run` -> `b_run` |\n", "base/a.c": "a_run();\n", "base/b.c": "b_run();\n"}, "b_run is not in base/a.c"),
    # messages
    ("messages", {"base/a.c": '\nerr_set(d, e, 0, "\\"" STR_FMT "\\" is bad",\n STR_ARG(v));\n'}, "base/a.c:2: a message quotes"),
    ("messages", {"base/a.c": 'settings_refuse(s, k, e, d, "\\"%s\\" is bad", v);\n'}, "base/a.c:1: a message quotes"),
    ("messages", {"base/a.c": 'err_set(d, e, 0, "\\"%s\\", \\"%s\\"", settings_quote(v).text, w);\n'}, "a message quotes"),
    ("messages", {"base/a.c": 'err_set(d, e, 0, "%s: \\"%s\\"", k, settings_quote(v).text);\n'}, None),
    # traces
    ("traces", {"base/a.c": "/* see /home/somebody/kinto */\n"}, "a path of one machine"),
    ("traces", {"doc/a.md": "https://example.com/home/x and GET /v1/work\n"}, None),
    ("traces", {"test/run.sh": "cp x /tmp/build-x\n"}, "a path of one machine"),
    ("traces", {"base/a.c": "\n/* as in issue 12 */\n"}, "base/a.c:2: issue 12"),
    ("traces", {"doc/a.md": "Fixed in #12.\n"}, "the number of an issue"),
    ("traces", {"doc/a.md": "## 12 colours: #123456; &#39; [a](#3-x)\n"}, "the number of an issue"),
    ("traces", {"doc/a.md": "color: #123456; &#39; the issues of the reference\n"}, None),
    ("traces", {"base/a.c": "/* TODO: think */\n"}, "an unfinished thought"),
    ("traces", {"Makefile": "x:\n\tcurl https://pypi.org/simple\n"}, "the name of a registry"),
]


def run_case(check, tree, expected):
    with tempfile.TemporaryDirectory(prefix="kinto-lint-") as root:
        for path, text in {**GOOD, **tree}.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        offences = lint.CHECKS[check](root)
    if expected is None:
        return None if not offences else f"unexpected: {offences}"
    return None if any(expected in o for o in offences) else f"wanted {expected!r}, got {offences}"


def main():
    passed = failed = 0
    for check, tree, expected in CASES:
        if check == "format" and shutil.which("clang-format") is None:
            continue
        wrong = run_case(check, tree, expected)
        if wrong:
            failed += 1
            print(f"FAIL {check} on {tree}: {wrong}")
        else:
            passed += 1
    print(f"lint selftest: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
