#include "net/fetch.h"

#include "base/mem.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS       5000
#define TOTAL_MS         30000
#define ANSWER_BYTES_MAX ((size_t)64 << 20)

struct transfer {
    CURL *curl;
    struct fetch_answer *answer;
    const struct fetch_request *request;
    bool (*on_bytes)(void *arg, struct bytes bytes); /* NULL: all is kept */
    void *arg;
    bool stopped, too_large, bad_redirect;
    char curl_text[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

void fetch_answer_free(struct fetch_answer *answer)
{
    buffer_free(&answer->body);
    mem_free(answer->content_type);
    answer->content_type = NULL;
}

/* --- callbacks ------------------------------------------------------------------------------------------- */

static size_t take_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->on_bytes && status >= 200 && status < 300) {
        transfer->stopped = !transfer->on_bytes(transfer->arg, bytes_of(data, n));
        return transfer->stopped ? 0 : n;
    }
    buffer_bytes(&transfer->answer->body, data, n);
    transfer->too_large = transfer->answer->body.failed;
    return transfer->too_large ? 0 : n;
}

static size_t take_header(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    static const char retry_after[] = "retry-after:";
    size_t n = size * count;
    if (n > sizeof retry_after && strncasecmp(data, retry_after, sizeof retry_after - 1) == 0) {
        long seconds = strtol(data + sizeof retry_after - 1, NULL, 10);
        transfer->answer->retry_after_s = seconds >= 0 && seconds < 1000000 ? (int)seconds : -1;
    }
    return n;
}

/* --- one request ----------------------------------------------------------------------------------------- */

static struct curl_slist *headers_of(const struct fetch_request *request)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < request->n_headers; i++)
        list = curl_slist_append(list, request->headers[i]);
    if (request->body.data) {
        char *type =
            mem_format("Content-Type: %s", request->content_type ? request->content_type : "application/json");
        list = curl_slist_append(list, type);
        mem_free(type);
    }
    return curl_slist_append(list, "Expect:"); /* no wait for a 100 Continue */
}

static void set_method(CURL *curl, const struct fetch_request *request)
{
    if (request->body.data) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body.data);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
    }
    if (request->method && strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (request->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_options(struct transfer *transfer, struct curl_slist *headers)
{
    CURL *curl = transfer->curl;
    const struct fetch_request *request = transfer->request;
    uint32_t total_ms = request->total_ms ? request->total_ms : transfer->on_bytes ? 0 : TOTAL_MS;
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->curl_text);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* see follow() */
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "shoal/" SHOAL_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(request->connect_ms ? request->connect_ms : CONNECT_MS));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)total_ms);
    if (request->silent_ms) {
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)((request->silent_ms + 999) / 1000));
    }
    set_method(curl, request);
}

/* Scheme, host and port of a URL in one text; NULL where it is none. A block for mem_free. */
static char *origin_of(const char *url)
{
    CURLU *parsed = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *origin = NULL;
    if (!curl_url_set(parsed, CURLUPART_URL, url, 0) && !curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) &&
        !curl_url_get(parsed, CURLUPART_HOST, &host, 0) &&
        !curl_url_get(parsed, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        origin = mem_format("%s://%s:%s", scheme, host, port);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parsed);
    return origin;
}

static enum status explain(const struct transfer *transfer, CURLcode code, const char *origin,
                           struct error *err)
{
    const char *text = *transfer->curl_text ? transfer->curl_text : curl_easy_strerror(code);
    long connected_us = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_CONNECT_TIME_T, &connected_us);
    switch (code) {
    case CURLE_OK:
        return STATUS_OK;
    case CURLE_WRITE_ERROR:
        if (transfer->stopped)
            return error_set(err, STATUS_CANCELLED, "stopped");
        return error_set(err, STATUS_LIMIT, "the answer of %s has more than %zu bytes", origin,
                         transfer->answer->body.max);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return error_set(err, STATUS_BAD_USAGE, "'%s' is no http or https URL", transfer->request->url);
    case CURLE_COULDNT_RESOLVE_HOST:
        return error_set(err, STATUS_NETWORK, "resolving %s: %s", origin, text);
    case CURLE_COULDNT_CONNECT:
        return error_set(err, STATUS_NETWORK, "connecting to %s: %s", origin, text);
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, STATUS_TIMEOUT, "%s %s: %s", connected_us ? "waiting for" : "connecting to",
                         origin, text);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        return error_set(err, STATUS_NETWORK, "TLS with %s: %s", origin, text);
    default:
        return error_set(err, STATUS_NETWORK, "talking to %s: %s", origin, text);
    }
}

static void take_facts(struct transfer *transfer)
{
    long status = 0;
    curl_off_t length = -1;
    const char *type = NULL;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(transfer->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(transfer->curl, CURLINFO_CONTENT_TYPE, &type);
    transfer->answer->status = (int)status;
    transfer->answer->total_bytes = length;
    mem_free(transfer->answer->content_type);
    transfer->answer->content_type = type ? mem_string(type) : NULL;
}

/* The next URL after a redirect that we follow (same scheme, host and port, so a key never leaves them);
 * NULL: the answer is final. A block for mem_free. */
static char *follow(struct transfer *transfer, const char *origin, uint32_t n_followed)
{
    const char *to = NULL;
    curl_easy_getinfo(transfer->curl, CURLINFO_REDIRECT_URL, &to);
    if (!to || n_followed >= transfer->request->redirects_max)
        return NULL;
    char *its_origin = origin_of(to);
    bool same = its_origin && strcmp(its_origin, origin) == 0;
    mem_free(its_origin);
    return same ? mem_string(to) : NULL;
}

static enum status perform(struct transfer *transfer, struct error *err)
{
    const struct fetch_request *request = transfer->request;
    char *origin = origin_of(request->url), *url = mem_string(request->url);
    if (!origin) {
        mem_free(url);
        return error_set(err, STATUS_BAD_USAGE, "'%s' is no http or https URL", request->url);
    }
    struct curl_slist *headers = headers_of(request);
    enum status status = STATUS_OK;
    set_options(transfer, headers);
    for (uint32_t n_followed = 0; url && !status; n_followed++) {
        buffer_clear(&transfer->answer->body);
        curl_easy_setopt(transfer->curl, CURLOPT_URL, url);
        status = explain(transfer, curl_easy_perform(transfer->curl), origin, err);
        take_facts(transfer);
        mem_free(url);
        url = status ? NULL : follow(transfer, origin, n_followed);
    }
    mem_free(url);
    mem_free(origin);
    curl_slist_free_all(headers);
    return status;
}

enum status fetch_stream(struct fetch_answer *out, const struct fetch_request *request,
                         bool (*on_bytes)(void *arg, struct bytes bytes), void *arg, struct error *err)
{
    pthread_once(&once, start_curl);
    *out = (struct fetch_answer){.retry_after_s = -1, .total_bytes = -1};
    buffer_init(&out->body, request->answer_bytes_max ? request->answer_bytes_max : ANSWER_BYTES_MAX);
    struct transfer transfer = {
        .curl = curl_easy_init(), .answer = out, .request = request, .on_bytes = on_bytes, .arg = arg};
    if (!transfer.curl)
        return error_set(err, STATUS_NO_MEMORY, "libcurl does not start");
    enum status status = perform(&transfer, err);
    curl_easy_cleanup(transfer.curl);
    if (status)
        fetch_answer_free(out);
    return status;
}

enum status fetch_call(struct fetch_answer *out, const struct fetch_request *request, struct error *err)
{
    return fetch_stream(out, request, NULL, NULL, err);
}
