#include "kernels/x86/ymm/q4_k.h" /* at this file's level */
