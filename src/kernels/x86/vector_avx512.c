#include "kernels/x86/vector_body.h" /* at this file's level */
