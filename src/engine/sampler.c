#include "engine/sampler.h"

#include "base/mem.h"
#include "base/rand.h"
#include "kernels/exact.h"
#include "kernels/kernels.h"

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

/* The sum of exp(logit - largest), by the softmax of a copy in `work`: there the largest one is 1 / sum. */
static double weight_sum(const struct kernels *k, const float *logits, uint32_t n_vocab, float *work)
{
    memcpy(work, logits, n_vocab * sizeof *work);
    k->softmax(work, n_vocab);
    return 1.0 / (double)work[likeliest(logits, n_vocab)];
}

static double log_sum(const struct kernels *k, const float *logits, uint32_t n_vocab, float *work)
{
    double sum = weight_sum(k, logits, n_vocab, work);
    return (double)logits[likeliest(logits, n_vocab)] + exact_log_double(sum);
}

static void top_of(const float *logits, uint32_t n_vocab, double whole, uint32_t n, uint32_t *tokens,
                   float *log_probabilities)
{
    struct candidate few[SAMPLE_TOP_MAX];
    struct candidate *top = n <= SAMPLE_TOP_MAX ? few : mem_array(n, sizeof *top);

    select_top(top, n, logits, n_vocab);
    for (uint32_t i = 0; i < n; i++) {
        tokens[i] = top[i].token;
        log_probabilities[i] = (float)((double)top[i].logit - whole);
    }
    if (top != few)
        mem_free(top);
}

void sampler_top(const struct kernels *k, const float *logits, uint32_t n_vocab, uint32_t n, uint32_t *tokens,
                 float *log_probabilities)
{
    float *work = mem_array(n_vocab, sizeof *work);
    ASSERT(n > 0 && n <= n_vocab);
    top_of(logits, n_vocab, log_sum(k, logits, n_vocab, work), n, tokens, log_probabilities);
    mem_free(work);
}

/* --- the draw ----------------------------------------------------------------------------------------------
 */

struct scratch {
    struct candidate *candidates; /* [n_vocab], as the others */
    float *logits;                /* after biases and penalties */
    float *work;
    uint32_t *counts; /* of recent tokens; the same memory as work */
};

size_t sampler_scratch_bytes(uint32_t n_vocab)
{
    return (size_t)n_vocab * (sizeof(struct candidate) + 2 * sizeof(float));
}

static struct scratch scratch_in(void *memory, uint32_t n_vocab)
{
    struct scratch s = {.candidates = memory};
    s.logits = (float *)(void *)(s.candidates + n_vocab);
    s.work = s.logits + n_vocab;
    s.counts = (uint32_t *)(void *)s.work;
    return s;
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

/* Takes the best from a heap until their weights, of `whole`, reach top_p, or the next one's falls below min_p
 * of the best one's. *n_taken of them end up in front, in order. False: neither happened before the end. */
static bool take_mass(struct candidate *heap, uint32_t n, double whole, const struct sample_params *p,
                      uint32_t *n_taken)
{
    float largest = heap[0].logit;
    double mass = 0;
    uint32_t taken = 0;
    bool is_reached = false;

    while (taken < n && !is_reached) {
        struct candidate best = heap[0];
        float weight = exact_exp(best.logit - largest);
        if (taken && weight < p->min_p)
            break;
        uint32_t last = n - 1 - taken++; /* the taken ones gather at the end, the first one last */
        heap[0] = heap[last];
        sift_down(heap, last, 0, true);
        heap[last] = best;
        mass += (double)weight;
        is_reached = p->top_p < 1.0F && mass >= (double)p->top_p * whole;
    }
    is_reached = is_reached || taken < n;
    for (uint32_t i = 0; i < taken && i < n - 1 - i; i++) {
        struct candidate front = heap[i];
        heap[i] = heap[n - 1 - i];
        heap[n - 1 - i] = front;
    }
    *n_taken = taken;
    return is_reached;
}

static uint32_t gather(struct candidate *out, const float *logits, uint32_t n_vocab, float least)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_vocab; i++)
        if (logits[i] >= least)
            out[n++] = (struct candidate){logits[i], i};
    heap_build(out, n, true);
    return n;
}

/* top_p and min_p over the whole vocabulary. Few tokens hold nearly all of the mass: those are tried first. */
static uint32_t choose_from_all(struct scratch *s, const struct kernels *k, const struct sample_params *p,
                                uint32_t n_vocab)
{
    const float few = 1e-3F; /* of the best one's weight */
    float largest = s->logits[likeliest(s->logits, n_vocab)];
    float share = p->min_p > few ? p->min_p : few;
    double whole = weight_sum(k, s->logits, n_vocab, s->work);
    uint32_t n_taken, n = gather(s->candidates, s->logits, n_vocab, largest + exact_log(share) - 0.01F);

    if (!take_mass(s->candidates, n, whole, p, &n_taken) && n < n_vocab && p->min_p < few) {
        n = gather(s->candidates, s->logits, n_vocab, -FLT_MAX);
        take_mass(s->candidates, n, whole, p, &n_taken);
    }
    return n_taken;
}

static uint32_t choose_from_top_k(struct scratch *s, const struct sample_params *p, uint32_t n_vocab)
{
    double whole = 0;
    uint32_t n_taken;

    select_top(s->candidates, p->top_k, s->logits, n_vocab); /* sorted: a heap, too */
    for (uint32_t i = 0; i < p->top_k; i++)
        whole += (double)exact_exp(s->candidates[i].logit - s->candidates[0].logit);
    take_mass(s->candidates, p->top_k, whole, p, &n_taken);
    return n_taken;
}

/* A number in [0, 1) for this position and no other. */
static double unit_at(uint64_t seed, uint32_t position)
{
    return (double)(rand_mix(seed, position) >> 11) * 0x1p-53;
}

/* Candidates are in order, the likeliest first. */
static uint32_t draw(const struct candidate *candidates, uint32_t n, float temperature, double unit)
{
    double whole = 0, mass = 0;

    for (uint32_t i = 0; i < n; i++)
        whole += (double)exact_exp((candidates[i].logit - candidates[0].logit) / temperature);
    for (uint32_t i = 0; i < n; i++) {
        mass += (double)exact_exp((candidates[i].logit - candidates[0].logit) / temperature);
        if (mass > unit * whole)
            return candidates[i].token;
    }
    return candidates[0].token; /* only where rounding ate the last one */
}

/* Nothing is left out: by token id, without an order. */
static uint32_t draw_from_all(struct scratch *s, const struct kernels *k, uint32_t n_vocab, float temperature,
                              double unit)
{
    uint32_t best = likeliest(s->logits, n_vocab);
    double whole = 0, mass = 0;

    for (uint32_t i = 0; i < n_vocab; i++)
        s->work[i] = (s->logits[i] - s->logits[best]) / temperature;
    k->softmax(s->work, n_vocab);
    for (uint32_t i = 0; i < n_vocab; i++)
        whole += (double)s->work[i];
    for (uint32_t i = 0; i < n_vocab; i++) {
        mass += (double)s->work[i];
        if (mass > unit * whole)
            return i;
    }
    return best;
}

static uint32_t choose(struct scratch *s, const struct kernels *k, const struct sample_params *p,
                       uint32_t n_vocab, uint32_t position)
{
    double unit = unit_at(p->seed, position);
    bool has_top_k = p->top_k && p->top_k < n_vocab;

    if (p->temperature <= 0.0F)
        return likeliest(s->logits, n_vocab);
    if (!has_top_k && p->top_p >= 1.0F && p->min_p <= 0.0F)
        return draw_from_all(s, k, n_vocab, p->temperature, unit);
    uint32_t n = has_top_k ? choose_from_top_k(s, p, n_vocab) : choose_from_all(s, k, p, n_vocab);
    return draw(s->candidates, n, p->temperature, unit);
}

void sampler_draw(struct sampled *out, const struct kernels *k, const struct sample_params *params,
                  const float *logits, uint32_t n_vocab, uint32_t position, const uint32_t *history,
                  uint32_t n_history, void *scratch)
{
    struct scratch s = scratch_in(scratch, n_vocab);

    prepare(&s, params, logits, n_vocab, history, n_history);
    uint32_t token = choose(&s, k, params, n_vocab, position);
    double whole = log_sum(k, logits, n_vocab, s.work);
    *out = (struct sampled){.token = token, .n_top = params->n_top < n_vocab ? params->n_top : n_vocab};
    out->log_probability = (float)((double)logits[token] - whole);
    if (out->n_top)
        top_of(logits, n_vocab, whole, out->n_top, out->top_tokens, out->top_log_probabilities);
}
