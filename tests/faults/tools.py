"""What faults are made with: bent files, manifests signed anew, links that go through us, a clock that is wrong.
Python's standard library, libsodium (which shoal needs anyway) and the compiler that built shoal."""
import ctypes, ctypes.util, hashlib, json, os, pathlib, select, socket, subprocess, threading, time

from swarm import Skip


# --- files

def truncate(path, part=0.5):
    os.truncate(path, int(os.stat(path).st_size * part))


def flip_bit(path, from_end=1000):
    with open(path, "r+b") as f:
        f.seek(-from_end, os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 4]))


def put(path, data):
    """A whole file at once."""
    part = str(path) + ".tmp"
    with open(part, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    os.rename(part, path)


# --- the manifest, as its owner signs it

def sign(message, secret):
    name = ctypes.util.find_library("sodium")
    if not name:
        raise Skip("libsodium is not found")
    sodium = ctypes.CDLL(name)
    signature = ctypes.create_string_buffer(64)
    sodium.crypto_sign_detached(signature, None, message, ctypes.c_ulonglong(len(message)), secret)
    return signature.raw


def resign(path, config, change):
    """Applies `change` to the manifest and signs it again with the owner's key in this config folder."""
    manifest = json.loads(pathlib.Path(path).read_bytes())
    change(manifest)
    del manifest["signature"]
    secret = bytes.fromhex(json.loads((pathlib.Path(config) / "shoal/owner.key").read_text())["secret"])
    manifest["owner"] = secret[32:].hex()
    covered = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    manifest["signature"] = sign(covered, secret).hex()
    put(path, json.dumps(manifest, indent=2, ensure_ascii=False))


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


# --- links through us

class Wire:
    """Listens on `port` of `ip` and passes on to `to`. cut(): connections end and none is let through; freeze():
    bytes wait; slow(s): each byte is so late in each direction."""
    host = "127.0.0.1"  # of `to`

    def __init__(self, to, ip="127.0.0.1", port=0):
        self.to, self.delay_s, self.is_cut, self.is_frozen, self.ended = to, 0, False, False, False
        self.lock = threading.Lock()
        self.listener = socket.create_server((ip, port))
        self.address = "%s:%d" % self.listener.getsockname()
        self.port = self.listener.getsockname()[1]
        self.pairs, self.half_done = [], set()
        self.far = []  # those to whom we pass on
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.ended:
            try:
                a, _ = self.listener.accept()
            except OSError:
                return
            if not self.admits(a):
                a.close()
                continue
            try:
                b = socket.create_connection((self.host, self.to), timeout=2)
            except OSError:
                a.close()
                continue
            for s in (a, b):
                s.settimeout(None)
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs += [a, b]
            self.far.append(b)
            self.joined(a, b)
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self._pass, args=(x, y), daemon=True).start()

    # What a wire that tells its diallers apart does otherwise.

    def admits(self, a):
        return not self.is_cut

    def joined(self, a, b):
        """a: who dialled; b: whom we dialled for it."""

    def left(self, a, b):
        """The pair is no more."""

    def holds(self, a):
        """Whether what comes from here waits."""
        return self.is_frozen

    def delay(self, a):
        return self.delay_s

    def _pass(self, a, b):
        waiting = []
        try:
            while True:
                left = max(0, waiting[0][0] - time.monotonic()) if waiting else 0.5
                if select.select([a], [], [], left)[0] and not self.holds(a):
                    data = a.recv(65536)
                    if not data:
                        break
                    waiting.append((time.monotonic() + self.delay(a), self.filter(data, a in self.far)))
                elif self.holds(a):
                    time.sleep(0.05)
                while waiting and waiting[0][0] <= time.monotonic() and not self.holds(a):
                    b.sendall(waiting.pop(0)[1])
        except (OSError, ValueError):
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._end(a, b)

    def _end(self, a, b):
        """One direction has ended; with the second both sockets go: select() takes no large descriptors."""
        with self.lock:
            if b not in self.half_done:
                self.half_done.add(a)
                return
            self.half_done.discard(b)
            self.pairs = [s for s in self.pairs if s not in (a, b)]
            self.left(a, b)
        a.close()
        b.close()

    def filter(self, data, from_far):
        """What becomes of bytes on their way; for wires that change or count them."""
        return data

    def cut(self):
        self.is_cut = True
        for s in self.pairs:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.pairs = []

    def mend(self):
        self.is_cut = self.is_frozen = False
        self.delay_s = 0

    def close(self):
        self.ended = True
        self.cut()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Talker:
    """A server that is no node: says `greeting` to whoever connects, and ends the connection."""

    def __init__(self, port, greeting=b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"):
        self.listener, self.greeting = socket.create_server(("127.0.0.1", port)), greeting
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            try:
                s.sendall(self.greeting)
                s.close()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


# --- a clock that is wrong

CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
/* The time of day, shifted by CLOCK_SHIFT_S seconds, or by the long in CLOCK_SHIFT_FILE, which may change. */
static volatile const long *in_file;
__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("CLOCK_SHIFT_FILE");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (at != MAP_FAILED)
        in_file = at;
}
int clock_gettime(clockid_t id, struct timespec *out)
{
    long r = syscall(SYS_clock_gettime, id, out);
    const char *shift = getenv("CLOCK_SHIFT_S");
    if (!r && id == CLOCK_REALTIME)
        out->tv_sec += in_file ? *in_file : shift ? atol(shift) : 0;
    return (int)r;
}
time_t time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


def shifted_clock(folder, env, seconds, file=None):
    """An environment in which a process sees the time of day `seconds` later, or as the file's 8 bytes say."""
    source, library = pathlib.Path(folder) / "clock.c", pathlib.Path(folder) / "clock.so"
    if not library.exists():
        source.write_text(CLOCK)
        r = subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1", "-o", library, source], capture_output=True)
        if r.returncode:
            raise Skip("the clock's library does not compile: " + r.stderr.decode()[-200:])
    return {**env, "LD_PRELOAD": str(library), "CLOCK_SHIFT_S": str(seconds), **({"CLOCK_SHIFT_FILE": str(file)} if file else {})}
