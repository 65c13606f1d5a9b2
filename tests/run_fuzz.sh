#!/bin/sh
# Runs each fuzz target: first its corpus, then fresh inputs. usage: run_fuzz.sh BUILD SECONDS [NAME]
build=$1 seconds=$2 only=${3:-}
status=0
for target in "$build"/fuzz/fz_*; do
    case $target in *.d | *.o) continue ;; esac
    name=$(basename "$target")
    [ -z "$only" ] || [ "$only" = "$name" ] || continue
    corpus=tests/fuzz/corpus/$name dict=tests/fuzz/dict/$name.dict found=$build/found/$name
    mkdir -p "$found"
    set -- "$found"
    [ -d "$corpus" ] && set -- "$@" "$corpus"
    [ -f "$dict" ] && set -- "$@" "-dict=$dict"
    if "$target" "$@" -max_total_time="$seconds" -rss_limit_mb=512 -timeout=2 -malloc_limit_mb=256 \
        -artifact_prefix="$found/" -print_final_stats=1 >"$found.log" 2>&1; then
        echo "ok   $name $(sed -n 's/^stat::number_of_executed_units: */runs /p' "$found.log")"
    else
        echo "FAIL $name: $found.log"
        tail -n 15 "$found.log"
        status=1
    fi
done
exit $status
