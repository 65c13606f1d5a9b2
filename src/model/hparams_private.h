/* hparams_private - how keys are read, and what each architecture reads beyond the common ones. Internal to
 * model: hparams.c has the readers, hparams_arch.c the architectures. */
#ifndef MODEL_HPARAMS_PRIVATE_H
#define MODEL_HPARAMS_PRIVATE_H

#include "model/hparams.h"

struct hparams_source {
    const struct gguf *gguf;
    const char *arch;
    char key[96]; /* the one being read, for messages */
    struct error *err;
};

/* "ARCH.name", kept in source->key. */
const char *hparams_key(struct hparams_source *source, const char *name);
bool hparams_has(struct hparams_source *source, const char *name);
/* Of the key last read. */
enum status hparams_unsupported(const struct hparams_source *source, const char *what);
enum status hparams_missing(const struct hparams_source *source);

enum status hparams_u32(struct hparams_source *source, const char *name, uint32_t min, uint32_t max,
                        uint32_t *out);
enum status hparams_u32_or(struct hparams_source *source, const char *name, uint32_t fallback, uint32_t min,
                           uint32_t max, uint32_t *out);
enum status hparams_f32_or(struct hparams_source *source, const char *name, float fallback, float min,
                           float max, float *out);

/* What the architecture has of its own, on top of the common keys that `h` holds already. */
enum status hparams_read_arch(struct hparams_source *source, struct hparams *h);

#endif
