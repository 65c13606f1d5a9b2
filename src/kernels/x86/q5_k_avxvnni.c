#include "kernels/x86/ymm/q5_k.h" /* at this file's level */
