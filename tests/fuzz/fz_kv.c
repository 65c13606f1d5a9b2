/* links: engine */
/* Keys and values of one sequence against the simplest model of them: reserve, write, rewind, in any order.
 * What was written of a position that is there is read again, through tiles that never move. */
#include "base/bytes.h"
#include "engine/kv_cache.h"
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

#define N_CTX    1000
#define LAYERS   3
#define N_TILES  ((N_CTX + KV_TILE_POSITIONS - 1) / KV_TILE_POSITIONS)
#define POSITION 2 /* bytes of one position of one layer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
    uint8_t bytes[LAYERS][N_CTX][POSITION];
    uint32_t have[LAYERS], reserved;
    const void *tiles[LAYERS][N_TILES];
};

static uint8_t *place(const struct kv_cache *cache, uint32_t layer, uint32_t position)
{
    uint8_t *tile = kv_cache_tiles(cache, layer)[position / KV_TILE_POSITIONS];
    return tile + position % KV_TILE_POSITIONS * POSITION;
}

static void check_all(const struct kv_cache *cache, const struct model *m)
{
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        ASSERT(kv_cache_have(cache, layer) == m->have[layer]);
        for (uint32_t i = 0; i < m->have[layer]; i++)
            ASSERT(memcmp(place(cache, layer, i), m->bytes[layer][i], POSITION) == 0);
        for (uint32_t t = 0; t < N_TILES && m->tiles[layer][t]; t++)
            ASSERT(kv_cache_tiles(cache, layer)[t] == m->tiles[layer][t]);
    }
}

static void reserve(struct kv_cache *cache, struct model *m, uint32_t n)
{
    bool ok = kv_cache_reserve(cache, n);
    ASSERT(ok);
    m->reserved = n > m->reserved ? n : m->reserved;
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        for (uint32_t t = 0; t * KV_TILE_POSITIONS < m->reserved; t++)
            m->tiles[layer][t] = kv_cache_tiles(cache, layer)[t];
    ASSERT(kv_cache_bytes(cache) <=
           kv_shape_bytes(&(struct kv_shape){LAYERS, N_CTX, KV_TILE_POSITIONS * POSITION}));
}

/* Writes after what is there, as a step does. */
static void append(struct kv_cache *cache, struct model *m, uint32_t layer, uint32_t n, uint8_t value)
{
    uint32_t end = m->have[layer] + n;
    if (end > m->reserved)
        end = m->reserved;
    for (uint32_t i = m->have[layer]; i < end; i++) {
        memset(place(cache, layer, i), (uint8_t)(value + i), POSITION);
        memset(m->bytes[layer][i], (uint8_t)(value + i), POSITION);
    }
    if (end > m->have[layer])
        m->have[layer] = end;
    kv_cache_set_have(cache, layer, m->have[layer]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct kv_shape shape = {
        .n_layers = LAYERS, .n_ctx = N_CTX, .tile_bytes = KV_TILE_POSITIONS * POSITION};
    static struct model m;
    struct reader r = reader_over(bytes_of(data, size));
    struct kv_cache *cache = kv_cache_new(&shape);
    memset(&m, 0, sizeof m);
    ASSERT(kv_cache_bytes(cache) == 0);
    for (int i = 0; i < 64 && reader_left(&r); i++) {
        uint8_t what = reader_u8(&r);
        uint32_t n = reader_u16(&r), layer = what / 4 % LAYERS;
        if (what % 4 == 0) {
            reserve(cache, &m, n % (N_CTX + 1));
        } else if (what % 4 == 1 && n < m.have[layer]) { /* rewind */
            m.have[layer] = n;
            kv_cache_set_have(cache, layer, n);
        } else {
            append(cache, &m, layer, n % 200, (uint8_t)(n >> 8));
        }
        check_all(cache, &m);
    }
    kv_cache_free(cache);
    return 0;
}
