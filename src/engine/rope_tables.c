#include "engine/rope_tables.h"

#include "base/mem.h"
#include "kernels/exact.h"
#include "kernels/rope.h"

#include <math.h>

#define FACTOR_LEAST 1e-6F /* one this small would only overflow angles */
#define PI           3.14159265358979323846

static enum status check_factors(const float *factors, uint32_t n_pairs, const char *tensor, struct error *err)
{
    for (uint32_t i = 0; factors && i < n_pairs; i++)
        if (!(factors[i] >= FACTOR_LEAST && factors[i] <= 1 / FACTOR_LEAST))
            return error_set(err, STATUS_BAD_DATA, "%s: factor %u is %g; it must be from %g to %g", tensor, i,
                             (double)factors[i], (double)FACTOR_LEAST, 1 / (double)FACTOR_LEAST);
    return STATUS_OK;
}

/* The pair that makes `turns` turns in the original context. */
static double pair_of_turns(const struct hparams *hp, float turns)
{
    double turn = (double)hp->rope_ctx_orig / ((double)turns * 2 * PI);
    return (double)hp->n_rot * exact_log_double(turn) / (2 * exact_log_double((double)hp->rope_freq_base));
}

static void slow_all(double *frequencies, const struct hparams *hp)
{
    for (uint32_t i = 0; i < hp->n_rot / 2; i++)
        frequencies[i] /= (double)hp->rope_scale;
}

/* YaRN: pairs before `low` keep their frequency, those behind `high` are slowed down, between them a mix. */
static void slow_some(double *frequencies, const struct hparams *hp)
{
    double low = floor(pair_of_turns(hp, hp->yarn_beta_fast)),
           high = ceil(pair_of_turns(hp, hp->yarn_beta_slow));
    double scale = 1 / (double)hp->rope_scale;

    low = low > 0 ? low : 0;
    high = high < hp->n_rot - 1 ? high : hp->n_rot - 1;
    double width = high - low > 0.001 ? high - low : 0.001;
    for (uint32_t i = 0; i < hp->n_rot / 2; i++) {
        double behind = (i - low) / width;
        behind = behind < 0 ? 0 : behind > 1 ? 1 : behind;
        frequencies[i] *= scale * behind + (1 - behind);
    }
}

static double *make_table(const struct hparams *hp, const float *factors)
{
    double *table = mem_array(hp->n_rot / 2, sizeof *table);

    rope_frequencies(table, hp->n_rot, hp->rope_freq_base, factors);
    if (hp->rope_scaling == ROPE_SCALING_LINEAR)
        slow_all(table, hp);
    else if (hp->rope_scaling == ROPE_SCALING_YARN)
        slow_some(table, hp);
    return table;
}

enum status rope_tables_make(struct rope_tables *out, const struct hparams *hp,
                             const struct rope_factors *factors, struct error *err)
{
    uint32_t n_pairs = hp->n_rot / 2;
    enum status status;

    if ((status = check_factors(factors->all, n_pairs, "rope_freqs.weight", err)) ||
        (status = check_factors(factors->within, n_pairs, "rope_factors_short.weight", err)) ||
        (status = check_factors(factors->beyond, n_pairs, "rope_factors_long.weight", err)))
        return status;
    out->within = make_table(hp, factors->within ? factors->within : factors->all);
    out->beyond = factors->beyond ? make_table(hp, factors->beyond) : out->within;
    out->local = out->within;
    if (hp->rope_freq_base_local > 0) {
        out->local = mem_array(n_pairs, sizeof *out->local);
        rope_frequencies(out->local, hp->n_rot, hp->rope_freq_base_local, NULL);
    }
    out->magnitude = hp->rope_magnitude;
    if (hp->rope_scaling == ROPE_SCALING_YARN)
        out->magnitude *= (float)(1 + 0.1 * exact_log_double((double)hp->rope_scale));
    return STATUS_OK;
}

void rope_tables_free(struct rope_tables *tables)
{
    if (tables->beyond != tables->within)
        mem_free(tables->beyond);
    if (tables->local != tables->within)
        mem_free(tables->local);
    mem_free(tables->within);
    *tables = (struct rope_tables){.within = NULL};
}
