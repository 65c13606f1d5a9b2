#!/bin/sh
# Runs unit test programs (cmocka, TAP), by way of $RUNNER if set, and ends with "N passed, N failed, N skipped".
passed=0 failed=0 skipped=0
for program in "$@"; do
    out=$(CMOCKA_MESSAGE_OUTPUT=TAP ${RUNNER:-} "$program" 2>&1)
    rc=$?
    ok=$(printf '%s\n' "$out" | grep -c '^ok')
    skip=$(printf '%s\n' "$out" | grep -ciE '^(not )?ok.*# *skip') # cmocka says "not ok N # SKIP"
    skip_ok=$(printf '%s\n' "$out" | grep -ci '^ok.*# *skip')
    bad=$(printf '%s\n' "$out" | grep '^not ok' | grep -civ '# *skip')
    if [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    if [ "$bad" -ne 0 ]; then
        printf '%s (exit %d):\n' "$program" $rc
        printf '%s\n' "$out" | grep -v '^ok' | tail -n 40
    fi
    passed=$((passed + ok - skip_ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]
