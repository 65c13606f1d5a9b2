#include "net/http_parse.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

static int refuse(const char **why, int status, const char *text)
{
    *why = text;
    return status;
}

static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (!is_token_char(text.data[i]))
            return false;
    return text.size > 0;
}

static bool is_word(struct bytes text, const char *word)
{
    return text.size == strlen(word) && strncasecmp((const char *)text.data, word, text.size) == 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* --- where a head ends ----------------------------------------------------------------------------------- */

int http_scan_head(struct bytes in, size_t *scanned, size_t *out_bytes, size_t bytes_max, const char **why)
{
    if (in.size && !is_token_char(in.data[0]))
        return refuse(why, 400, "this is no HTTP request");
    for (size_t i = *scanned; i < in.size; i++) {
        uint8_t c = in.data[i];
        bool after_cr = i > 0 && in.data[i - 1] == '\r';
        if (i >= bytes_max)
            return memchr(in.data, '\n', bytes_max) ? refuse(why, 431, "the headers are too large")
                                                    : refuse(why, 414, "the request line is too long");
        if (c == '\0')
            return refuse(why, 400, "a NUL in the head");
        if ((c == '\n') != after_cr)
            return refuse(why, 400, "a line must end with CR LF, and neither may stand alone");
        if (c == '\n' && i >= 3 && in.data[i - 2] == '\n') {
            *out_bytes = i + 1;
            return HTTP_DONE;
        }
        *scanned = i + 1;
    }
    return HTTP_MORE;
}

/* --- the request line ------------------------------------------------------------------------------------ */

static bool split_at(struct bytes *first, struct bytes *rest, uint8_t separator)
{
    const uint8_t *at = rest->size ? memchr(rest->data, separator, rest->size) : NULL;
    if (!at)
        return false;
    *first = bytes_of(rest->data, (size_t)(at - rest->data));
    *rest = bytes_of(at + 1, rest->size - first->size - 1);
    return true;
}

static int parse_request_line(struct http_head *out, struct bytes line, const char **why)
{
    struct bytes version = line;
    if (!split_at(&out->method, &version, ' ') || !split_at(&out->target, &version, ' '))
        return refuse(why, 400, "the request line is not METHOD TARGET VERSION");
    if (!is_token(out->method) || out->method.size > 32)
        return refuse(why, 400, "the method is no token");
    if (out->target.size > HTTP_TARGET_BYTES_MAX)
        return refuse(why, 414, "the request target is too long");
    for (size_t i = 0; i < out->target.size; i++)
        if (out->target.data[i] <= ' ' || out->target.data[i] >= 0x7f ||
            strchr("\"<>\\^`{|}#", out->target.data[i]))
            return refuse(why, 400, "the request target has a letter that must be percent-encoded");
    if (out->target.size == 0 || out->target.data[0] != '/')
        return refuse(why, 400, "the request target must begin with '/'");
    out->keep_alive = bytes_equal(version, bytes_of_text("HTTP/1.1"));
    out->is_http_10 = bytes_equal(version, bytes_of_text("HTTP/1.0"));
    if (!out->keep_alive && !out->is_http_10)
        return refuse(why, 400, "the version must be HTTP/1.1 or HTTP/1.0");
    return HTTP_DONE;
}

/* --- fields ---------------------------------------------------------------------------------------------- */

static struct bytes without_blanks(struct bytes text)
{
    while (text.size && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = bytes_of(text.data + 1, text.size - 1);
    while (text.size && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static int parse_field(struct http_field *out, struct bytes line, const char **why)
{
    struct bytes value = line;
    if (!split_at(&out->name, &value, ':'))
        return refuse(why, 400, "a header without ':'");
    if (!is_token(out->name)) /* also a folded line, and a blank before the colon */
        return refuse(why, 400, "a header's name is no token");
    for (size_t i = 0; i < value.size; i++)
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
            return refuse(why, 400, "a control character in a header's value");
    out->value = without_blanks(value);
    return HTTP_DONE;
}

const struct http_field *http_head_field(const struct http_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_fields; i++)
        if (is_word(head->fields[i].name, name))
            return &head->fields[i];
    return NULL;
}

static size_t count_field(const struct http_head *head, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < head->n_fields; i++)
        n += is_word(head->fields[i].name, name);
    return n;
}

/* --- framing --------------------------------------------------------------------------------------------- */

static int parse_length(struct http_head *head, struct bytes text, size_t body_bytes_max, const char **why)
{
    if (text.size == 0)
        return refuse(why, 400, "an empty Content-Length");
    uint64_t length = 0;
    bool too_large = false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return refuse(why, 400, "Content-Length is not a number");
        length = too_large ? length : length * 10 + (uint64_t)(text.data[i] - '0');
        too_large |= length > body_bytes_max;
    }
    head->content_length = length;
    return too_large ? refuse(why, 413, "the body is too large") : HTTP_DONE;
}

static int parse_framing(struct http_head *head, size_t body_bytes_max, const char **why)
{
    const struct http_field *coding = http_head_field(head, "Transfer-Encoding"),
                            *length = http_head_field(head, "Content-Length");
    if (count_field(head, "Content-Length") > 1 || count_field(head, "Transfer-Encoding") > 1)
        return refuse(why, 400, "a framing header twice");
    if (coding && length)
        return refuse(why, 400, "Content-Length and Transfer-Encoding together");
    if (coding && (head->is_http_10 || !is_word(coding->value, "chunked")))
        return refuse(why, 400, "the only Transfer-Encoding is chunked");
    head->chunked = coding;
    return length ? parse_length(head, length->value, body_bytes_max, why) : HTTP_DONE;
}

static int parse_connection(struct http_head *head, const char **why)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (!is_word(head->fields[i].name, "Connection"))
            continue;
        struct bytes rest = head->fields[i].value, word;
        for (bool more = true; more;) {
            more = split_at(&word, &rest, ',');
            word = without_blanks(more ? word : rest);
            if (is_word(word, "close"))
                head->keep_alive = false;
        }
    }
    const struct http_field *expect = http_head_field(head, "Expect");
    if (expect && !is_word(expect->value, "100-continue"))
        return refuse(why, 417, "the only Expect is 100-continue");
    head->expects_continue = expect;
    return HTTP_DONE;
}

int http_parse_head(struct http_head *out, struct bytes in, size_t body_bytes_max, const char **why)
{
    *out = (struct http_head){0};
    *why = "";
    struct bytes rest = in, line;
    bool is_first = true;
    for (;;) {
        if (!split_at(&line, &rest, '\n') || line.size == 0 || line.data[line.size - 1] != '\r')
            return refuse(why, 400, "a line that does not end with CR LF");
        line.size--;
        if (line.size == 0)
            break;
        if (!is_first && out->n_fields == HTTP_FIELDS_MAX)
            return refuse(why, 431, "too many headers");
        int result = is_first ? parse_request_line(out, line, why)
                              : parse_field(&out->fields[out->n_fields++], line, why);
        if (result != HTTP_DONE)
            return result;
        is_first = false;
    }
    if (is_first || rest.size)
        return refuse(why, 400, "this is no HTTP request");
    if (count_field(out, "Host") > 1 || (!out->is_http_10 && !count_field(out, "Host")))
        return refuse(why, 400, "there must be exactly one Host header");
    int result = parse_framing(out, body_bytes_max, why);
    return result == HTTP_DONE ? parse_connection(out, why) : result;
}

/* --- targets --------------------------------------------------------------------------------------------- */

/* Appends the decoded byte; false for a broken escape. `i` moves to its last letter. */
static bool take_letter(struct buffer *out, struct bytes text, size_t *i)
{
    uint8_t c = text.data[*i];
    if (c == '%') {
        int high = *i + 2 < text.size ? hex_digit(text.data[*i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.data[*i + 2]) : -1;
        if (low < 0)
            return false;
        c = (uint8_t)(high * 16 + low);
        *i += 2;
    }
    buffer_u8(out, c);
    return c != '\0';
}

static bool is_encoded_slash(struct bytes text, size_t i)
{
    return text.data[i] == '%' && i + 2 < text.size &&
           ((text.data[i + 1] == '2' && (text.data[i + 2] | 0x20) == 'f') ||
            (text.data[i + 1] == '5' && (text.data[i + 2] | 0x20) == 'c'));
}

static bool has_dot_segment(const char *path)
{
    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        size_t n = strcspn(slash + 1, "/");
        if ((n == 1 && slash[1] == '.') || (n == 2 && slash[1] == '.' && slash[2] == '.'))
            return true;
    }
    return false;
}

bool http_split_target(struct bytes target, char **out_path, char **out_query)
{
    struct bytes query = target, path;
    if (!split_at(&path, &query, '?')) {
        path = target;
        query = (struct bytes){0};
    }
    struct buffer decoded;
    buffer_init(&decoded, HTTP_TARGET_BYTES_MAX);
    bool ok = path.size > 0 && path.data[0] == '/';
    for (size_t i = 0; ok && i < path.size; i++)
        ok = !is_encoded_slash(path, i) && take_letter(&decoded, path, &i);
    ok = ok && utf8_valid_prefix(decoded.data, decoded.size) == decoded.size &&
         !has_dot_segment(buffer_string(&decoded));
    if (ok) {
        *out_path = buffer_take_string(&decoded);
        *out_query = mem_string_n((const char *)query.data, query.size);
    }
    buffer_free(&decoded);
    return ok;
}

char *http_decode_value(struct bytes text)
{
    struct buffer decoded;
    buffer_init(&decoded, HTTP_TARGET_BYTES_MAX);
    bool ok = true;
    for (size_t i = 0; ok && i < text.size; i++) {
        if (text.data[i] == '+')
            buffer_u8(&decoded, ' ');
        else
            ok = take_letter(&decoded, text, &i);
    }
    ok = ok && !decoded.failed &&
         (!decoded.size || utf8_valid_prefix(decoded.data, decoded.size) == decoded.size);
    char *value = ok ? buffer_take_string(&decoded) : NULL;
    buffer_free(&decoded);
    return value;
}

/* --- chunks ---------------------------------------------------------------------------------------------- */

/* A whole line, without its end. MORE while it may still come. */
static int take_line(struct bytes *line, struct bytes in, size_t *used, size_t bytes_max, const char **why)
{
    const uint8_t *end = in.size ? memchr(in.data, '\n', in.size) : NULL;
    size_t n = end ? (size_t)(end - in.data) : in.size;
    if (n > bytes_max)
        return refuse(why, 400, "a line of the chunked body is too long");
    if (!end)
        return HTTP_MORE;
    if (n == 0 || in.data[n - 1] != '\r' || memchr(in.data, '\r', n - 1))
        return refuse(why, 400, "a line of the chunked body does not end with CR LF");
    *line = bytes_of(in.data, n - 1);
    *used = n + 1;
    return HTTP_DONE;
}

/* 1 to 16 hex digits, then nothing or ';' and an extension, which is ignored. */
static int parse_chunk_size(struct http_chunks *chunks, struct bytes line, size_t room, const char **why)
{
    uint64_t size = 0;
    size_t n = 0;
    for (; n < line.size && hex_digit(line.data[n]) >= 0; n++) {
        if (n == 16)
            return refuse(why, 400, "a chunk size of more than 16 digits");
        size = size << 4 | (uint64_t)hex_digit(line.data[n]);
    }
    if (n == 0 || (n < line.size && line.data[n] != ';'))
        return refuse(why, 400, "a chunk size that is no hex number");
    for (size_t i = n; i < line.size; i++)
        if ((line.data[i] < ' ' && line.data[i] != '\t') || line.data[i] == 0x7f)
            return refuse(why, 400, "a control character in a chunk extension");
    if (size > room)
        return refuse(why, 413, "the body is too large");
    chunks->left = size;
    chunks->at = size ? CHUNK_DATA : CHUNK_TRAILER;
    return HTTP_MORE;
}

static int take_chunk_line(struct http_chunks *chunks, size_t room, struct bytes in, size_t *used,
                           const char **why)
{
    struct bytes line = {0};
    struct http_field field;
    size_t line_max = chunks->at == CHUNK_TRAILER ? HTTP_TRAILER_MAX : HTTP_CHUNK_LINE_MAX;
    int result = take_line(&line, in, used, line_max, why);
    if (result != HTTP_DONE)
        return result;
    if (chunks->at == CHUNK_SIZE)
        return parse_chunk_size(chunks, line, room, why);
    if (chunks->at == CHUNK_DATA_END) {
        chunks->at = CHUNK_SIZE;
        return line.size ? refuse(why, 400, "a chunk is longer than its size") : HTTP_MORE;
    }
    chunks->trailer_bytes += *used;
    if (line.size == 0)
        return HTTP_DONE;
    if (chunks->trailer_bytes > HTTP_TRAILER_MAX)
        return refuse(why, 431, "the trailers are too large");
    result = parse_field(&field, line, why); /* checked and dropped */
    return result == HTTP_DONE ? HTTP_MORE : result;
}

int http_chunks_take(struct http_chunks *chunks, struct buffer *body, size_t body_bytes_max, struct bytes in,
                     size_t *out_used, const char **why)
{
    *out_used = 0;
    *why = "";
    for (;;) {
        struct bytes rest = bytes_of(in.data + *out_used, in.size - *out_used);
        if (chunks->at == CHUNK_DATA) {
            size_t n = rest.size < chunks->left ? rest.size : (size_t)chunks->left;
            buffer_bytes(body, rest.data, n);
            *out_used += n;
            chunks->left -= n;
            if (chunks->left)
                return HTTP_MORE;
            chunks->at = CHUNK_DATA_END;
            continue;
        }
        size_t used = 0;
        int result = take_chunk_line(chunks, body_bytes_max - body->size, rest, &used, why);
        *out_used += used;
        if (result != HTTP_MORE || !used)
            return result;
    }
}
