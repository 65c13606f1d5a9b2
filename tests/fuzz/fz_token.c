/* links: swarm */
/* Any text as a join token: refused with a reason that does not repeat the key, or parts within their bounds
 * that make a token which says the same. */
#include "base/mem.h"
#include "swarm/credentials.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct credentials c, again;
    struct error err = {0};
    char *text = mem_string_n((const char *)data, size);
    if (text[0] == '@' || strcmp(text, "-") == 0) { /* those read files */
        mem_free(text);
        return 0;
    }
    enum status status = credentials_parse_token(&c, text, &err);
    if (status) {
        const char *key = strrchr(text, '/');
        ASSERT(status == STATUS_BAD_USAGE && err.text[0]);
        ASSERT(!key || strlen(key) != 87 || !strstr(err.text, key + 1));
        mem_free(text);
        return 0;
    }
    ASSERT(cluster_name_is_valid(c.cluster) && c.entry_port && c.entry_host[0]);
    char *token = credentials_token(&c);
    status = credentials_parse_token(&again, token, &err);
    ASSERT(status == STATUS_OK && again.entry_port == c.entry_port && strcmp(again.cluster, c.cluster) == 0);
    ASSERT(crypto_equal(&again.swarm_key, &c.swarm_key, sizeof c.swarm_key));
    ASSERT(crypto_equal(&again.owner, &c.owner, sizeof c.owner));
    mem_free(token);
    mem_free(text);
    return 0;
}
