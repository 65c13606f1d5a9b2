/* level - which of the levels of 256 bit vectors a file of this folder is compiled for. AVX-VNNI is AVX2 and
 * the instructions that multiply and add in one, as machines without AVX-512 have them. */
#ifndef KERNELS_X86_YMM_LEVEL_H
#define KERNELS_X86_YMM_LEVEL_H

#ifdef __AVXVNNI__
#define YMM_LEVEL(name)  name##_avxvnni
#define BYTES_ARE_SIGNED false
#else
#define YMM_LEVEL(name)  name##_avx2
#define BYTES_ARE_SIGNED true /* what codes of eight bits become */
#endif

#endif
