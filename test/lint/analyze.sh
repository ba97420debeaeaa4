#!/bin/sh
# clang-tidy and cppcheck over C files.
#   analyze.sh FILE... -- FLAG...   FLAG: what the compiler needs to read a file (-I, -D, -std)
# Each finding is printed with what leads to it. A file is a unit: one in which neither has found
# anything has passed. Ends with "N passed, N failed"; the exit status is 1 when anything failed.
# As many files at once as there are processors ($ANALYZE_JOBS).

# clang-tidy looks at one file an invocation: of several it gets va_list wrong.
if [ "${1:-}" = --one ]; then
    file=$2
    shift 2
    log=$(mktemp "$ANALYZE_DIR/log.XXXXXX") || exit 1
    if clang-tidy --quiet "$file" -- "$@" >"$log" 2>"$log.errors"; then
        echo "$file" >>"$ANALYZE_DIR/passed"
    else
        echo "$file" >>"$ANALYZE_DIR/failed"
        (
            flock 9 # what is said of a file stays together
            echo "FAIL $file: clang-tidy"
            cat "$log"
            grep -Ev '^[0-9]+ (warning|error)s? (generated|treated)|^Suppressed |^Use -header-filter' "$log.errors"
        ) 9>"$ANALYZE_DIR/lock"
    fi
    exit 0
fi

# Left out of cppcheck, and why:
#   unknownEvaluationOrder: finds it in compound literals, whose members do not touch each other
#   pointerSize: memory that is spare begins with the pointer to the next
#   missingIncludeSystem: the headers of the C library are not read
run_cppcheck() {
    cppcheck -D__cppcheck__ --enable=warning,performance,portability --inline-suppr --quiet --error-exitcode=1 \
        --suppress=unknownEvaluationOrder --suppress=pointerSize --suppress=missingIncludeSystem \
        --template='{file}:{line}:{column}: {severity}: {message} [{id}]' "$@" >"$ANALYZE_DIR/cppcheck" 2>&1
}

files=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    files="$files $1"
    shift
done
[ "${1:-}" = -- ] && shift
ANALYZE_DIR=$(mktemp -d) || exit 1
export ANALYZE_DIR
trap 'rm -rf "$ANALYZE_DIR"' EXIT
: >"$ANALYZE_DIR/failed"
: >"$ANALYZE_DIR/passed"
cppcheck_flags=$(for f; do echo "$f"; done | grep -E '^-[ID]') # it knows no others

# Would they find anything? Both are shown a file with a fault.
cat >"$ANALYZE_DIR/fault.c" <<'END'
int fault(int n);
int fault(int n)
{
    int there[2] = {0, 0};
    int *p = n > 5 ? there : 0;
    return *p + there[2];
}
END
cp .clang-tidy "$ANALYZE_DIR" || exit 1
clang-tidy --quiet "$ANALYZE_DIR/fault.c" -- 2>&1 | grep -q 'core.NullDereference' ||
    { echo "FAIL clang-tidy does not find a fault that is there" && echo clang-tidy >>"$ANALYZE_DIR/failed"; }
run_cppcheck "$ANALYZE_DIR/fault.c" || true
grep -q 'arrayIndexOutOfBounds' "$ANALYZE_DIR/cppcheck" ||
    { echo "FAIL cppcheck does not find a fault that is there" && echo cppcheck >>"$ANALYZE_DIR/failed"; }

if ! run_cppcheck $cppcheck_flags -DMBEDTLS_THREADING_C $files; then
    echo "FAIL cppcheck"
    cat "$ANALYZE_DIR/cppcheck"
    found=$(sed -n 's/^\([^ :]*\):[0-9]*:.*/\1/p' "$ANALYZE_DIR/cppcheck" | sort -u)
    for f in ${found:-cppcheck}; do
        echo "$f" >>"$ANALYZE_DIR/failed"
    done
fi
for f in $files; do
    echo "$f"
done | xargs -P "${ANALYZE_JOBS:-$(nproc)}" -I '{}' "$0" --one '{}' "$@"

total=$(echo $files | wc -w)
failed=$(sort -u "$ANALYZE_DIR/failed" | wc -l)
passed=$(grep -cvxF -f "$ANALYZE_DIR/failed" "$ANALYZE_DIR/passed")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -eq "$total" ] && [ "$total" -gt 0 ]
