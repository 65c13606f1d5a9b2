/* kv_cache - the keys and values of one sequence for the layers of one part (one file's weights).
 *
 * Tiles of KV_TILE_POSITIONS positions, taken as the sequence grows; a tile's inner layout is the kernels'.
 * Knows nothing of tokens. How many positions are there is counted for each layer, because a step may run
 * through some of the layers only. Owned by its sequence. Thread: the engine's; tiles are filled by workers. */
#ifndef ENGINE_KV_CACHE_H
#define ENGINE_KV_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv_shape {
    uint32_t n_layers;
    uint32_t n_ctx;
    size_t tile_bytes; /* of one layer */
};

struct kv_cache;

struct kv_cache *kv_cache_new(const struct kv_shape *shape); /* takes no tile yet */
void kv_cache_free(struct kv_cache *cache);                  /* NULL is fine */
size_t kv_cache_bytes(const struct kv_cache *cache);         /* taken so far */
/* At most, for n_ctx positions. */
size_t kv_shape_bytes(const struct kv_shape *shape);

/* Room for n_positions (at most n_ctx) in all layers; false when memory is out, nothing is lost then. */
bool kv_cache_reserve(struct kv_cache *cache, uint32_t n_positions);
/* `layer` counts from the part's first. The tiles stay where they are until the cache is freed. */
void *const *kv_cache_tiles(const struct kv_cache *cache, uint32_t layer);

uint32_t kv_cache_have(const struct kv_cache *cache, uint32_t layer);
/* Says that [0, n_positions) of the layer are valid: after they were stored, or to rewind. */
void kv_cache_set_have(struct kv_cache *cache, uint32_t layer, uint32_t n_positions);

#endif
