#include "engine/sampler.h"

#include "base/mem.h"
#include "base/rand.h"
#include "kernels/exact.h"

#include <float.h>
#include <math.h>
#include <string.h>

struct candidate {
    float logit;
    uint32_t token;
};

struct sample_params sample_params_default(void)
{
    return (struct sample_params){.temperature = 0.8F,
                                  .top_k = 40,
                                  .top_p = 0.95F,
                                  .min_p = 0.05F,
                                  .repeat_penalty = 1.0F,
                                  .repeat_last_n = 64};
}

/* --- checks ---------------------------------------------------------------------------------------------- */

static enum status check_range(const char *name, float value, float least, float largest, struct error *err)
{
    if (!isfinite(value))
        return error_set(err, STATUS_BAD_USAGE, "%s is not a finite number", name);
    if (value < least || value > largest)
        return error_set(err, STATUS_BAD_USAGE, "%s is %g; it must be from %g to %g", name, (double)value,
                         (double)least, (double)largest);
    return STATUS_OK;
}

static enum status check_count(const char *name, uint32_t value, uint32_t largest, struct error *err)
{
    if (value > largest)
        return error_set(err, STATUS_LIMIT, "%s is %u; at most %u is allowed", name, value, largest);
    return STATUS_OK;
}

enum status sample_params_check(const struct sample_params *params, struct error *err)
{
    const struct {
        const char *name;
        float value, least, largest;
    } ranges[] = {
        {"temperature", params->temperature, 0.0F, 100.0F},
        {"top_p", params->top_p, 0.0F, 1.0F},
        {"min_p", params->min_p, 0.0F, 1.0F},
        {"repeat_penalty", params->repeat_penalty, 0.01F, 100.0F},
        {"frequency_penalty", params->frequency_penalty, -100.0F, 100.0F},
        {"presence_penalty", params->presence_penalty, -100.0F, 100.0F},
    };
    enum status status = STATUS_OK;

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges && !status; i++)
        status = check_range(ranges[i].name, ranges[i].value, ranges[i].least, ranges[i].largest, err);
    if (!status)
        status = check_count("repeat_last_n", params->repeat_last_n, SAMPLE_HISTORY_MAX, err);
    if (!status)
        status = check_count("the number of log-probabilities", params->n_top, SAMPLE_TOP_MAX, err);
    if (!status)
        status = check_count("the number of biases", params->n_biases, SAMPLE_BIASES_MAX, err);
    for (uint32_t i = 0; i < params->n_biases && !status; i++)
        status = check_range("bias", params->biases[i].bias, -1000.0F, 1000.0F, err);
    return status;
}

/* --- candidates in order: the larger logit first, of equal ones the lower token ----------------------------
 */

static bool is_before(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit == b->logit && a->token < b->token);
}

/* A heap whose root is its last candidate, or with `best_first` its first one. */
static void sift_down(struct candidate *heap, uint32_t n, uint32_t at, bool best_first)
{
    struct candidate moved = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_before(&heap[child + 1], &heap[child]) == best_first)
            child++;
        if (is_before(&heap[child], &moved) != best_first)
            break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static void heap_build(struct candidate *heap, uint32_t n, bool best_first)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(heap, n, i, best_first);
}

/* Turns a heap with its last candidate at the root into an ordered list, first candidate in front. */
static void heap_sort(struct candidate *heap, uint32_t n)
{
    for (uint32_t left = n; left > 1; left--) {
        struct candidate last = heap[0];
        heap[0] = heap[left - 1];
        heap[left - 1] = last;
        sift_down(heap, left - 1, 0, false);
    }
}

/* The k first candidates in order; k <= n_vocab. */
static void select_top(struct candidate *out, uint32_t k, const float *logits, uint32_t n_vocab)
{
    for (uint32_t i = 0; i < k; i++)
        out[i] = (struct candidate){logits[i], i};
    heap_build(out, k, false);
    for (uint32_t i = k; i < n_vocab; i++) /* a later token of equal logit comes after: > suffices */
        if (logits[i] > out[0].logit) {
            out[0] = (struct candidate){logits[i], i};
            sift_down(out, k, 0, false);
        }
    heap_sort(out, k);
}

/* --- probabilities -----------------------------------------------------------------------------------------
 */

static uint32_t likeliest(const float *logits, uint32_t n_vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n_vocab; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}

/* log(sum(exp(logit))) by sixteen sums in a fixed order, so that the compiler may work on them side by side. */
static double log_sum(const float *logits, uint32_t n_vocab)
{
    float largest = logits[likeliest(logits, n_vocab)];
    double sums[16] = {0}, total = 0;

    for (uint32_t i = 0; i < n_vocab; i++)
        sums[i % 16] += (double)exact_exp(logits[i] - largest);
    for (int i = 0; i < 16; i++)
        total += sums[i];
    return (double)largest + (double)exact_log((float)total);
}

void sampler_top(const float *logits, uint32_t n_vocab, uint32_t n, uint32_t *tokens, float *log_probabilities)
{
    struct candidate few[SAMPLE_TOP_MAX];
    struct candidate *top = n <= SAMPLE_TOP_MAX ? few : mem_array(n, sizeof *top);
    double whole = log_sum(logits, n_vocab);

    ASSERT(n > 0 && n <= n_vocab);
    select_top(top, n, logits, n_vocab);
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = top[i].token;
        log_probabilities[i] = (float)((double)top[i].logit - whole);
    }
    if (top != few)
        mem_free(top);
}

/* --- the draw ----------------------------------------------------------------------------------------------
 */

struct scratch {
    float *logits;    /* [n_vocab] after biases and penalties */
    uint32_t *counts; /* [n_vocab] of recent tokens */
    struct candidate *candidates;
};

size_t sampler_scratch_bytes(uint32_t n_vocab)
{
    return (size_t)n_vocab * (sizeof(float) + sizeof(uint32_t) + sizeof(struct candidate));
}

static struct scratch scratch_in(void *memory, uint32_t n_vocab)
{
    struct scratch scratch = {.candidates = memory};
    scratch.logits = (float *)(void *)(scratch.candidates + n_vocab);
    scratch.counts = (uint32_t *)(void *)(scratch.logits + n_vocab);
    return scratch;
}

static void apply_penalties(struct scratch *s, const struct sample_params *p, uint32_t n_vocab,
                            const uint32_t *history, uint32_t n_history)
{
    uint32_t n = n_history < p->repeat_last_n ? n_history : p->repeat_last_n;

    if (!n || (p->repeat_penalty == 1.0F && p->frequency_penalty == 0.0F && p->presence_penalty == 0.0F))
        return;
    history += n_history - n;
    memset(s->counts, 0, n_vocab * sizeof *s->counts);
    for (uint32_t i = 0; i < n; i++)
        if (history[i] < n_vocab)
            s->counts[history[i]]++;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t token = history[i];
        if (token >= n_vocab || !s->counts[token])
            continue;
        float logit = s->logits[token];
        logit = logit > 0.0F ? logit / p->repeat_penalty : logit * p->repeat_penalty;
        logit -= (float)s->counts[token] * p->frequency_penalty;
        s->logits[token] = logit - p->presence_penalty;
        s->counts[token] = 0; /* each token once */
    }
}

/* A copy with no NaN and no infinity left, so that the order of candidates is a total one. */
static void prepare(struct scratch *s, const struct sample_params *p, const float *logits, uint32_t n_vocab,
                    const uint32_t *history, uint32_t n_history)
{
    memcpy(s->logits, logits, n_vocab * sizeof *logits);
    for (uint32_t i = 0; i < p->n_biases; i++)
        if (p->biases[i].token < n_vocab)
            s->logits[p->biases[i].token] += p->biases[i].bias;
    apply_penalties(s, p, n_vocab, history, n_history);
    for (uint32_t i = 0; i < n_vocab; i++) {
        float logit = s->logits[i];
        s->logits[i] = logit >= FLT_MAX ? FLT_MAX : logit >= -FLT_MAX ? logit : -FLT_MAX;
    }
}

/* top_p over candidates whose heap has the best at its root: keeps taking until the mass is reached. The
 * taken ones end up, in order, at the end of the array; returns their number. */
static uint32_t take_mass(struct candidate *heap, uint32_t n, float top_p, float min_p)
{
    float largest = heap[0].logit;
    double whole = 0, mass = 0;
    uint32_t taken = 0;

    for (uint32_t i = 0; i < n; i++)
        whole += (double)exact_exp(heap[i].logit - largest);
    while (taken < n) {
        struct candidate best = heap[0];
        float weight = exact_exp(best.logit - largest);
        if (taken && weight < min_p)
            break;
        uint32_t last = n - 1 - taken++;
        heap[0] = heap[last];
        sift_down(heap, last, 0, true);
        heap[last] = best;
        mass += (double)weight;
        if (mass >= (double)top_p * whole)
            break;
    }
    for (uint32_t i = 0; i < taken; i++) /* to the front; both orders are the same list */
        if (i < n - 1 - i) {
            struct candidate front = heap[i];
            heap[i] = heap[n - 1 - i];
            heap[n - 1 - i] = front;
        }
    return taken;
}

/* The candidates that top_k, top_p and min_p leave, likeliest first; at least one. */
static uint32_t choose_candidates(struct candidate *out, const struct sample_params *p, const float *logits,
                                  uint32_t n_vocab)
{
    uint32_t n = p->top_k && p->top_k < n_vocab ? p->top_k : n_vocab;

    if (n < n_vocab) {
        select_top(out, n, logits, n_vocab);
    } else {
        for (uint32_t i = 0; i < n; i++)
            out[i] = (struct candidate){logits[i], i};
        if (p->top_p >= 1.0F && p->min_p <= 0.0F)
            return n; /* nothing is left out: their order does not matter, but must be fixed */
        heap_build(out, n, true);
    }
    return take_mass(out, n, p->top_p, p->min_p);
}

static uint32_t draw(const struct candidate *candidates, uint32_t n, float temperature, uint64_t random)
{
    float largest = candidates[0].logit;
    double whole = 0, mass = 0;

    for (uint32_t i = 1; i < n; i++)
        if (candidates[i].logit > largest)
            largest = candidates[i].logit;
    for (uint32_t i = 0; i < n; i++)
        whole += (double)exact_exp((candidates[i].logit - largest) / temperature);
    double target = (double)(random >> 11) * 0x1p-53 * whole;
    for (uint32_t i = 0; i < n; i++) {
        mass += (double)exact_exp((candidates[i].logit - largest) / temperature);
        if (mass > target)
            return candidates[i].token;
    }
    return candidates[0].token; /* only where rounding ate the last one */
}

void sampler_draw(struct sampled *out, const struct sample_params *params, const float *logits,
                  uint32_t n_vocab, uint32_t position, const uint32_t *history, uint32_t n_history,
                  void *scratch)
{
    struct scratch s = scratch_in(scratch, n_vocab);
    uint32_t token;

    prepare(&s, params, logits, n_vocab, history, n_history);
    if (params->temperature <= 0.0F) {
        token = likeliest(s.logits, n_vocab);
    } else {
        uint32_t n = choose_candidates(s.candidates, params, s.logits, n_vocab);
        token = draw(s.candidates, n, params->temperature, rand_mix(params->seed, position));
    }
    *out = (struct sampled){.token = token, .n_top = params->n_top < n_vocab ? params->n_top : n_vocab};
    out->log_probability = (float)((double)logits[token] - log_sum(logits, n_vocab));
    if (out->n_top)
        sampler_top(logits, n_vocab, out->n_top, out->top_tokens, out->top_log_probabilities);
}
