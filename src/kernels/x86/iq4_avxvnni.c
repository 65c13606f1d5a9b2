#include "kernels/x86/ymm/iq4.h" /* at this file's level */
