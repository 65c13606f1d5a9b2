#include "kernels/x86/ymm/q6_k.h" /* at this file's level */
