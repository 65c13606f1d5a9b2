/* rand - reproducible random numbers: xoshiro256** (Blackman, Vigna 2018) seeded through splitmix64.
 * Not for secrets; those come from crypto_random. Owned by the caller. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stdint.h>

struct rng {
    uint64_t state[4];
};

struct rng rng_seeded(uint64_t seed);
uint64_t rng_u64(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t end); /* [0, end), end > 0 */
double rng_unit(struct rng *rng);                  /* [0, 1), 53 bits */
/* One well-mixed number from two: a draw keyed by (seed, position), with no state (splitmix64's finish). */
uint64_t rand_mix(uint64_t a, uint64_t b);

#endif
