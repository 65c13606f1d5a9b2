#include "kernels/x86/ymm/mxfp4.h" /* at this file's level */
