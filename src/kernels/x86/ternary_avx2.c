#include "kernels/x86/ymm/ternary.h" /* at this file's level */
