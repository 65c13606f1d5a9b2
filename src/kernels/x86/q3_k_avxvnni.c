#include "kernels/x86/ymm/q3_k.h" /* at this file's level */
