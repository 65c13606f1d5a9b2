#include "kernels/x86/ymm/q4_0.h" /* at this file's level */
