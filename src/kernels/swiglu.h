/* swiglu - the limits of gpt-oss's gate, as its authors published them: x = min(gate, 7), y = up within -7 and
 * 7, x / (1 + exp(-1.702 x)) (y + 1). Not in the model's file. Internal to kernels. */
#ifndef KERNELS_SWIGLU_H
#define KERNELS_SWIGLU_H

#define SWIGLU_LIMIT 7.0F
#define SWIGLU_SLOPE 1.702F

#endif
