#include "kernels/kernels_private.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined __x86_64__
#include "kernels/x86/levels.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

/* __builtin_cpu_supports also asks whether the system saves the registers (xgetbv); it has no name for F16C,
 * which needs nothing more from the system than AVX does. */
static bool has_avx2(void)
{
    unsigned a, b, c = 0, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __get_cpuid(1, &a, &b, &c, &d) &&
           (c & bit_F16C);
}

/* Its registers are AVX2's. */
static bool has_avxvnni(void)
{
    unsigned a = 0, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1U << 4;
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

/* The tiles' registers are large, so Linux gives them only to a process that asks
 * (Documentation/arch/x86/xstate.rst); not to one whose threads have small signal stacks. */
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA  18
#define CPUID_AMX           (1U << 22 | 1U << 24 | 1U << 25) /* bf16, tiles, int8 */
static bool has_amx(void)
{
    unsigned a, b, c, d = 0;
    return has_avx512() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & CPUID_AMX) == CPUID_AMX &&
           !syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA);
}
bool x86_is_amd(void)
{
    return __builtin_cpu_is("amd");
}
#elif defined __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>

static bool has_neon(void)
{
    unsigned long has = getauxval(AT_HWCAP);
    return has & HWCAP_ASIMDDP && has & HWCAP_ASIMDHP && has & HWCAP_FPHP; /* what arm/ is compiled for */
}
#endif

static const struct level {
    const char *name;
    bool (*machine_has)(void);           /* NULL: always */
    void (*init)(struct kernels *table); /* on top of ref's */
} level_table[] = {
    /* the best last */
    {"ref", NULL, NULL},
#if defined __x86_64__
    {"avx2", has_avx2, kernels_init_avx2},
    {"avxvnni", has_avxvnni, kernels_init_avxvnni},
    {"avx512", has_avx512, kernels_init_avx512},
    {"amx", has_amx, kernels_init_amx},
#elif defined __aarch64__
    {"neon", has_neon, kernels_init_neon},
#endif
};

static struct kernels tables[KERNELS_LEVELS_MAX]; /* of this machine's levels; written once */
static uint32_t n_tables;
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_init(void)
{
    for (size_t i = 0; i < sizeof level_table / sizeof *level_table; i++) {
        const struct level *level = &level_table[i];
        if (level->machine_has && !level->machine_has())
            continue;
        struct kernels *k = &tables[n_tables++];
        kernels_init_ref(k);
        if (level->init)
            level->init(k);
        k->level = level->name;
    }
}

uint32_t kernels_levels(const struct kernels *out[KERNELS_LEVELS_MAX])
{
    pthread_once(&tables_once, tables_init);
    for (uint32_t i = 0; i < n_tables; i++)
        out[i] = &tables[i];
    return n_tables;
}

enum status kernels_select_level(const struct kernels **out, const char *name, struct error *err)
{
    const struct kernels *have[KERNELS_LEVELS_MAX];
    uint32_t n = kernels_levels(have);
    char names[64] = "";

    for (uint32_t i = 0; i < n; i++) {
        size_t used = strlen(names);
        if (!strcmp(have[i]->level, name)) {
            *out = have[i];
            return STATUS_OK;
        }
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", have[i]->level);
    }
    return error_set(err, STATUS_BAD_USAGE, "this machine has no kernels '%.32s'; it has %s", name, names);
}

enum status kernels_select(const struct kernels **out, struct error *err)
{
    const struct kernels *have[KERNELS_LEVELS_MAX];
    const char *name = getenv("SHOAL_CPU");
    enum status status;

    if (!name || !*name) {
        uint32_t n = kernels_levels(have);
        *out = have[n - 1];
        return STATUS_OK;
    }
    status = kernels_select_level(out, name, err);
    return status ? error_wrap(err, status, "SHOAL_CPU=%.32s", name) : STATUS_OK;
}

void kernels_thread_start(void)
{
#if defined __x86_64__
    _mm_setcsr(0x1F80); /* all exceptions masked; rounding, DAZ and FTZ bits clear */
#elif defined __aarch64__
    __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0));
#endif
}
