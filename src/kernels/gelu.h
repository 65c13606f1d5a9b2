/* gelu - the tanh form, x / 2 (1 + tanh(sqrt(2/pi) x (1 + 0.044715 x^2))), as llama.cpp's table has it: of x
 * rounded to f16, itself rounded to f16; x from 10 on and 0 up to -10. Models that people run were made and are
 * compared with that, and it moves gemma's log-probabilities by 1e-3. Internal to kernels. */
#ifndef KERNELS_GELU_H
#define KERNELS_GELU_H

#define GELU_ROOT 0.79788456080286536F /* sqrt(2 / pi) */
#define GELU_CUBE 0.044715F
#define GELU_FLAT 10.0F

#endif
