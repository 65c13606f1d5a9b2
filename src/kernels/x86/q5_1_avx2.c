#include "kernels/x86/ymm/q5_1.h" /* at this file's level */
