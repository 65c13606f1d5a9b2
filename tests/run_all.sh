#!/bin/sh
# Everything that `make test` runs: unit programs, a hundred simulated swarms (one test), then real processes, some
# with random faults. Ends with one line of totals.
here=$(dirname "$0")
total() { echo "$1" | grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' | tail -n 1; }
unit=$("$here/run_unit.sh" "$@" 2>&1); echo "$unit"
sim_log=$(mktemp)
if "$SHOAL_SIM" --seeds 100 >"$sim_log" 2>&1; then sim="1 passed, 0 failed, 0 skipped"; else sim="0 passed, 1 failed, 0 skipped"; fi
cat "$sim_log"; rm -f "$sim_log"
e2e_log=$(mktemp)
python3 "$here/e2e/run.py" 2>&1 | tee "$e2e_log"
chaos_log=$(mktemp)
judge=$(python3 "$here/chaos/test_judge.py" 2>&1); echo "$judge"
python3 "$here/chaos/run.py" --seed 18 --runs 6 2>&1 | tee "$chaos_log"
all=$(for text in "$unit" "$sim" "$(cat "$e2e_log")" "$judge" "$(cat "$chaos_log")"; do total "$text"; done)
rm -f "$e2e_log" "$chaos_log"
echo "$all" | awk 'NF { p += $1; f += $3; s += $5; n++ }
    END { if (n < 5) f++; printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }'
