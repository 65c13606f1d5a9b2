/* dots - dot products of codes with activations, at this file's level. Included by matmul.h only. */
#ifndef KERNELS_X86_YMM_DOTS_H
#define KERNELS_X86_YMM_DOTS_H

#include "kernels/x86/groups.h"
#include "kernels/x86/ymm/level.h"
#ifdef __AVXVNNI__
#include "kernels/x86/ymm/dots_avxvnni.h"
#else
#include "kernels/x86/ymm/dots_avx2.h"
#endif

#define TILE_TOKENS GROUP_MAX_INT8_AVX2

#endif
