/* exact_private - the numbers of exact_exp, for its vector versions. */
#ifndef KERNELS_EXACT_PRIVATE_H
#define KERNELS_EXACT_PRIVATE_H

#define EXP_LEAST    (-104.0F) /* gives 0 */
#define EXP_MOST     89.0F     /* gives infinity */
#define EXP_LOG2E    0x1.715476p0F
#define EXP_ROUND    0x1.8p23F /* adding it rounds to a whole number, nearest-even */
#define EXP_LN2_HIGH 0x1.62e4p-1F
#define EXP_LN2_LOW  0x1.7f7d1cp-20F
#define EXP_C1       5.0000001201e-1F
#define EXP_C2       1.6666665459e-1F
#define EXP_C3       4.1665795894e-2F
#define EXP_C4       8.3334519073e-3F
#define EXP_C5       1.3981999507e-3F
#define EXP_C6       1.9875691500e-4F

#endif
