#!/usr/bin/env python3
"""Puts the last run of `make faults` into docs/DIAGNOSIS.md: its table, and what `shoal doctor` printed for ten faults.

usage: docs.py FAULTS.json"""
import json, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from run import summary, table

PAGE = pathlib.Path(__file__).resolve().parent.parent.parent / "docs" / "DIAGNOSIS.md"
SHOWN = ["cut_in_half", "bit_flipped", "no_source", "disk_full", "file_not_readable", "never_claimed", "killed", "no_coordinator",
         "no_key", "port_taken", "other_owner", "wrong_key", "no_entry", "cut_link", "self_test"]

N_SHOWN = 10


def between(text, name, new):
    first, last = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    start, end = text.index(first) + len(first), text.index(last)
    return text[:start] + new + text[end:]


def main(path):
    rows = json.loads(pathlib.Path(path).read_text())["rows"]
    by_name = {r["function"]: r for r in rows if r["result"] == "passed" and r["doctor"]}
    shown = [by_name[name] for name in SHOWN if name in by_name][:N_SHOWN]
    if len(shown) < N_SHOWN:
        sys.exit(f"{path} has passed runs of {len(shown)} of the faults to show, {N_SHOWN} are wanted: run `make faults` without ONLY; "
                 f"missing: {', '.join(name for name in SHOWN if name not in by_name)}")
    outputs = "".join(f"### {r['fault']}\n\n```\n{r['doctor'].rstrip()}\n```\n\n" for r in shown)
    text = PAGE.read_text()
    text = between(text, "table", f"{table(rows)}\n\n{summary(rows)}\n")
    PAGE.write_text(between(text, "outputs", outputs))


if __name__ == "__main__":
    main(sys.argv[1])
