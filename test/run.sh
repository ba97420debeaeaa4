#!/bin/sh
# Runs test programs and adds up Check's totals.
#   run.sh CASE PROGRAM...      CASE: of Check's, or empty: all
# Ends with "N passed, N failed"; the exit status is 1 when anything failed.
passed=0 failed=0
[ -n "$1" ] && export CK_RUN_CASE=$1
shift
export CK_VERBOSITY="${CK_VERBOSITY:-normal}"
export CK_TIMEOUT_MULTIPLIER="${CK_TIMEOUT_MULTIPLIER:-5}" # a busy machine is no failure
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT

for t; do
    name=${t##*/test/}
    "$t" >"$log" 2>&1
    status=$?
    # "97%: Checks: 100, Failures: 2, Errors: 1"
    line=$(grep -E '^[0-9]+%: Checks: ' "$log" | tail -n 1)
    if [ -z "$line" ]; then
        echo "FAIL $name: ended with status $status before its totals"
        cat "$log"
        failed=$((failed + 1))
        continue
    fi
    set -- $(echo "$line" | tr -c '0-9\n' ' ')
    bad=$(($3 + $4))
    passed=$((passed + $2 - bad))
    failed=$((failed + bad))
    if [ "$bad" -ne 0 ] || [ "$status" -ne 0 ]; then
        [ "$bad" -eq 0 ] && failed=$((failed + 1))
        echo "FAIL $name: $line (status $status)"
        cat "$log"
    else
        echo "  ok  $name: $2"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
