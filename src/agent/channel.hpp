// channel - lines of JSON to and from the parent over one socket, and the small JSON vocabulary of the agent.
//
// Never blocks. A line that is too long is skipped to its end and reported; what the parent does not read is
// held up to OUT_BYTES_MAX, past which the agent ends (the parent is stuck; it starts us again).
// Thread: main.
#pragma once

#include "agent/protocol.h"

#include <cstdint>
#include <functional>
#include <jansson.h>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace agent
{

struct JsonFree {
    void operator()(json_t *value) const { json_decref(value); }
};
using Json = std::unique_ptr<json_t, JsonFree>;

// A command or an argument that cannot be taken. what() names the thing, the value and the remedy.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Fields of a command; each throws Refused when it is absent, of another kind or outside its range.
std::string text_of(const json_t *object, const char *key, size_t bytes_max);
std::string text_or(const json_t *object, const char *key, const char *fallback, size_t bytes_max);
int64_t int_of(const json_t *object, const char *key, int64_t min, int64_t max);
bool bool_of(const json_t *object, const char *key);
uint64_t u64_of(const json_t *object, const char *key); // 16 hex digits
std::vector<uint8_t> hex_of(const json_t *object, const char *key, size_t bytes_min, size_t bytes_max);
std::vector<uint8_t> data_of(const json_t *object, const char *key, size_t bytes_max);

std::string hex_text(const uint8_t *data, size_t n);
std::string u64_text(uint64_t v);
std::string data_text(const uint8_t *data, size_t n);

// An event under construction: Event("value").set("key", ...). Text that is not UTF-8 becomes "?".
class Event
{
  public:
    explicit Event(const char *name);
    Event &set(const char *key, const std::string &text);
    Event &set(const char *key, const char *text) { return set(key, std::string(text)); }
    Event &set(const char *key, int64_t v);
    Event &set(const char *key, uint64_t v) { return set(key, static_cast<int64_t>(v)); }
    Event &set(const char *key, int v) { return set(key, static_cast<int64_t>(v)); }
    Event &set(const char *key, unsigned v) { return set(key, static_cast<int64_t>(v)); }
    Event &set(const char *key, bool v);
    Event &set(const char *key, Json value);
    std::string line() const;

  private:
    Json object_;
};

class Channel
{
  public:
    static constexpr size_t OUT_BYTES_MAX = size_t{32} << 20;

    explicit Channel(int fd) : fd_(fd) {}
    int fd() const { return fd_; }
    bool wants_write() const { return !out_.empty(); }

    void send(const Event &event);
    void error(const char *about, const std::string &text, const std::string &id = "");

    // False when the parent is gone.
    bool read(const std::function<void(const json_t *)> &on_command);
    bool flush();
    // Waits for the first line; null when the parent went away or sent something else.
    Json first_line();

  private:
    bool take(const std::function<void(const json_t *)> &on_command);
    void parse(const std::string &line, const std::function<void(const json_t *)> &on_command);

    int fd_;
    bool skipping_ = false;
    std::string in_, out_;
};

} // namespace agent
