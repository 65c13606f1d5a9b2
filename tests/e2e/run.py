#!/usr/bin/env python3
"""End-to-end tests: real processes on 127.0.0.1.

usage: run.py [NAME ...]     all cases, or those whose name contains one of NAMEs;  --list
SHOAL_BIN names the program (build/shoal), SHOAL_SHARED the reference data. Ends with "N passed, N failed, N skipped"."""
import importlib, os, pathlib, shutil, signal, subprocess, sys, tempfile, time, traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import swarm

HERE = pathlib.Path(__file__).resolve().parent
ORDER = ["models", "ready", "files", "sources", "coordination", "inference", "api", "membership", "clients", "bad_input", "demo"]


class Timeout(Exception):
    pass


def on_alarm(signo, frame):
    raise Timeout("the case took too long")


def cases():
    found = []
    names = [p.stem[6:] for p in HERE.glob("cases_*.py")]
    for name in sorted(names, key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n)):
        module = importlib.import_module(f"cases_{name}")
        for function in vars(module).values():
            if getattr(function, "case", None):
                found.append((f"{name}: {function.case}", function))
    return found


def run_case(function, box):
    signal.alarm(int(function.timeout * swarm.SLOW))
    try:
        function(box)
        return "ok", "", ""
    except swarm.Skip as e:
        return "skip", str(e), ""
    except (swarm.Failure, Timeout, subprocess.TimeoutExpired) as e:
        return "fail", f"{type(e).__name__}: {e}", getattr(e, "logs", "")
    except Exception as e:
        return "fail", traceback.format_exc(), getattr(e, "logs", "")
    finally:
        signal.alarm(0)


def comment(text):
    for line in text.splitlines():
        print(f"#   {line}")


def main(names):
    selected = [(n, f) for n, f in cases() if not names or any(part in n for part in names)]
    if not os.path.exists(swarm.BIN):
        print(f"run.py: {swarm.BIN} is not there; `make` first, or name it with SHOAL_BIN", file=sys.stderr)
        return 3
    signal.signal(signal.SIGALRM, on_alarm)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    counts = {"ok": 0, "fail": 0, "skip": 0}
    folder = tempfile.mkdtemp(prefix="shoal-e2e-box-")
    print(f"1..{len(selected)}", flush=True)
    try:
        box = swarm.Box(folder)
        for i, (name, function) in enumerate(selected, 1):
            began = time.monotonic()
            result, why, logs = run_case(function, box)
            counts[result] += 1
            took = f"({time.monotonic() - began:.1f} s)"
            if result == "skip":
                print(f"ok {i} - {name} # SKIP {why}", flush=True)
            elif result == "ok":
                print(f"ok {i} - {name} {took}", flush=True)
            else:
                print(f"not ok {i} - {name} {took}", flush=True)
                comment(why)
                comment(logs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{counts['ok']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    return 1 if counts["fail"] else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        for name, _ in cases():
            print(name)
    else:
        sys.exit(main(sys.argv[1:]))
