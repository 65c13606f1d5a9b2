#include "agent/channel.hpp"

#include <cerrno>
#include <climits>
#include <poll.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

namespace agent
{

namespace
{

[[noreturn]] void refuse(const char *key, const std::string &why)
{
    throw Refused(std::string("field '") + key + "': " + why);
}

const json_t *field(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        refuse(key, "is missing");
    return value;
}

} // namespace

std::string text_of(const json_t *object, const char *key, size_t bytes_max)
{
    const json_t *value = field(object, key);
    if (!json_is_string(value))
        refuse(key, "must be text");
    if (json_string_length(value) > bytes_max)
        refuse(key, "has " + std::to_string(json_string_length(value)) + " bytes, the limit is " +
                        std::to_string(bytes_max));
    return std::string(json_string_value(value), json_string_length(value));
}

std::string text_or(const json_t *object, const char *key, const char *fallback, size_t bytes_max)
{
    const json_t *value = json_object_get(object, key);
    return !value || json_is_null(value) ? fallback : text_of(object, key, bytes_max);
}

int64_t int_of(const json_t *object, const char *key, int64_t min, int64_t max)
{
    const json_t *value = field(object, key);
    if (!json_is_integer(value))
        refuse(key, "must be an integer");
    int64_t v = json_integer_value(value);
    if (v < min || v > max)
        refuse(key,
               std::to_string(v) + " is outside [" + std::to_string(min) + ", " + std::to_string(max) + "]");
    return v;
}

bool bool_of(const json_t *object, const char *key)
{
    const json_t *value = field(object, key);
    if (!json_is_boolean(value))
        refuse(key, "must be true or false");
    return json_is_true(value);
}

std::vector<uint8_t> hex_of(const json_t *object, const char *key, size_t bytes_min, size_t bytes_max)
{
    std::string text = text_of(object, key, 2 * bytes_max);
    std::vector<uint8_t> out(text.size() / 2);
    size_t n = 0;
    const char *end = nullptr;
    if (text.size() % 2 ||
        sodium_hex2bin(out.data(), out.size(), text.data(), text.size(), nullptr, &n, &end) ||
        end != text.data() + text.size() || n < bytes_min)
        refuse(key, "must be " + std::to_string(2 * bytes_min) + " to " + std::to_string(2 * bytes_max) +
                        " hex digits");
    return out;
}

uint64_t u64_of(const json_t *object, const char *key)
{
    uint64_t v = 0;
    for (uint8_t byte : hex_of(object, key, 8, 8))
        v = v << 8 | byte;
    return v;
}

std::vector<uint8_t> data_of(const json_t *object, const char *key, size_t bytes_max)
{
    std::string text = text_of(object, key, AGENT_LINE_BYTES_MAX);
    std::vector<uint8_t> out(text.size() * 3 / 4 + 3);
    size_t n = 0;
    const char *end = nullptr;
    if (sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &n, &end,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) ||
        end != text.data() + text.size())
        refuse(key, "is not base64url without padding");
    if (n > bytes_max)
        refuse(key, "has " + std::to_string(n) + " bytes, the limit is " + std::to_string(bytes_max));
    out.resize(n);
    return out;
}

std::string hex_text(const uint8_t *data, size_t n)
{
    std::string out(2 * n + 1, '\0');
    sodium_bin2hex(out.data(), out.size(), data, n);
    out.resize(2 * n);
    return out;
}

std::string u64_text(uint64_t v)
{
    uint8_t bytes[8];
    for (int i = 7; i >= 0; i--, v >>= 8)
        bytes[i] = static_cast<uint8_t>(v);
    return hex_text(bytes, sizeof bytes);
}

std::string data_text(const uint8_t *data, size_t n)
{
    std::string out(sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
    sodium_bin2base64(out.data(), out.size(), data, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    out.resize(out.size() - 1); // its NUL
    return out;
}

Event::Event(const char *name) : object_(json_object())
{
    set(AGENT_EVENT, name);
}

Event &Event::set(const char *key, const std::string &text)
{
    json_t *value = json_stringn(text.data(), text.size());
    json_object_set_new(object_.get(), key, value ? value : json_string("?"));
    return *this;
}

Event &Event::set(const char *key, int64_t v)
{
    json_object_set_new(object_.get(), key, json_integer(v));
    return *this;
}

Event &Event::set(const char *key, bool v)
{
    json_object_set_new(object_.get(), key, json_boolean(v));
    return *this;
}

Event &Event::set(const char *key, Json value)
{
    json_object_set_new(object_.get(), key, value.release());
    return *this;
}

std::string Event::line() const
{
    char *text = json_dumps(object_.get(), JSON_COMPACT);
    std::string out = text ? text : "{}";
    free(text);
    return out + "\n";
}

void Channel::send(const Event &event)
{
    std::string line = event.line();
    if (line.size() > AGENT_LINE_BYTES_MAX)
        return error("event", "an event of " + std::to_string(line.size()) + " bytes was not sent");
    if (out_.size() + line.size() > OUT_BYTES_MAX) {
        fprintf(stderr, "shoal-agent: the parent has not read %zu bytes of events; ending\n", out_.size());
        _exit(1);
    }
    out_ += line;
}

void Channel::error(const char *about, const std::string &text, const std::string &id)
{
    Event event(AGENT_EVENT_ERROR);
    event.set("about", about).set("text", text.substr(0, 1024));
    if (!id.empty())
        event.set("id", id);
    send(event);
}

bool Channel::flush()
{
    while (!out_.empty()) {
        ssize_t n = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        out_.erase(0, static_cast<size_t>(n));
    }
    return true;
}

void Channel::parse(const std::string &line, const std::function<void(const json_t *)> &on_command)
{
    if (line.size() >= AGENT_LINE_BYTES_MAX)
        return error("line", "a line of " + std::to_string(line.size()) + " bytes was skipped: the limit is " +
                                 std::to_string(AGENT_LINE_BYTES_MAX));
    json_error_t why;
    Json value(json_loadb(line.data(), line.size(), JSON_REJECT_DUPLICATES, &why));
    if (!value)
        return error("line", "a line of " + std::to_string(line.size()) + " bytes is not JSON: " + why.text);
    if (!json_is_object(value.get()))
        return error("line", "a line is JSON but not an object");
    on_command(value.get());
}

bool Channel::take(const std::function<void(const json_t *)> &on_command)
{
    size_t start = 0;

    for (size_t end; (end = in_.find('\n', start)) != std::string::npos; start = end + 1) {
        if (skipping_)
            skipping_ = false; // the rest of a line that was too long
        else if (end > start)
            parse(in_.substr(start, end - start), on_command);
    }
    in_.erase(0, start);
    if (in_.size() >= AGENT_LINE_BYTES_MAX) {
        if (!skipping_)
            error("line", "a line is longer than " + std::to_string(AGENT_LINE_BYTES_MAX) + " bytes; skipped");
        skipping_ = true;
    }
    if (skipping_)
        in_.clear();
    return true;
}

bool Channel::read(const std::function<void(const json_t *)> &on_command)
{
    static char chunk[65536];

    for (int round = 0; round < 16; round++) { // then others have their turn
        ssize_t n = ::recv(fd_, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        if (n == 0)
            return false;
        in_.append(chunk, static_cast<size_t>(n));
        take(on_command);
    }
    return true;
}

Json Channel::first_line()
{
    char byte;

    // Byte by byte: what follows the first line stays in the socket for read().
    while (in_.size() < AGENT_LINE_BYTES_MAX) {
        ssize_t n = ::recv(fd_, &byte, 1, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return nullptr;
        if (byte != '\n') {
            in_ += byte;
            continue;
        }
        Json value(json_loadb(in_.data(), in_.size(), JSON_REJECT_DUPLICATES, nullptr));
        sodium_memzero(in_.data(), in_.size()); // it held the key
        in_.clear();
        return value;
    }
    return nullptr;
}

} // namespace agent
