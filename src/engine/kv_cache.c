#include "engine/kv_cache.h"

#include "base/mem.h"
#include "kernels/kernels.h"

struct kv_cache {
    struct kv_shape shape;
    uint32_t n_tiles, n_tiles_max; /* of one layer */
    void **blocks;                 /* [n_tiles_max]: block i holds tile i of every layer */
    void **tiles;                  /* [n_layers][n_tiles_max], into the blocks */
    uint32_t *have;                /* [n_layers] */
};

static uint32_t n_tiles_for(uint32_t n_positions)
{
    return n_positions / KV_TILE_POSITIONS + (n_positions % KV_TILE_POSITIONS != 0);
}

struct kv_cache *kv_cache_new(const struct kv_shape *shape)
{
    struct kv_cache *cache = mem_new(sizeof *cache);
    ASSERT(shape->n_layers && shape->n_ctx && shape->tile_bytes);
    cache->shape = *shape;
    cache->n_tiles_max = n_tiles_for(shape->n_ctx);
    cache->blocks = mem_array(cache->n_tiles_max, sizeof *cache->blocks);
    cache->tiles = mem_array((size_t)cache->n_tiles_max * shape->n_layers, sizeof *cache->tiles);
    cache->have = mem_array(shape->n_layers, sizeof *cache->have);
    return cache;
}

void kv_cache_free(struct kv_cache *cache)
{
    if (!cache)
        return;
    for (uint32_t i = 0; i < cache->n_tiles; i++)
        mem_free(cache->blocks[i]);
    mem_free(cache->blocks);
    mem_free(cache->tiles);
    mem_free(cache->have);
    mem_free(cache);
}

size_t kv_cache_bytes(const struct kv_cache *cache)
{
    return cache->n_tiles * mem_large_bytes(cache->shape.tile_bytes * cache->shape.n_layers);
}

size_t kv_shape_bytes(const struct kv_shape *shape)
{
    return n_tiles_for(shape->n_ctx) * mem_large_bytes(shape->tile_bytes * shape->n_layers);
}

bool kv_cache_reserve(struct kv_cache *cache, uint32_t n_positions)
{
    const struct kv_shape *shape = &cache->shape;
    uint32_t n_tiles = n_tiles_for(n_positions);
    size_t block_bytes;

    ASSERT(n_tiles <= cache->n_tiles_max);
    if (__builtin_mul_overflow(shape->tile_bytes, (size_t)shape->n_layers, &block_bytes))
        return false;
    for (; cache->n_tiles < n_tiles; cache->n_tiles++) {
        uint8_t *block = mem_try_large(block_bytes);
        if (!block)
            return false;
        cache->blocks[cache->n_tiles] = block;
        for (uint32_t layer = 0; layer < shape->n_layers; layer++)
            cache->tiles[(size_t)layer * cache->n_tiles_max + cache->n_tiles] =
                block + layer * shape->tile_bytes;
    }
    return true;
}

void *const *kv_cache_tiles(const struct kv_cache *cache, uint32_t layer)
{
    return cache->tiles + (size_t)layer * cache->n_tiles_max;
}

uint32_t kv_cache_have(const struct kv_cache *cache, uint32_t layer)
{
    return cache->have[layer];
}

void kv_cache_set_have(struct kv_cache *cache, uint32_t layer, uint32_t n_positions)
{
    ASSERT(n_positions <= cache->n_tiles * KV_TILE_POSITIONS);
    cache->have[layer] = n_positions;
}
