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
    struct jv *json;
    if (jv_parse(&json, bytes_of(data, size), NULL, &err))
        return 0;
    if (!probe_from_json(&result, json, &err)) {
        probe_judge(&result, manifest);
        ASSERT(!result.right && result.wrong_stage < (int32_t)result.plan.n_stages);
        struct jv *again = probe_to_json(&result);
        ASSERT(probe_from_json(&result, again, &err) == STATUS_OK);
        jv_free(again);
    }
    jv_free(json);
    return 0;
}
