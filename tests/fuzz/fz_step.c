/* links: wire */
/* The messages of inference. First byte: 0 a step, 1 tokens, 2 a failure, 3 forget. What is taken keeps its
 * bounds, views lie inside the input, and what is written again is the same bytes. */
#include "wire/step.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(struct buffer *again, struct bytes in)
{
    ASSERT(bytes_equal(buffer_view(again), in));
    buffer_free(again);
}

static void check_step(struct bytes in, struct buffer *again)
{
    static struct step_message m;
    if (step_decode(&m, in, NULL))
        return;
    ASSERT(m.n_tokens > 0 && m.n_tokens <= STEP_TOKENS_MAX && m.n_embd <= STEP_EMBD_MAX);
    ASSERT(m.plan.n_stages <= STEP_STAGES_MAX && m.stage < m.plan.n_stages);
    ASSERT(m.n_states <= STEP_STAGES_MAX && m.n_hops <= STEP_STAGES_MAX);
    ASSERT(m.sampling.n_biases <= STEP_BIASES_MAX && m.sampling.n_top <= STEP_TOP_MAX);
    ASSERT(m.hidden.size == (size_t)m.n_tokens * m.n_embd * sizeof(float));
    ASSERT(!m.hidden.size || (m.hidden.data >= in.data && m.hidden.data + m.hidden.size == in.data + in.size));
    for (uint32_t i = 0; i < m.plan.n_stages; i++)
        ASSERT(m.plan.stages[i].layer_first == (i ? m.plan.stages[i - 1].layer_end : 0) &&
               m.plan.stages[i].layer_end > m.plan.stages[i].layer_first);
    step_encode(again, &m);
    check_same(again, in);
}

static void check_tokens(struct bytes in, struct buffer *again)
{
    static struct tokens_message m;
    if (tokens_decode(&m, in, NULL))
        return;
    ASSERT(m.n_top <= STEP_TOP_MAX && m.n_states <= STEP_STAGES_MAX && m.n_hops <= STEP_STAGES_MAX);
    tokens_encode(again, &m);
    check_same(again, in);
}

static void check_fail(struct bytes in, struct buffer *again)
{
    struct step_fail_message m, twice;
    if (step_fail_decode(&m, in, NULL))
        return;
    ASSERT(m.failure > 0 && m.failure < STEP_FAIL_END && strcmp(step_failure_name(m.failure), "unknown") != 0);
    ASSERT(memchr(m.text, 0, sizeof m.text));
    ASSERT(utf8_valid_prefix((const uint8_t *)m.text, strlen(m.text)) == strlen(m.text));
    step_fail_encode(again, &m);
    enum status status = step_fail_decode(&twice, buffer_view(again), NULL);
    ASSERT(status == STATUS_OK && strcmp(twice.text, m.text) == 0 && twice.turn == m.turn);
}

static void check_forget(struct bytes in, struct buffer *again)
{
    uint64_t sequences[FORGET_MAX];
    size_t n;
    if (forget_decode(sequences, &n, in, NULL))
        return;
    ASSERT(n <= FORGET_MAX);
    forget_encode(again, sequences, n);
    check_same(again, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(struct bytes, struct buffer *) = {check_step, check_tokens, check_fail,
                                                                    check_forget};
    struct buffer again;
    if (!size)
        return 0;
    buffer_init(&again, 0);
    checks[data[0] % 4](bytes_of(data + 1, size - 1), &again);
    buffer_free(&again);
    return 0;
}
