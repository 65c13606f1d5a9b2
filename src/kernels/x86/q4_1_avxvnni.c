#include "kernels/x86/ymm/q4_1.h" /* at this file's level */
