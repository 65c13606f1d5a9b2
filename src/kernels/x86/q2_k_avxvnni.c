#include "kernels/x86/ymm/q2_k.h" /* at this file's level */
