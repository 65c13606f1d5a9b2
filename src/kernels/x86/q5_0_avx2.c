#include "kernels/x86/ymm/q5_0.h" /* at this file's level */
