/* sim_crypto - see sim_crypto.c. */
#ifndef SIM_SIM_CRYPTO_H
#define SIM_SIM_CRYPTO_H

#include "base/crypto.h"
#include "base/rand.h"

void sim_crypto_seed(uint64_t seed);

#endif
