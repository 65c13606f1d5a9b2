/* simd - the vectors of the level that the including file is compiled for. Internal to kernels. */
#ifndef KERNELS_SIMD_SIMD_H
#define KERNELS_SIMD_SIMD_H

#if defined __AVX512F__
#include "kernels/x86/levels.h"
#include "kernels/x86/simd_avx512.h"
#elif defined __AVX2__
#include "kernels/x86/levels.h"
#include "kernels/x86/simd_avx2.h"
#else
#include "kernels/arm/levels.h"
#include "kernels/arm/simd_math_neon.h"
#endif

#include "kernels/simd/exp_body.h"

#endif
