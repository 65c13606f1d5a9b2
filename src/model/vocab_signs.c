#include "model/vocab.h"

/* GPT-2 gave the 68 bytes that do not print the code points from 256 on, in order of the bytes. */
static bool prints(unsigned byte)
{
    return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

uint32_t vocab_sign_of(uint8_t byte)
{
    if (prints(byte))
        return byte;
    if (byte <= 32)
        return 256U + byte;
    return byte == 173 ? 256U + 67 : 256U + 33 + (byte - 127U);
}

int vocab_byte_of(uint32_t code_point)
{
    if (code_point < 256)
        return prints(code_point) ? (int)code_point : -1;
    uint32_t n = code_point - 256;
    if (n <= 32)
        return (int)n;
    if (n < 67)
        return (int)(n - 33 + 127);
    return n == 67 ? 173 : -1;
}
