/* unroll - loops over arrays that have to be registers. Internal to kernels. */
#ifndef KERNELS_UNROLL_H
#define KERNELS_UNROLL_H

#define ALWAYS_INLINE       inline __attribute__((always_inline))
#define UNROLL_PRAGMA(text) _Pragma(#text)
#if defined __clang__
/* Beside sanitizers some loops stay as they are, which is slow and not wrong. */
#pragma clang diagnostic ignored "-Wpass-failed"
#define UNROLL(n) UNROLL_PRAGMA(unroll)
#elif !defined __OPTIMIZE__
#define UNROLL(n)
#else
#define UNROLL(n) UNROLL_PRAGMA(GCC unroll n)
#endif

#endif
