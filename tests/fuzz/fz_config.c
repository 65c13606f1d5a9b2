/* links: app */
/* Values of options. First byte: 0 a list of shards, 1 a size, 2 HOST:PORT, 3 a number. What is taken keeps its
 * bounds, and one written in the plain form is read back as itself. */
#include "app/options.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shards(const char *text)
{
    uint32_t *ids = NULL, n = 0;
    struct error err = {0};
    if (shard_list_parse(&ids, &n, text, &err)) {
        ASSERT(!ids && err.status == STATUS_BAD_USAGE && err.text[0]);
        return;
    }
    ASSERT(n >= 1 && n <= OPTIONS_SHARDS_MAX && ids[n - 1] < OPTIONS_SHARDS_MAX);
    for (uint32_t i = 1; i < n; i++)
        ASSERT(ids[i - 1] < ids[i]);
    mem_free(ids);
}

static void check_size(const char *text)
{
    uint64_t v = 0, again = 0;
    char plain[32];
    if (!size_parse(&v, text))
        return;
    ASSERT(v <= (uint64_t)1 << 62);
    snprintf(plain, sizeof plain, "%" PRIu64, v);
    ASSERT(v > (uint64_t)1 << 53 || (size_parse(&again, plain) && again == v));
}

static void check_host(const char *text)
{
    struct host_port h, again;
    char plain[300];
    if (!host_port_parse(&h, text, strlen(text) % 2 ? 7400 : 0))
        return;
    ASSERT(h.port && h.host[0] && memchr(h.host, 0, sizeof h.host) && strlen(h.host) <= strlen(text));
    snprintf(plain, sizeof plain, strchr(h.host, ':') ? "[%s]:%u" : "%s:%u", h.host, h.port);
    if (h.host[0] == '[')
        return;
    bool ok = host_port_parse(&again, plain, 0);
    ASSERT(ok && again.port == h.port && strcmp(again.host, h.host) == 0);
}

static void check_number(const char *text)
{
    uint64_t v = 0;
    const char *digits = text + strspn(text, "0");
    bool ok = number_parse(&v, text, 1000000);
    bool wanted = *text && strspn(text, "0123456789") == strlen(text) && strlen(digits) <= 7 &&
                  (strlen(digits) < 7 || strcmp(digits, "1000000") <= 0);
    ASSERT(ok == wanted && v <= 1000000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(const char *) = {check_shards, check_size, check_host, check_number};
    if (!size)
        return 0;
    char *text = mem_string_n((const char *)data + 1, size - 1);
    checks[data[0] % 4](text);
    mem_free(text);
    return 0;
}
