#include "kernels/simd/attention_body.h" /* at this file's level */
