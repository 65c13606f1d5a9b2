#include "sim/sim_model.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define TOKENIZER_BYTES 5000
#define PIECE_BYTES     (64U << 20)

static struct sha256 hash_of(const char *what, uint32_t id)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%s %u", what, id);
    return sha256_of(text, (size_t)n);
}

/* States of n positions after each shard; `states` goes in as the embeddings' and out as the last shard's. */
static void run_shard(uint64_t *states, uint32_t n, uint32_t shard)
{
    uint64_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        kept = fake_keep(kept, states[i]);
        states[i] = fake_state(kept, shard);
    }
}

static struct sha256 hash_states(const uint64_t *states, uint32_t n)
{
    float hidden[MANIFEST_PROBE_TOKENS][FAKE_N_EMBD];
    ASSERT(n <= MANIFEST_PROBE_TOKENS);
    for (uint32_t i = 0; i < n; i++)
        fake_hidden(hidden[i], states[i]);
    return sha256_of(hidden, n * sizeof *hidden);
}

static void fill_probe(struct manifest *m)
{
    uint64_t states[MANIFEST_PROBE_TOKENS];
    m->n_probe_tokens = MANIFEST_PROBE_TOKENS;
    manifest_probe_tokens(m->probe_tokens, FAKE_N_VOCAB);
    for (uint32_t i = 0; i < m->n_probe_tokens; i++)
        states[i] = fake_embed(m->probe_tokens[i]);
    for (uint32_t id = 0; id < m->n_shards; id++) {
        run_shard(states, m->n_probe_tokens, id);
        m->probe_states[id] = hash_states(states, m->n_probe_tokens);
    }
    m->probe_next = fake_token(states[m->n_probe_tokens - 1]);
}

static void fill_shard(struct sim_model *model, uint32_t id, struct rng *rng)
{
    struct manifest *m = model->manifest;
    struct manifest_shard *s = &m->shards[id];
    struct fake_content *content = &model->contents[id];
    *content = (struct fake_content){.sha256 = hash_of("shard", id),
                                     .self_test = hash_of("self-test", id),
                                     .bytes = 20000000 + rng_below(rng, 40000000)};
    content->header =
        (struct shard_file){.bytes = content->bytes,
                            .is_shard = true,
                            .id = id,
                            .count = m->n_shards,
                            .span = {.first_layer = 2 * id, .end_layer = 2 * id + 2, .embedding = id == 0},
                            .fingerprint = m->fingerprint};
    content->header.span.output = id + 1 == m->n_shards;
    s->id = id;
    snprintf(s->file, sizeof s->file, "shard-%u.gguf", id);
    s->bytes = content->bytes;
    s->sha256 = content->sha256;
    s->self_test = content->self_test;
    s->span = content->header.span;
    s->piece_bytes = PIECE_BYTES;
    s->n_pieces = 1;
    s->pieces = mem_array(1, sizeof *s->pieces);
}

void sim_model_init(struct sim_model *model, uint32_t n_shards, struct rng *rng)
{
    struct error err;
    *model = (struct sim_model){.n_shards = n_shards};
    key_pair_new(&model->owner);
    buffer_init(&model->tokenizer, 0);
    for (uint32_t i = 0; i < TOKENIZER_BYTES; i++)
        buffer_u8(&model->tokenizer, (uint8_t)(i * 7));
    struct manifest *m = model->manifest = manifest_new(n_shards);
    snprintf(m->name, sizeof m->name, "simulated");
    snprintf(m->architecture, sizeof m->architecture, "llama");
    m->n_layers = 2 * n_shards;
    m->fingerprint = hash_of("model", n_shards);
    m->arithmetic = 1;
    snprintf(m->tokenizer.file, sizeof m->tokenizer.file, "%s", TOKENIZER_FILE);
    m->tokenizer.bytes = model->tokenizer.size;
    m->tokenizer.sha256 = sha256_of(model->tokenizer.data, model->tokenizer.size);
    for (uint32_t id = 0; id < n_shards; id++)
        fill_shard(model, id, rng);
    fill_probe(m);
    enum status status = manifest_sign(m, &model->owner, &err);
    ASSERT(!status);
}

void sim_model_free(struct sim_model *model)
{
    manifest_free(model->manifest);
    buffer_free(&model->tokenizer);
}

uint32_t sim_model_next(const struct sim_model *model, const uint32_t *tokens, uint32_t n)
{
    uint64_t *states = mem_array(n, sizeof *states);
    for (uint32_t i = 0; i < n; i++)
        states[i] = fake_embed(tokens[i]);
    for (uint32_t id = 0; id < model->n_shards; id++)
        run_shard(states, n, id);
    uint32_t token = fake_token(states[n - 1]);
    mem_free(states);
    return token;
}

struct fake_content sim_model_wrong(const struct sim_model *model, uint32_t id)
{
    struct fake_content content = model->contents[id];
    content.sha256 = hash_of("something else", id);
    return content;
}
