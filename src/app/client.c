#include "app/client.h"

#include "app/run_folder.h"
#include "base/mem.h"
#include "net/fetch.h"

#include <stdio.h>
#include <string.h>

enum status client_find(struct client *out, const char *api, struct error *err)
{
    struct run_entry entry = {0};
    *out = (struct client){0};
    if (api) {
        bool has_scheme = strncmp(api, "http://", 7) == 0 || strncmp(api, "https://", 8) == 0;
        snprintf(out->url, sizeof out->url, "%s%s", has_scheme ? "" : "http://", api);
        size_t n = strlen(out->url);
        if (n && out->url[n - 1] == '/')
            out->url[n - 1] = '\0';
        /* The token of that process, when it is one of this machine's. */
        if (!run_folder_find(&entry, NULL) && strcmp(entry.url, out->url) == 0)
            snprintf(out->token, sizeof out->token, "%s", entry.token);
        return STATUS_OK;
    }
    enum status status = run_folder_find(&entry, err);
    if (status)
        return status;
    snprintf(out->url, sizeof out->url, "%s", entry.url);
    snprintf(out->token, sizeof out->token, "%s", entry.token);
    return STATUS_OK;
}

static void fill_request(struct fetch_request *request, const struct client *client, char *url, size_t url_size,
                         char *authorization, size_t authorization_size, const char **headers, const char *path)
{
    snprintf(url, url_size, "%s%s", client->url, path);
    snprintf(authorization, authorization_size, "Authorization: Bearer %s", client->token);
    headers[0] = authorization;
    *request = (struct fetch_request){.url = url, .headers = headers, .n_headers = client->token[0] ? 1 : 0};
}

/* Texts come from other nodes and go to a terminal: control characters, as JSON writes them, become U+FFFD, so
 * that nobody sends a command to whoever reads. */
static void defuse(struct buffer *json)
{
    uint8_t *at = json->data;
    for (size_t i = 0; i + 1 < json->size; i++) {
        bool is_escape = at[i] == '\\' && at[i + 1] == 'u' && i + 5 < json->size;
        if (is_escape && at[i + 2] == '0' && at[i + 3] == '0' && strchr("0189", at[i + 4]))
            memcpy(at + i + 2, "fffd", 4);
        else if (at[i] == 0xc2 && at[i + 1] >= 0x80 && at[i + 1] < 0xa0)
            memcpy(at + i, "??", 2);
        else if (at[i] == 0x7f)
            at[i] = '?';
        i += at[i] == '\\'; /* what it escapes is no beginning */
    }
}

enum status client_call(const struct client *client, const char *path, const struct jv *body,
                        uint32_t timeout_ms, struct jv **out, int *out_http, struct error *err)
{
    char url[512], authorization[160];
    const char *headers[1];
    struct fetch_request request;
    fill_request(&request, client, url, sizeof url, authorization, sizeof authorization, headers, path);
    char *text = body ? jv_print(body, JV_COMPACT) : NULL;
    if (text)
        request.body = bytes_of_text(text);
    request.total_ms = timeout_ms;
    struct fetch_answer answer;
    enum status status = fetch_call(&answer, &request, err);
    mem_free(text);
    if (status)
        return error_wrap(err, STATUS_NETWORK, "asking %s", client->url);
    defuse(&answer.body);
    struct jv_limits limits = {.bytes_max = (size_t)64 << 20, .values_max = 10000000};
    status = jv_parse(out, buffer_view(&answer.body), &limits, err);
    *out_http = answer.status;
    if (status)
        status = error_wrap(err, STATUS_NETWORK, "the answer of %s (HTTP %d)", url, answer.status);
    fetch_answer_free(&answer);
    return status;
}

const char *client_error_text(const struct jv *answer)
{
    const struct jv *error = jv_get(answer, "error");
    return jv_text(error, jv_get_text(error, "message", "the answer has no error text"));
}

struct stream {
    struct sse_reader reader;
    bool (*on_data)(void *arg, const char *data);
    void *arg;
    bool stopped;
};

static void on_event(void *arg, const char *event, const char *data)
{
    struct stream *stream = arg;
    (void)event;
    if (!stream->stopped)
        stream->stopped = !stream->on_data(stream->arg, data);
}

static bool on_bytes(void *arg, struct bytes bytes)
{
    struct stream *stream = arg;
    return sse_reader_feed(&stream->reader, bytes) == STATUS_OK && !stream->stopped;
}

enum status client_stream(const struct client *client, const char *path, const struct jv *body,
                          bool (*on_data)(void *arg, const char *data), void *arg, struct jv **out_error,
                          int *out_http, struct error *err)
{
    char url[512], authorization[160];
    const char *headers[1];
    struct fetch_request request;
    fill_request(&request, client, url, sizeof url, authorization, sizeof authorization, headers, path);
    char *text = body ? jv_print(body, JV_COMPACT) : NULL;
    if (text)
        request.body = bytes_of_text(text);
    request.silent_ms = 600000; /* a shard may wait long for its source; an answer's first token, too */
    struct stream stream = {.on_data = on_data, .arg = arg};
    struct fetch_answer answer = {0};
    sse_reader_init(&stream.reader, on_event, &stream);
    enum status status = fetch_stream(&answer, &request, on_bytes, &stream, err);
    if (status == STATUS_CANCELLED && stream.stopped)
        status = STATUS_OK;
    *out_http = answer.status;
    *out_error = NULL;
    if (!status && answer.status / 100 != 2)
        (void)jv_parse(out_error, buffer_view(&answer.body), NULL, NULL);
    if (status)
        status = error_wrap(err, STATUS_NETWORK, "asking %s", client->url);
    sse_reader_free(&stream.reader);
    fetch_answer_free(&answer);
    mem_free(text);
    return status;
}

void client_duration(char out[32], double seconds)
{
    if (seconds < 90)
        snprintf(out, 32, "%.*f s", seconds < 10 ? 1 : 0, seconds);
    else if (seconds < 5400)
        snprintf(out, 32, "%.0f min", seconds / 60);
    else
        snprintf(out, 32, "%.1f h", seconds / 3600);
}

void client_size(char out[32], double bytes)
{
    if (bytes >= 1e9)
        snprintf(out, 32, "%.1f GB", bytes / 1e9);
    else if (bytes >= 1e6)
        snprintf(out, 32, "%.1f MB", bytes / 1e6);
    else
        snprintf(out, 32, "%.0f KB", bytes / 1e3);
}
