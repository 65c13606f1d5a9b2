#!/bin/sh
# Everything that `make test` runs: unit programs, then real processes. Ends with one line of totals.
here=$(dirname "$0")
total() { echo "$1" | grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' | tail -n 1; }
unit=$("$here/run_unit.sh" "$@" 2>&1); echo "$unit"
e2e_log=$(mktemp)
python3 "$here/e2e/run.py" 2>&1 | tee "$e2e_log"
all=$(printf '%s\n%s\n' "$(total "$unit")" "$(total "$(cat "$e2e_log")")")
rm -f "$e2e_log"
echo "$all" | awk 'NF { p += $1; f += $3; s += $5; n++ }
    END { if (n < 2) f++; printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }'
