// shoal-agent - OpenDHT and libtorrent in a process of their own (protocol.h says how to talk to it).
//
// Started by shoal only. Both libraries parse hostile bytes and can be made to crash by one packet; here a
// crash costs a restart of this process and nothing else.
#include "agent/channel.hpp"
#include "agent/dht.hpp"
#include "agent/sandbox.hpp"
#include "agent/torrent.hpp"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <libtorrent/version.hpp>
#include <openssl/rand.h>
#include <poll.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

namespace agent
{

namespace
{

class Agent
{
  public:
    Agent(Channel &channel, const DhtConfig &dht, const TorrentConfig &torrents)
        : channel_(channel), torrents_(channel, torrents), dht_(channel, dht)
    {
    }
    int loop();

  private:
    void command(const json_t *line);
    void run_command(const std::string &name, const json_t *line);
    void tell_ready();

    Channel &channel_;
    Torrents torrents_;
    DhtNode dht_;
    bool ready_told_ = false, stopping_ = false;
};

void Agent::run_command(const std::string &name, const json_t *line)
{
    static const std::map<std::string, void (DhtNode::*)(const json_t *)> for_dht = {
        {AGENT_DO_BOOTSTRAP, &DhtNode::bootstrap}, {AGENT_DO_ANNOUNCE, &DhtNode::announce},
        {AGENT_DO_RETRACT, &DhtNode::retract},     {AGENT_DO_LISTEN, &DhtNode::listen},
        {AGENT_DO_UNLISTEN, &DhtNode::unlisten},   {AGENT_DO_GET, &DhtNode::get},
    };
    static const std::map<std::string, void (Torrents::*)(const json_t *)> for_torrents = {
        {AGENT_DO_TORRENT_ADD, &Torrents::add},       {AGENT_DO_TORRENT_REMOVE, &Torrents::remove},
        {AGENT_DO_TORRENT_PEER, &Torrents::peer},     {AGENT_DO_TORRENT_MEMBERS, &Torrents::members},
        {AGENT_DO_TORRENT_RENAME, &Torrents::rename}, {AGENT_DO_TORRENT_PAUSE, &Torrents::pause},
        {AGENT_DO_TORRENT_RETRY, &Torrents::retry},   {AGENT_DO_LIMITS, &Torrents::limits},
    };
    auto dht = for_dht.find(name);
    auto torrents = for_torrents.find(name);

    if (dht != for_dht.end())
        (dht_.*dht->second)(line);
    else if (torrents != for_torrents.end())
        (torrents_.*torrents->second)(line);
    else if (name == AGENT_DO_NETWORK_CHANGED)
        dht_.network_changed();
    else if (name == AGENT_DO_STOP)
        stopping_ = true;
    else
        throw Refused("unknown command '" + name.substr(0, 64) + "'");
}

void Agent::command(const json_t *line)
{
    std::string name = "?", id;
    try {
        if (const char *text = json_string_value(json_object_get(line, "id")))
            id = std::string(text).substr(0, 64);
        name = text_of(line, AGENT_DO, 64);
        run_command(name, line);
    } catch (const std::exception &e) { // what the libraries throw, too
        channel_.error(name.c_str(), e.what(), id);
    }
}

void Agent::tell_ready()
{
    if (ready_told_ || !torrents_.port())
        return;
    ready_told_ = true;
    channel_.send(Event(AGENT_EVENT_READY)
                      .set("dht_port", static_cast<int>(dht_.port()))
                      .set("torrent_port", static_cast<int>(*torrents_.port())));
}

int Agent::loop()
{
    while (!stopping_) {
        auto now = std::chrono::steady_clock::now();
        auto next = std::min(dht_.run(now), torrents_.run(now));
        tell_ready();

        std::vector<pollfd> fds;
        fds.push_back({channel_.fd(), static_cast<short>(POLLIN | (channel_.wants_write() ? POLLOUT : 0)), 0});
        fds.push_back({torrents_.wake_fd(), POLLIN, 0});
        for (int fd : dht_.fds())
            fds.push_back({fd, POLLIN, 0});
        auto wait = std::chrono::ceil<std::chrono::milliseconds>(next - std::chrono::steady_clock::now());
        if (poll(fds.data(), fds.size(), static_cast<int>(std::max<int64_t>(wait.count(), 0))) < 0)
            continue; // EINTR
        if (fds[1].revents)
            torrents_.on_wake();
        for (size_t i = 2; i < fds.size(); i++)
            if (fds[i].revents)
                dht_.on_readable(fds[i].fd);
        if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
            if (!channel_.read([this](const json_t *line) { command(line); }))
                return 0; // the parent is gone
        if (!channel_.flush())
            return 0;
    }
    channel_.flush();
    return 0;
}

std::vector<std::string> dirs_of(const json_t *start)
{
    std::vector<std::string> dirs;
    const json_t *list = json_object_get(start, "dirs");
    if (!json_is_array(list) || json_array_size(list) > AGENT_DIRS_MAX)
        throw Refused("field 'dirs' must be an array of at most " + std::to_string(AGENT_DIRS_MAX) + " paths");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *path = json_string_value(json_array_get(list, i));
        if (!path || path[0] != '/')
            throw Refused("field 'dirs': every path must be absolute");
        dirs.emplace_back(path);
    }
    return dirs;
}

void read_start(const json_t *start, DhtConfig &dht, TorrentConfig &torrents)
{
    if (text_of(start, AGENT_DO, 64) != AGENT_DO_START)
        throw Refused("the first line must be a start command");
    if (int_of(start, "version", 0, INT32_MAX) != AGENT_PROTOCOL_VERSION)
        throw Refused("this agent speaks version " + std::to_string(AGENT_PROTOCOL_VERSION) +
                      " of the protocol; install shoal and shoal-agent from one build");
    dht.mac_key = hex_of(start, "mac_key", crypto_generichash_KEYBYTES, crypto_generichash_KEYBYTES);
    dht.network = static_cast<uint32_t>(int_of(start, "network", 1, UINT32_MAX));
    auto node_id = hex_of(start, "node_id", AGENT_KEY_BYTES, AGENT_KEY_BYTES);
    dht.node_id = dht::InfoHash(node_id.data(), node_id.size());
    dht.bind4 = torrents.bind4 = text_or(start, "bind4", "", 64);
    dht.bind6 = torrents.bind6 = text_or(start, "bind6", "", 64);
    dht.port = static_cast<uint16_t>(int_of(start, "dht_port", 0, 65535));
    dht.value_ttl = std::chrono::seconds(int_of(start, "value_ttl_s", 5, 86400));
    torrents.port = static_cast<uint16_t>(int_of(start, "torrent_port", 0, 65535));
    torrents.port_fixed = bool_of(start, "torrent_port_fixed");
    torrents.upload_rate = int_of(start, "upload_rate", 0, INT64_MAX);
    torrents.download_rate = int_of(start, "download_rate", 0, INT64_MAX);
    torrents.dirs = dirs_of(start);
}

void tell_hello(Channel &channel, const std::vector<std::string> &in_force)
{
    Json sandbox(json_array());
    for (auto &name : in_force)
        json_array_append_new(sandbox.get(), json_string(name.c_str()));
    channel.send(Event(AGENT_EVENT_HELLO)
                     .set("version", AGENT_PROTOCOL_VERSION)
                     .set("sandbox", std::move(sandbox))
                     .set("opendht", dht::version())
                     .set("libtorrent", lt::version()));
}

int run(Channel &channel)
{
    DhtConfig dht;
    TorrentConfig torrents;
    try {
        Json start = channel.first_line();
        if (!start)
            return 1;
        read_start(start.get(), dht, torrents);
        start.reset();
        // The libraries set themselves up from files now, while they can.
        unsigned char byte;
        RAND_bytes(&byte, 1);
        tell_hello(channel, sandbox_enter(torrents.dirs));
        channel.flush();
        Agent agent(channel, dht, torrents);
        sodium_memzero(dht.mac_key.data(), dht.mac_key.size());
        int rc = agent.loop();
        _exit(rc); // everything written is in the kernel already; libtorrent would wait for its peers
    } catch (const std::exception &e) {
        channel.error(AGENT_DO_START, e.what());
        channel.flush();
        return 1;
    }
}

} // namespace

} // namespace agent

int main(int argc, char **)
{
    struct stat fd;
    if (argc != 1 || fstat(AGENT_FD, &fd) != 0 || !S_ISSOCK(fd.st_mode)) {
        fprintf(stderr, "shoal-agent is started by shoal and is of no use alone; see `shoal help`\n");
        return 2;
    }
    agent::sandbox_early();
    fcntl(AGENT_FD, F_SETFD, FD_CLOEXEC);
    if (sodium_init() < 0)
        return 1;
    agent::Channel channel(AGENT_FD);
    return agent::run(channel);
}
