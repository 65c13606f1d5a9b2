/* links: node */
/* A probe's result from a peer: it is refused, or judged; without true signatures it is never right. */
#include "base/crypto.h"
#include "base/mem.h"
#include "node/probe.h"

static struct manifest *manifest;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    ASSERT(crypto_start(NULL) == STATUS_OK);
    manifest = manifest_new(2);
    manifest->n_shards = 2;
    manifest->n_layers = 4;
    for (uint32_t i = 0; i < 2; i++)
        manifest->shards[i].span = (struct span){.first_layer = 2 * i, .end_layer = 2 * i + 2};
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct probe_result result;
    struct error err;
    struct buffer again;
    if (probe_decode(&result, bytes_of(data, size), &err))
        return 0;
    probe_judge(&result, manifest);
    ASSERT(!result.right && result.wrong_stage < (int32_t)result.plan.n_stages);
    buffer_init(&again, 0);
    probe_encode(&again, &result);
    ASSERT(again.size <= 65536 && probe_decode(&result, buffer_view(&again), &err) == STATUS_OK);
    buffer_free(&again);
    return 0;
}
