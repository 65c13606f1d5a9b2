#include "kernels/x86/attention_body.h" /* at this file's level */
