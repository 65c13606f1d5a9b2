"""A swarm of real processes on 127.0.0.1, for tests: private folders, free ports, what each process printed, its
API. Processes are started by us, ended by their pids, and never outlive us. Python's standard library only."""
import contextlib, ctypes, http.client, json, os, pathlib, random, re, shutil, signal, socket, subprocess, tempfile, time

REPO = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = os.path.abspath(os.environ.get("SHOAL_BIN", REPO / "build" / "shoal"))
SHARED = pathlib.Path(os.environ.get("SHOAL_SHARED", REPO.parent / "shared"))
DEMO_MODEL = REPO / "models" / "shoal-demo.gguf"
SANITIZED = b"__asan_init" in pathlib.Path(BIN).read_bytes() if os.path.exists(BIN) else False
# Limits of time are for a quiet machine; sanitizers and a busy one get more.
SLOW = float(os.environ.get("SHOAL_TEST_SLOW", "5" if SANITIZED else "1"))
REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|shoal: bug:")


class Failure(AssertionError):
    pass


class Skip(Exception):
    pass


def case(title, timeout=60):
    """Marks a function as a case; `timeout` in seconds on a quiet machine."""
    def mark(function):
        function.case, function.timeout = title, timeout
        return function
    return mark


def check(condition, *what):
    if not condition:
        raise Failure(" ".join(str(w) for w in what))


def check_equal(found, expected, what=""):
    if found != expected:
        raise Failure(f"{what}: found {found!r}, expected {expected!r}")


def wait_for(condition, timeout, what, every=0.05):
    """Calls `condition` until it gives something true, and returns that."""
    end = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {timeout * SLOW:g} s: {what}")
        time.sleep(every)


def free_port():
    """Free for TCP and UDP, below the range that the kernel gives to outgoing connections."""
    for _ in range(200):
        port = random.randrange(20000, 31000)
        with contextlib.ExitStack() as stack:
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    s = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise Failure("no free port found")


def _child_setup():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def base_env(home):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SHOAL_", "XDG_"))}
    for keep in ("SHOAL_CPU", "SHOAL_AGENT"):
        if keep in os.environ:
            env[keep] = os.environ[keep]
    env.update(HOME=str(home), XDG_CONFIG_HOME=f"{home}/config", XDG_STATE_HOME=f"{home}/state",
               XDG_RUNTIME_DIR=f"{home}/run", LC_ALL="C.UTF-8")
    for name in ("config", "state", "run"):
        os.makedirs(f"{home}/{name}", mode=0o700, exist_ok=True)
    return env


def run_command(args, env, timeout=30, stdin=None):
    """A command that ends by itself."""
    r = subprocess.run([BIN, *map(str, args)], env=env, stdin=subprocess.DEVNULL if stdin is None else None, input=stdin,
                       capture_output=True, timeout=timeout * SLOW, preexec_fn=_child_setup)
    r.out, r.err = r.stdout.decode(errors="replace"), r.stderr.decode(errors="replace")
    if r.returncode < 0 or REPORT.search(r.err):
        raise Failure(f"{' '.join(map(str, args))} crashed ({r.returncode}): {r.err[-3000:]}")
    return r


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def request(url, method="GET", body=None, headers=None, timeout=20):
    host = url.split("/")[2]
    path = url[url.index(host) + len(host):] or "/"
    conn = http.client.HTTPConnection(host, timeout=timeout * SLOW)
    try:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        conn.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        r = conn.getresponse()
        return Answer(r.status, dict(r.getheaders()), r.read())
    finally:
        conn.close()


class EventStream:
    """Server-sent events of a GET or POST, one (event, data) after the other."""

    def __init__(self, url, method="GET", body=None, timeout=20):
        host = url.split("/")[2]
        self.conn = http.client.HTTPConnection(host, timeout=timeout * SLOW)
        self.conn.request(method, url[url.index(host) + len(host):], None if body is None else json.dumps(body).encode(),
                          {"Content-Type": "application/json"})
        self.answer = self.conn.getresponse()
        self.status = self.answer.status

    def __iter__(self):
        event, data = "message", []
        while True:
            line = self.answer.readline()
            if not line:
                return
            line = line.decode().rstrip("\r\n")
            if line.startswith("event:"):
                event = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                yield event, "\n".join(data)
                event, data = "message", []

    def close(self):
        self.conn.close()


def agents():
    """Pid of each process named shoal-agent, and its parent's."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        if name.startswith("shoal-agent") and rest[0] != "Z":
            found[int(pid)] = int(rest[1])
    return found


def agent_of(p):
    return next((agent for agent, parent in agents().items() if parent == p.pid), None)


class Process:
    """One of ours: entry, node or serve."""

    def __init__(self, swarm, name, role, args, env):
        self.swarm, self.name, self.role, self.args, self.env = swarm, name, role, args, env
        self.out_path, self.err_path = swarm.dir / f"{name}.out", swarm.dir / f"{name}.err"
        self.popen, self.killed = None, False
        self.folder, self.wrap = None, []  # wrap: a program that becomes ours by exec: setpriv, prlimit

    def start(self):
        self.killed = False
        self.entry = None
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.out_from = out.tell()
            self.popen = subprocess.Popen([*self.wrap, BIN, *map(str, self.args)], env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                          stderr=err, preexec_fn=_child_setup)
        return self

    @property
    def pid(self):
        return self.popen.pid

    def lines(self):
        """What it printed to stdout since its last start."""
        with open(self.out_path, "rb") as f:
            f.seek(self.out_from)
            return f.read().decode(errors="replace").splitlines()

    def errors(self):
        return self.err_path.read_text(errors="replace") if self.err_path.exists() else ""

    def has(self, pattern):
        return next((line for line in self.lines() if re.search(pattern, line)), None)

    def wait_line(self, pattern, timeout=10):
        return wait_for(lambda: self.has(pattern), timeout, f"{self.name} prints /{pattern}/")

    def in_order(self, patterns):
        """Each pattern in a line after the one before."""
        lines, at = self.lines(), 0
        for pattern in patterns:
            found = next((i for i in range(at, len(lines)) if re.search(pattern, lines[i])), None)
            if found is None:
                earlier = any(re.search(pattern, line) for line in lines)
                raise Failure(f"{self.name}: /{pattern}/ {'comes too early' if earlier else 'is not printed'}")
            at = found + 1

    def run_entry(self):
        """URL and token, as in the run folder; of the present process, whoever asks while it is started again."""
        entry = self.entry
        if entry is None or entry["pid"] != self.pid:
            path = pathlib.Path(self.env["XDG_RUNTIME_DIR"]) / "shoal" / f"{self.role}-{self.pid}.json"
            entry = self.entry = json.loads(path.read_text()) if path.exists() else None
        return entry

    @property
    def url(self):
        return wait_for(lambda: self.run_entry() or self.popen.poll() is not None and self._gone(), 10,
                        f"{self.name} has an API")["url"]

    def _gone(self):
        raise Failure(f"{self.name} ended with {self.popen.returncode}: {self.errors()[-800:]}")

    @property
    def id(self):
        return next(n["id"] for n in self.status()["nodes"] if n["self"])

    @property
    def port(self):
        line = self.wait_line(r"^\[START\]")
        return int(re.search(r"listens on port (\d+)", line).group(1))

    def get(self, path, **kw):
        return request(self.url + path, **kw)

    def post(self, path, body, token=False, **kw):
        headers = {"Authorization": "Bearer " + self.run_entry()["token"]} if token and self.url else {}
        return request(self.url + path, "POST", body, headers, **kw)

    def verdict(self):
        return self.get("/api/v1/verdict").json()

    def status(self):
        return self.get("/api/v1/status").json()

    def is_ready(self):
        if self.popen.poll() is not None:
            self._gone()
        try:
            return self.get("/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def blockers(self):
        return [f for f in self.verdict()["findings"] if f["severity"] == "blocker"]

    def finding(self, code, **match):
        return next((f for f in self.verdict()["findings"]
                     if f["code"] == code and all(f[k] == v for k, v in match.items())), None)

    def wait_ready(self, timeout=15):
        try:
            wait_for(self.is_ready, timeout, "ready")
        except Failure as e:
            raise Failure(f"{self.name}: {e}: {json.dumps(self.blockers())[:1500]}") from None

    def complete(self, prompt, **fields):
        r = self.post("/v1/completions", {"prompt": prompt, **fields}, timeout=60)
        check_equal(r.status, 200, f"completion ({r.body[:300]!r})")
        return r.json()

    def signal(self, signo):
        os.kill(self.pid, signo)

    def kill(self):
        self.killed = True
        agent = agent_of(self)
        self.signal(signal.SIGKILL)
        self.popen.wait()
        wait_for(lambda: agent not in agents(), 3, f"the agent of {self.name} ends with it")

    def stop(self):
        """SIGTERM, and a clean end."""
        if self.popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
                self.signal(signal.SIGTERM)
        return self.finish()

    def finish(self):
        try:
            return self.popen.wait(4 * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            return "killed: it did not end within 4 s of SIGTERM"

    def tail(self, n=15):
        text = [f"--- {self.name} ({'running' if self.popen and self.popen.poll() is None else 'ended'})"]
        for path in (self.out_path, self.err_path):
            if path.exists():
                lines = [line for line in path.read_text(errors="replace").splitlines() if not line.startswith("[STATUS]  ")]
                text += ["  " + line[:400] for line in lines[-n:]]
        return "\n".join(text)


class Box:
    """Models that are split once for all cases, under one owner's key."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.env = base_env(self.dir)
        self.token = run_command(["init", "--advertise", "127.0.0.1:7400"], self.env).out.strip()
        self.splits = {}

    def split(self, model=DEMO_MODEL, n=8):
        key = (str(model), n)
        if key not in self.splits:
            out = self.dir / f"split-{pathlib.Path(model).stem}-{n}"
            r = run_command(["split", model, "--shards", n, "--out", out], self.env, timeout=60)
            check_equal(r.returncode, 0, f"split: {r.err}")
            self.splits[key] = out
        return self.splits[key]


class Swarm:
    """Use as a context manager: everything is cleaned up, and a crash of any process fails the case."""

    def __init__(self, box, model=DEMO_MODEL, n_shards=8):
        self.split = box.split(model, n_shards)
        self.n_shards = len(list(self.split.glob("shard-*.gguf")))
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="shoal-e2e-"))
        self.env = base_env(self.dir)
        os.makedirs(f"{self.dir}/config/shoal", mode=0o700)
        shutil.copy2(box.dir / "config/shoal/owner.key", self.dir / "config/shoal/owner.key")
        self.entry_port = free_port()
        self.token = run_command(["init", "--advertise", f"127.0.0.1:{self.entry_port}"], self.env).out.strip()
        self.processes = []
        self.options = ["--threads", 1, "--ctx", 256, "--slots", 4]

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        faults = self.close()
        if kind is None and faults:
            value = Failure("; ".join(faults))
            value.logs = "\n".join(p.tail() for p in self.processes)
            raise value
        if value is not None and not isinstance(value, Skip):
            value.logs = "\n".join(p.tail() for p in self.processes)
            if faults:
                value.logs += "\n--- at the end: " + "; ".join(faults)
        shutil.rmtree(self.dir, ignore_errors=True)

    def close(self):
        """Ends all; what went wrong with any."""
        faults, ours = [], [agent for agent, parent in agents().items() if parent in [p.pid for p in self.processes]]
        for p in self.processes:
            if p.popen.poll() is None and not p.killed:
                with contextlib.suppress(ProcessLookupError):
                    p.signal(signal.SIGCONT)
                    p.signal(signal.SIGTERM)
        for p in self.processes:
            code = p.finish()
            if not p.killed and code != 0:
                faults.append(f"{p.name} ended with {code}")
            if p.errors() and REPORT.search(p.errors()):
                faults.append(f"{p.name}: {p.errors()[-3000:]}")
        try:
            wait_for(lambda: not set(ours) & agents().keys(), 3, "agents end with their processes")
        except Failure as e:
            faults.append(str(e))
        return faults

    def _add(self, name, role, args, env=None, wrap=()):
        p = Process(self, name, role, args, env or self.env)
        p.wrap = [str(word) for word in wrap]
        self.processes.append(p)
        return p.start()

    def _state(self, name):
        return ["--listen", "127.0.0.1", "--state-dir", self.dir / "state" / name]

    def entry(self, *extra):
        return self._add("entry", "entry", ["bootstrap", "--port", self.entry_port, *self._state("entry"), *extra])

    def files(self, name, files):
        """A shards folder with these files of the split: shard ids or names."""
        folder = self.dir / "shards" / name
        folder.mkdir(parents=True, exist_ok=True)
        for f in files:
            self.give(folder, f)
        return folder

    def file_name(self, f):
        return f if isinstance(f, str) else f"shard-{f}.gguf"

    def give(self, folder, f):
        """Copies a file in as people do: it grows under its final name."""
        shutil.copyfile(self.split / self.file_name(f), pathlib.Path(folder) / self.file_name(f))

    def node(self, name, shards=None, files=(), *extra, fetch=True, manifest=True, env=None, wrap=()):
        """shards: explicit ids; None: a coordinator assigns. files: which are there."""
        folder = self.files(name, [*files, *(["manifest.json"] if manifest else [])])
        args = ["node", "--shards-dir", folder, *self._state(name), *self.options]
        if shards is not None:
            args += ["--shards", ",".join(map(str, shards))] if len(shards) > 1 else ["--shard-id", shards[0]]
        if not fetch:
            args.append("--no-fetch")
        p = self._add(name, "node", [*args, *extra], env, wrap)
        p.folder = folder
        return p

    def nodes(self, n=8, shards=True):
        """n nodes that share the shards evenly, each with its own files."""
        made = []
        for i in range(n):
            ids = list(range(i * self.n_shards // n, (i + 1) * self.n_shards // n))
            made.append(self.node(f"node{i}", ids if shards else None, ids))
        return made

    def serve(self, *extra, name="serve", files=("manifest.json", "tokenizer.gguf"), env=None):
        args = ["serve", "--http", "127.0.0.1:0", "--shards-dir", self.files(name, files), *self._state(name), *self.options]
        return self._add(name, "serve", [*args, *extra], env)

    def client(self, *args, **kw):
        return run_command(args, self.env, **kw)

    def members(self):
        return [p for p in self.processes if p.role in ("node", "serve") and p.popen.poll() is None]
