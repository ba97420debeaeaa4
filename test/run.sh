#!/bin/sh
# Runs test programs, as many at once as there are processors ($TEST_JOBS), and adds up Check's totals.
#   run.sh CASE PROGRAM...      CASE: of Check's, or empty: all
# A test that cannot do its work here says "SKIPPED: why", and passes; "SKIP PROGRAM: why (times)" shows each of them.
# Ends with "N skipped", if there were any, and "N passed, N failed"; the exit status is 1 when anything failed.

# one PROGRAM: its line, or all that it said, and "PASSED FAILED" in a file of its own.
if [ "${1:-}" = --one ]; then
    name=${2##*/test/}
    log=$(mktemp "$TEST_RUN_DIR/log.XXXXXX") || exit 1
    began=$(date +%s)
    "$2" >"$log" 2>&1
    status=$?
    took=$(($(date +%s) - began))
    [ "$took" -lt 10 ] && took='' || took=" ($took s)" # who waits for the rest may ask why
    # "97%: Checks: 100, Failures: 2, Errors: 1"
    line=$(grep -E '^[0-9]+%: Checks: ' "$log" | tail -n 1)
    set -- $(echo "$line" | tr -c '0-9\n' ' ')
    bad=$((${3:-0} + ${4:-0}))
    passed=$((${2:-0} - bad))
    if [ -z "$line" ]; then
        bad=1
        line="ended with status $status before its totals"
    elif [ "$bad" -eq 0 ] && [ "$status" -ne 0 ]; then
        bad=1
    fi
    echo "$passed $bad" >"$log.total"
    sed -n 's/^SKIPPED: //p' "$log" | sort | uniq -c |
        sed "s|^ *\([0-9]*\) \(.*\)|SKIP $name: \2 (\1)|" >"$log.skipped"
    (
        flock 9 # what a program said stays together
        if [ "$bad" -eq 0 ]; then
            echo "  ok  $name: $passed$took"
        else
            echo "FAIL $name: $line (status $status)"
            cat "$log"
        fi
    ) 9>"$TEST_RUN_DIR/lock"
    exit 0
fi

[ -n "$1" ] && export CK_RUN_CASE=$1
shift
export CK_VERBOSITY="${CK_VERBOSITY:-normal}"
export CK_TIMEOUT_MULTIPLIER="${CK_TIMEOUT_MULTIPLIER:-5}" # a busy machine is no failure

# Has $1 room for the files of all tests, and may programs run from there?
is_roomy() {
    free=$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')
    [ -w "$1" ] && [ "${free:-0}" -ge 2097152 ] || return 1
    probe=$(mktemp -p "$1") || return 1
    printf '#!/bin/sh\n' >"$probe" && chmod +x "$probe" && "$probe" 2>/dev/null
    set -- $?
    rm -f "$probe"
    return "$1"
}

# Files of tests are in memory where that can be: how fast a disk syncs is not what they look at. $TMPDIR says
# where otherwise.
[ -z "${TMPDIR:-}" ] && is_roomy /dev/shm && TMPDIR=/dev/shm
TEST_RUN_DIR=$(mktemp -d -p "${TMPDIR:-/tmp}") || exit 1
export TEST_RUN_DIR
trap 'rm -rf "$TEST_RUN_DIR"' EXIT
chmod 755 "$TEST_RUN_DIR" # tests run servers as other users, too
export TMPDIR="$TEST_RUN_DIR/files"
mkdir -m 1777 "$TMPDIR" || exit 1

for t; do
    echo "$t"
done | xargs -P "${TEST_JOBS:-$(nproc)}" -I '{}' "$0" --one '{}'
set -- "$#" $(cat "$TEST_RUN_DIR"/log.*.total 2>/dev/null)
programs=$1 seen=0 passed=0 failed=0
shift
while [ $# -ge 2 ]; do
    passed=$((passed + $1))
    failed=$((failed + $2))
    seen=$((seen + 1))
    shift 2
done
if [ "$seen" -ne "$programs" ]; then
    echo "FAIL: $seen of $programs programs were run"
    failed=$((failed + programs - seen))
fi
cat "$TEST_RUN_DIR"/log.*.skipped 2>/dev/null | sort
skipped=$(cat "$TEST_RUN_DIR"/log.*.skipped 2>/dev/null | sed 's/.*(\([0-9]*\))$/+\1/' | tr -d '\n')
[ $((0$skipped)) -gt 0 ] && echo "$((0$skipped)) skipped"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
