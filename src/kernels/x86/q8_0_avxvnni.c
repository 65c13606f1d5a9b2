#include "kernels/x86/ymm/q8_0.h" /* at this file's level */
