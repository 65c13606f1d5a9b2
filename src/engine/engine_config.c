/* What an engine is asked to be, with its defaults, and the memory that takes. */
#include "engine/engine.h"
#include "engine/forward.h"
#include "kernels/kernels.h"

#include <sched.h>
#include <string.h>

const char *step_result_name(enum step_result result)
{
    static const char *const names[] = {
        [STEP_OK] = "ok",
        [STEP_KV_MISS] = "earlier positions are missing",
        [STEP_NO_LAYERS] = "layers not held",
        [STEP_FULL] = "context full",
        [STEP_NO_SLOT] = "no free sequence slot",
        [STEP_BAD_INPUT] = "bad input",
        [STEP_NO_MEMORY] = "no memory",
        [STEP_CANCELLED] = "cancelled",
    };
    return (unsigned)result < sizeof names / sizeof *names ? names[result] : "unknown";
}

static const char *const kv_type_names[KV_TYPE_COUNT] = {
    [KV_F16] = "f16", [KV_F32] = "f32", [KV_Q8_0] = "q8_0"};

const char *kv_type_name(enum kv_type kv_type)
{
    return kv_type < KV_TYPE_COUNT ? kv_type_names[kv_type] : "unknown";
}

bool kv_type_from_name(enum kv_type *out, const char *name)
{
    for (enum kv_type type = 0; type < KV_TYPE_COUNT; type++)
        if (strcmp(name, kv_type_names[type]) == 0) {
            *out = type;
            return true;
        }
    return false;
}

uint32_t engine_n_threads_default(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

struct engine_config engine_config_with_defaults(const struct engine_config *config)
{
    struct engine_config c = *config;
    c.n_threads = c.n_threads ? c.n_threads : engine_n_threads_default();
    c.n_ctx = c.n_ctx ? c.n_ctx : 4096;
    c.n_slots = c.n_slots ? c.n_slots : 8;
    return c;
}

size_t engine_bytes_needed(const struct engine_config *config, const struct hparams *hparams,
                           uint32_t layer_first, uint32_t layer_end)
{
    struct engine_config c = engine_config_with_defaults(config);
    struct kv_shape shape = forward_kv_shape(hparams, c.kv_type, layer_end - layer_first, c.n_ctx);
    const struct kernels *levels[KERNELS_LEVELS_MAX];
    if (!c.kernels && kernels_select(&c.kernels, NULL)) /* engine_create tells why */
        c.kernels = levels[kernels_levels(levels) - 1];
    return c.n_slots * kv_shape_bytes(&shape) + forward_scratch_bytes_max(&c, hparams);
}
