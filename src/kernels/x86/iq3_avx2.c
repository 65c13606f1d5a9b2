#include "kernels/x86/ymm/iq3.h" /* at this file's level */
