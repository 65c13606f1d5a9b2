#include "agent/sandbox.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 // the sanitizers' own machinery needs calls that nothing else does
#else
#define SANITIZED 0
#endif

// Of kernels newer than the headers of Debian 12.
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#define ACCESS_FS_IOCTL_DEV (1ULL << 15)
#define SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define SCOPE_SIGNAL        (1ULL << 1)

namespace agent
{

namespace
{

struct ruleset_attr { // struct landlock_ruleset_attr as of ABI 6
    uint64_t handled_access_fs, handled_access_net, scoped;
};

constexpr uint64_t READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;

uint64_t handled_by(long abi)
{
    uint64_t all = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; // ABI 1
    if (abi >= 2)
        all |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        all |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        all |= ACCESS_FS_IOCTL_DEV;
    return all;
}

bool allow(int ruleset, const char *path, uint64_t access)
{
    landlock_path_beneath_attr rule{};
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return false;
    rule.allowed_access = access;
    long rc = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
    return rc == 0;
}

bool enter_landlock(const std::vector<std::string> &dirs)
{
    long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return false;

    ruleset_attr attr{};
    attr.handled_access_fs = handled_by(abi);
    if (abi >= 6)
        attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
    size_t attr_bytes = abi >= 6 ? sizeof attr : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    int ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attr, attr_bytes, 0));
    if (ruleset < 0)
        return false;

    uint64_t write = READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                     LANDLOCK_ACCESS_FS_MAKE_REG | (abi >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
    for (auto &dir : dirs)
        if (!allow(ruleset, dir.c_str(), write))
            fprintf(stderr, "shoal-agent: folder '%s' cannot be opened; files in it will fail\n", dir.c_str());
    // What the libraries look at: the clock's zone is not among it, names of hosts neither.
    for (const char *path : {"/proc/self", "/proc/stat", "/sys/devices/system/cpu", "/etc/ssl/openssl.cnf"})
        allow(ruleset, path, path[1] == 'e' || path[6] == 's' ? LANDLOCK_ACCESS_FS_READ_FILE : READ);
    for (const char *path : {"/dev/null", "/dev/urandom"})
        allow(ruleset, path, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);

    long rc = syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    if (rc != 0)
        return false;
    int probe = open("/etc/passwd", O_RDONLY | O_CLOEXEC); // believe the kernel only when it refuses
    if (probe >= 0)
        close(probe);
    return probe < 0 && errno == EACCES;
}

// All that glibc, OpenDHT, libtorrent and OpenSSL were seen to need, and what other versions of glibc use for
// the same ends. What is not here fails with ENOSYS, at which glibc falls back to an older call.
const int ALLOWED[] = {
    // memory and threads
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(futex_waitv),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(get_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(membarrier),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    // time, identity, randomness
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(times),
    SCMP_SYS(getrusage),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getppid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    // signals
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    // files (which ones, Landlock decides)
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwritev),
    SCMP_SYS(preadv2),
    SCMP_SYS(pwritev2),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(close),
    SCMP_SYS(lseek),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(lstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(statfs),
    SCMP_SYS(fstatfs),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(sync_file_range),
    SCMP_SYS(fadvise64),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(getdents64),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd),
    SCMP_SYS(fcntl),
    SCMP_SYS(flock),
    SCMP_SYS(dup),
    SCMP_SYS(ioctl),
    // waiting
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(pipe2),
    // sockets (which families, below)
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockopt),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown),
};

bool add_conditional_rules(scmp_filter_ctx filter)
{
    auto ok = [filter](int number, unsigned argument, scmp_compare how, scmp_datum_t a, scmp_datum_t b) {
        scmp_arg_cmp condition{argument, how, a, b};
        return seccomp_rule_add_exact_array(filter, SCMP_ACT_ALLOW, number, 1, &condition) == 0;
    };
    auto is = [ok](int number, unsigned argument, scmp_datum_t value) {
        return ok(number, argument, SCMP_CMP_EQ, value, 0);
    };
    auto has = [ok](int number, unsigned argument, scmp_datum_t mask, scmp_datum_t bits) {
        return ok(number, argument, SCMP_CMP_MASKED_EQ, mask, bits);
    };
    auto self = static_cast<scmp_datum_t>(getpid());
    // Memory never becomes code; new tasks are threads; signals go to ourselves (abort); limits are only read;
    // AF_NETLINK is how libtorrent lists interfaces.
    return has(SCMP_SYS(mmap), 2, PROT_EXEC, 0) && has(SCMP_SYS(mprotect), 2, PROT_EXEC, 0) &&
           has(SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD) && is(SCMP_SYS(tgkill), 0, self) &&
           is(SCMP_SYS(kill), 0, self) && is(SCMP_SYS(prlimit64), 2, 0) &&
           is(SCMP_SYS(prctl), 0, PR_SET_NAME) && is(SCMP_SYS(prctl), 0, PR_GET_SECCOMP) &&
           is(SCMP_SYS(socket), 0, AF_INET) && is(SCMP_SYS(socket), 0, AF_INET6) &&
           is(SCMP_SYS(socket), 0, AF_NETLINK);
}

bool enter_seccomp()
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!filter)
        return false;
    bool ok = add_conditional_rules(filter);
    for (int number : ALLOWED) // numbers that this architecture lacks are negative and skipped
        ok = ok && (number < 0 || seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) == 0);
    ok = ok && seccomp_load(filter) == 0;
    seccomp_release(filter);
    return ok && prctl(PR_GET_SECCOMP) == 2 && socket(AF_UNIX, SOCK_STREAM, 0) < 0;
}

void lower(int what, rlim_t most)
{
    rlimit limit;
    if (getrlimit(static_cast<__rlimit_resource>(what), &limit) != 0)
        return;
    if (limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most)
        limit.rlim_max = most;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(static_cast<__rlimit_resource>(what), &limit);
}

} // namespace

void sandbox_early()
{
    pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0); // it died before we asked
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGINT, SIG_IGN); // the terminal's Ctrl-C is for the parent, which ends us in order
    signal(SIGHUP, SIG_IGN);
    lower(RLIMIT_CORE, 0);
    lower(RLIMIT_NOFILE, 4096);
    if (!SANITIZED)
        lower(RLIMIT_DATA, rlim_t{2} << 30);
}

std::vector<std::string> sandbox_enter(const std::vector<std::string> &dirs)
{
    std::vector<std::string> in_force;

    if (enter_landlock(dirs))
        in_force.push_back("landlock");
    if (!SANITIZED && enter_seccomp())
        in_force.push_back("seccomp");
    return in_force;
}

} // namespace agent
