/* types - which types have panels, and who fills their slots. Internal to kernels. */
#ifndef KERNELS_PANELS_TYPES_H
#define KERNELS_PANELS_TYPES_H

struct kernels;

/* The quantised types: each has, alone or with its family, pack_NAME.c. */
#define PANELS_INT8_TYPES(DO)                                                                                  \
    DO(q8_0)                                                                                                   \
    DO(q4_0)                                                                                                   \
    DO(q4_1)                                                                                                   \
    DO(q5_0)                                                                                                   \
    DO(q5_1)                                                                                                   \
    DO(q2_k)                                                                                                   \
    DO(q3_k)                                                                                                   \
    DO(q4_k)                                                                                                   \
    DO(q5_k)                                                                                                   \
    DO(q6_k)                                                                                                   \
    DO(iq4_nl)                                                                                                 \
    DO(iq4_xs)                                                                                                 \
    DO(mxfp4)                                                                                                  \
    DO(iq3_s)                                                                                                  \
    DO(iq3_xxs)                                                                                                \
    DO(tq1_0)                                                                                                  \
    DO(tq2_0)

/* packed_bytes, pack and row, the same for all levels with panels. */
#define PANELS_INIT(name) void kernels_init_##name##_panels(struct kernels *k);
PANELS_INT8_TYPES(PANELS_INIT)
void kernels_init_float_panels(struct kernels *k);

#endif
