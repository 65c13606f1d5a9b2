/* simd - the vectors of the level that the including file is compiled for. Internal to kernels. */
#ifndef KERNELS_X86_SIMD_H
#define KERNELS_X86_SIMD_H

#if defined __AVX512F__
#include "kernels/x86/simd_avx512.h"
#else
#include "kernels/x86/simd_avx2.h"
#endif

#endif
