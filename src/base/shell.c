#include "base/shell.h"

#include "base/bytes.h"
#include "base/mem.h"

#include <string.h>

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=+@%";

char *shell_word(const char *text)
{
    if (*text && !text[strspn(text, plain)])
        return mem_string(text);
    struct buffer out;
    buffer_init(&out, 0);
    buffer_u8(&out, '\'');
    for (const char *c = text; *c; c++)
        if (*c == '\'')
            buffer_text(&out, "'\\''");
        else
            buffer_u8(&out, (uint8_t)*c);
    buffer_u8(&out, '\'');
    return buffer_take_string(&out);
}

char *shell_path(const char *dir, const char *name)
{
    if (!name)
        return shell_word(dir);
    char *path = mem_format("%s/%s", dir, name), *word = shell_word(path);
    mem_free(path);
    return word;
}
