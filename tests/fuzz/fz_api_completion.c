/* links: api */
/* The body of a request for a completion. */
#include "fuzz/api_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_request(bytes_of(data, size), false);
    return 0;
}
