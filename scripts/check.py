#!/usr/bin/env python3
"""The rules of the house, as far as a program can check them: make check.

usage: check.py [--build DIR] [--quick]     from the top of the repository
  depends    folders include only what src/depends.txt allows; foreign headers only at their door
  sizes      files up to 600 lines, headers up to 200, functions up to 70 (and most under 40)
  symbols    what a folder exports begins with the stem of one of its files (nm)
  banned     functions that have no place here
  headers    every header compiles alone
  format     clang-format
  words      nothing is left unfinished
Ends with one line for each rule and exits 1 when any fails.
"""
import argparse, concurrent.futures, os, pathlib, re, shutil, subprocess, sys

parser = argparse.ArgumentParser()
parser.add_argument("--build", default="build")
args = parser.parse_args()
SRC = pathlib.Path("src")
failures = []


def fail(rule, where, what):
    failures.append(rule)
    print(f"{where}: {what}")


def sources(*kinds):
    return sorted(p for p in SRC.rglob("*") if p.suffix in kinds)


def folder_of(path):
    return path.parts[1]


# Foreign headers and the files that may see them.
DOORS = [
    (r"openssl/(evp|sha)\.h", ["src/base/hash.c", "src/agent/"]),
    (r"openssl/", ["src/net/", "src/base/hash.c", "src/agent/"]),
    (r"sodium", ["src/base/crypto.c", "src/agent/"]),
    (r"jansson", ["src/base/jv", "src/agent/"]),
    (r"event2?/|event\.h", ["src/net/"]),
    (r"curl/", ["src/net/"]),
    (r"ncurses|curses", ["src/app/"]),
    (r"seccomp|linux/landlock", ["src/agent/"]),
    (r"opendht|libtorrent", ["src/agent/"]),
]


def check_depends():
    may = {}
    for line in (SRC / "depends.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, rest = line.partition(":")
            may[name.strip()] = set(rest.split()) | {name.strip()}
    may["agent"] = {"agent"}
    for path in sources(".c", ".h", ".cpp", ".hpp"):
        folder = folder_of(path)
        for i, line in enumerate(path.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
            if not m:
                continue
            name = m.group(1)
            target = name.split("/")[0]
            if (SRC / target).is_dir() and "/" in name and (SRC / name).exists():
                if name == "agent/protocol.h" and folder == "swarm":
                    continue
                if target not in may.get(folder, set()):
                    fail("depends", f"{path}:{i}", f"{folder} may not include {name}")
            for pattern, doors in DOORS:
                if re.match(pattern, name) and not any(str(path).startswith(d) for d in doors):
                    fail("depends", f"{path}:{i}", f"{name} is only for {', '.join(doors)}")
                    break


GENERATED = re.compile(r"_tables\.c$")


def functions(path):
    """(name, first line, number of lines) of every function in our format: braces alone in column 0."""
    lines = path.read_text().splitlines()
    start = None
    for i, line in enumerate(lines):
        if line == "{" and i:
            start = i
        elif line == "}" and start is not None:
            head = start - 1
            while head and not re.match(r"[A-Za-z_]", lines[head]):
                head -= 1
            m = re.search(r"(\w+)\(", lines[head])
            yield (m.group(1) if m else "?"), start, i - start + 1
            start = None


def check_sizes():
    all_sizes = []
    for path in sources(".c", ".h", ".cpp"):
        n = len(path.read_text().splitlines())
        if not GENERATED.search(path.name):
            limit = 200 if path.suffix == ".h" else 600
            if n > limit:
                fail("sizes", path, f"{n} lines, at most {limit}")
        if path.suffix == ".c":
            for name, line, size in functions(path):
                all_sizes.append(size)
                if size > 70:
                    fail("sizes", f"{path}:{line}", f"{name} has {size} lines, at most 70")
    over = sum(s > 40 for s in all_sizes)
    if all_sizes and over > len(all_sizes) * 0.08:
        fail("sizes", "src", f"{over} of {len(all_sizes)} functions pass 40 lines")
    print(f"functions: {len(all_sizes)}, median {sorted(all_sizes)[len(all_sizes) // 2] if all_sizes else 0} lines, "
          f"{over} over 40")


def check_symbols():
    for lib in sorted(pathlib.Path(args.build, "lib").glob("lib*.a")):
        folder = lib.stem[3:]
        words, built = set(), []
        for path in (SRC / folder).rglob("*.[ch]"):
            text = path.read_text()
            # A header's own list of prefixes: types and functions that it declares.
            if path.suffix == ".h":
                words |= set(re.findall(r"\b([a-z]\w*)\(", text))
                # Declared for each name of a list, by a macro: a_##name##_b.
                built += [re.compile(re.sub(r"##\w+?##|##\w+$", r"\\w+", w))
                          for w in re.findall(r"\b([a-z]\w*##[\w#]+)\(", text)]
        out = subprocess.run(["nm", "-g", "--defined-only", str(lib)], capture_output=True, text=True).stdout
        for line in out.splitlines():
            parts = line.split()
            if len(parts) != 3 or parts[1] not in "TDBR":
                continue
            name = parts[2]
            if name.startswith(("__", "_")) or name in words or name == "main" or "." in name:
                continue
            if any(pattern.fullmatch(name) for pattern in built):
                continue
            if not re.search(rf"\b{re.escape(name)}\b",
                             "".join(p.read_text() for p in (SRC / folder).rglob("*.h"))):
                fail("symbols", lib, f"{name} is exported and no header of {folder} declares it")
        for name in ("dht_", "event_", "evbuffer_", "session_", "torrent_", "SSL_"):
            for line in out.splitlines():
                parts = line.split()
                if len(parts) == 3 and parts[1] == "T" and parts[2].startswith(name):
                    fail("symbols", lib, f"{parts[2]}: the prefix {name} is a library's")


BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|sscanf|fscanf|scanf|alloca|system|"
                    r"popen|assert|rand|srand|mktemp|tmpnam)\s*\(")
ALLOC = re.compile(r"\b(malloc|calloc|realloc|free|strdup|strndup)\s*\(")


def strip_comments(text):
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    text = re.sub(r'"(\\.|[^"\\\n])*"', '""', text)
    return re.sub(r"//[^\n]*", "", text)


def check_banned():
    for path in sources(".c", ".h"):
        for i, line in enumerate(strip_comments(path.read_text()).splitlines(), 1):
            m = BANNED.search(line) or (folder_of(path) != "base" and ALLOC.search(line))
            if m:
                fail("banned", f"{path}:{i}", f"{m.group(1)} has no place here")
            if re.search(r"(?<!_)\bexit\s*\(", line) and folder_of(path) != "app":
                fail("banned", f"{path}:{i}", "exit belongs to app")


# Headers of kernels/x86 and kernels/simd are for files that are compiled with these, those of kernels/arm for another
# machine's compiler.
ISA_FLAGS = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavxvnni -mfma -mf16c".split()


def run_each(commands):
    """stderr and exit status of every (argv, standard input), in that order, as many at once as there are processors."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda c: subprocess.run(c[0], input=c[1], capture_output=True, text=True), commands))


def check_headers():
    paths, commands = [], []
    for path in sources(".h"):
        if folder_of(path) == "agent" and path.name != "protocol.h":
            continue
        isa = ISA_FLAGS if {"x86", "simd"} & set(path.parts) else []
        compiler = "gcc"
        if "arm" in path.parts:
            compiler, isa = "aarch64-linux-gnu-gcc", ["-march=armv8.2-a+dotprod+fp16"]
            if not shutil.which(compiler):
                continue
        paths.append(path)
        commands.append(([compiler, "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Isrc", "-fsyntax-only",
                          *isa, "-x", "c", "-"], f'#include "{path.relative_to(SRC)}"\n'))
    for path, r in zip(paths, run_each(commands)):
        if r.returncode:
            fail("headers", path, r.stderr.strip().splitlines()[0])


def check_format():
    files = [str(p) for p in sources(".c", ".h", ".cpp") if not GENERATED.search(p.name)]
    parts = [files[i :: os.cpu_count()] for i in range(os.cpu_count())]
    done = run_each([(["clang-format", "--dry-run", "-Werror", *part], "") for part in parts if part])
    bad = sorted({line.split(":")[0] for r in done for line in r.stderr.splitlines() if "clang-format-violations" in line})
    for path in bad:
        fail("format", path, "run clang-format -i")


WORDS = re.compile(r"\b(TODO|FIXME|XXX|HACK|for now|not implemented|placeholder)\b")


def check_words():
    for path in sources(".c", ".h", ".cpp"):
        for i, line in enumerate(path.read_text().splitlines(), 1):
            m = WORDS.search(line)
            if m:
                fail("words", f"{path}:{i}", f"'{m.group()}'")


RULES = [check_depends, check_sizes, check_symbols, check_banned, check_headers, check_format, check_words]
for rule in RULES:
    rule()
for rule in RULES:
    name = rule.__name__[6:]
    print(f"{'FAIL' if name in failures else 'ok  '} {name}")
sys.exit(bool(failures))
