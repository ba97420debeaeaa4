#!/bin/sh
# Runs the fuzz targets that the Makefile has built.
#   run.sh BUILD_ROOT fuzz NAME...      FUZZ_SECONDS each, FUZZ_JOBS of them at once, on from the corpora that are there
#   run.sh BUILD_ROOT merge NAME...     corpora and seeds become seeds: for each path one input, the smallest
#   run.sh BUILD_ROOT coverage NAME...  what of their parsers the seeds reach
# The exit status is 1 when an input was found that ends a target: it is kept, and its path printed.
set -eu
root=$1 what=$2
shift 2
bin=$root/fuzz-clang/test/fuzz
work=${FUZZ_DIR:-$root/fuzz} # corpus/NAME, found/NAME-..., log/NAME
mkdir -p "$work/corpus" "$work/found" "$work/log"
# All that a length limit costs is time; these are what inputs of that kind may need.
max_len() {
    case $1 in
    index | log | page) echo 16384 ;;
    api | server) echo 8192 ;;
    *) echo 4096 ;;
    esac
}

fuzz_one() {
    name=$1
    mkdir -p "$work/corpus/$name" "test/fuzz/seeds/$name"
    set -- "-max_total_time=$FUZZ_SECONDS" "-max_len=$(max_len "$name")" -timeout=5 -rss_limit_mb=1024 \
        -print_final_stats=1 "-artifact_prefix=$work/found/$name-"
    [ -f "test/fuzz/$name.dict" ] && set -- "$@" "-dict=test/fuzz/$name.dict"
    if "$bin/fuzz_$name" "$@" "$work/corpus/$name" "test/fuzz/seeds/$name" >"$work/log/$name" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log/$name")
        echo "  ok  $name: $runs inputs in $FUZZ_SECONDS s, $(ls "$work/corpus/$name" | wc -l) kept"
        return 0
    fi
    echo "FAIL $name:"
    grep -aE '^(SUMMARY|==[0-9]+==ERROR|.*: runtime error|.*BUG)' "$work/log/$name" | head -n 5
    sed -n 's/.*Test unit written to /  the input is /p' "$work/log/$name"
    echo "  the log is $work/log/$name; once more: $bin/fuzz_$name INPUT"
    return 1
}

# Inputs that once found something stay, under their names: found-*.
merge_one() {
    name=$1
    seeds=test/fuzz/seeds/$name
    new=$(mktemp -d)
    mkdir -p "$seeds" "$work/corpus/$name"
    # Which edges were reached counts, not how often: else there are thousands.
    "$bin/fuzz_$name" -merge=1 -use_counters=0 "-max_len=$(max_len "$name")" -timeout=20 "$new" \
        "$seeds" "$work/corpus/$name" >"$work/log/$name-merge" 2>&1
    find "$seeds" -type f ! -name 'found-*' -delete
    for f in "$new"/*; do
        cp "$f" "$seeds/$(sha1sum <"$f" | cut -c 1-12)"
    done
    rm -rf "$new"
    echo "  $name: $(ls "$seeds" | wc -l) seeds, $(cat "$seeds"/* | wc -c) bytes"
}

coverage() {
    data=$root/coverage-clang
    rm -rf "$data/profiles"
    mkdir -p "$data/profiles"
    objects=
    for name; do
        CK_FORK=no LLVM_PROFILE_FILE="$data/profiles/$name" "$data/test/fuzz/fuzz_$name" "test/fuzz/seeds/$name"/*
        objects="$objects -object $data/test/fuzz/fuzz_$name"
    done
    llvm-profdata merge -sparse "$data"/profiles/* -o "$data/profile"
    # shellcheck disable=SC2086
    llvm-cov report ${objects# -object } -instr-profile="$data/profile" $(cat test/fuzz/parsers.txt) |
        awk 'NR == 1 { printf "%-28s %16s %16s\n", "file", "lines", "branches" }
            /^(TOTAL|[a-z_]+\/.*\.c|[a-z_]+\.c) / { printf "%-28s %7s %8s %7s %8s\n", $1, $8, $10, $11, $13 }'
}

case $what in
fuzz)
    export FUZZ_SECONDS FUZZ_DIR="$work"
    failed=0
    printf '%s\n' "$@" | xargs -P "${FUZZ_JOBS:-1}" -I '{}' "$0" "$root" fuzz-one '{}' || failed=1
    exit "$failed"
    ;;
fuzz-one) fuzz_one "$1" ;;
merge)
    for name; do
        merge_one "$name"
    done
    ;;
coverage) coverage "$@" ;;
esac
