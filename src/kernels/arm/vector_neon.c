#include "kernels/simd/vector_body.h" /* at this file's level */
