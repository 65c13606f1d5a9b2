// dht - the Kademlia node: OpenDHT's dht::Dht behind a gate that checks a keyed MAC on every datagram.
//
// dht::Dht is driven directly instead of through DhtRunner: one thread, no queue in which a put would wait
// while the first contact is being made, and the gate stands between the socket and the first byte parsed.
// No name is ever resolved. Values are of one type of our own; for one value id the higher sequence wins.
// Everything OpenDHT throws is caught here.
//
// Puts are not OpenDHT's "permanent" ones: those probe for the id and then only refresh what the other side
// holds, so that a newer sequence would never reach it. We put again ourselves: before the value expires, when
// a put was acknowledged by nobody, and when more nodes are known than at the last put.
// Thread: main.
#pragma once

#include "agent/channel.hpp"

#include <chrono>
#include <map>
#include <netinet/in.h>
#include <opendht/dht.h>
#include <set>

namespace agent
{

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

class GateSocket;
struct Parcel; // a value of ours, unpacked

struct DhtConfig {
    std::vector<uint8_t> mac_key; // GATE_KEY_BYTES
    uint32_t network = 0;
    dht::InfoHash node_id;
    std::string bind4, bind6; // "": not this family
    uint16_t port = 0;        // 0: any
    std::chrono::seconds value_ttl{AGENT_VALUE_TTL_S};
};

class DhtNode
{
  public:
    DhtNode(Channel &channel, const DhtConfig &config); // throws Refused: no socket
    ~DhtNode();

    uint16_t port() const;
    std::vector<int> fds() const;
    void on_readable(int fd);
    // Runs what is due; returns when the next thing is.
    Time run(Time now);

    void bootstrap(const json_t *command);
    void announce(const json_t *command);
    void retract(const json_t *command);
    void listen(const json_t *command);
    void unlisten(const json_t *command);
    void get(const json_t *command);
    void network_changed();

  private:
    using Sequences = std::map<dht::Value::Id, uint64_t>;
    using AnnouncementKey = std::pair<dht::InfoHash, dht::Value::Id>;
    struct Entry { // a bootstrap address
        dht::SockAddr address;
        bool answered = false, told = false, waiting = false;
        unsigned n_tries = 0;
        Time next_try{}, waiting_since{};
    };
    struct Announcement {
        std::vector<uint8_t> data;
        uint64_t slot = 0;  // of the id it is put under
        uint64_t round = 0; // of the newest put; answers to older ones are ignored
        bool waiting = false, told = false, told_ok = false;
        int told_acked = 0;
        unsigned n_failures = 0, n_nodes_at_put = 0;
        Time next_put{}, started{}, last_put{};
    };
    struct Listen {
        size_t token = 0;
        unsigned n_refreshes = 0;
        Time next_refresh{};
        Sequences seen;
    };
    using Values = std::vector<std::shared_ptr<dht::Value>>;

    dht::ValueType value_type();
    void tell_value(const dht::InfoHash &key, const Parcel &parcel);
    void on_values(const dht::InfoHash &key, const Values &values, bool expired);
    void on_parcel(const dht::InfoHash &key, const Parcel &parcel);
    void on_expired(const dht::InfoHash &key, const Parcel &parcel);
    void put(const AnnouncementKey &at, Announcement &announcement, Time now);
    void on_put(const AnnouncementKey &at, uint64_t round, bool ok,
                const std::vector<std::shared_ptr<dht::Node>> &nodes);
    void tell_announced(const AnnouncementKey &at, Announcement &announcement, bool ok, int n_acked);
    void ask(size_t index, Time now);
    void on_answer(size_t index);
    void tell_entry(Entry &entry, bool answered);
    void refresh(const dht::InfoHash &key, Listen &listen, Time now);
    void on_n_nodes(unsigned n, Time now);
    Time run_listens(Time now);
    Time run_entries(Time now);
    Time run_announcements(Time now);
    void tell_stats(Time now);
    unsigned n_nodes() const;
    void greet(const dht::SockAddr &from, Time now);
    void guarded(const char *what, const std::function<void()> &call);

    Channel &channel_;
    DhtConfig config_;
    GateSocket *socket_ = nullptr; // owned by dht_
    std::unique_ptr<dht::Dht> dht_;
    std::vector<Entry> entries_;
    std::map<AnnouncementKey, Announcement> announcements_;
    std::map<dht::InfoHash, Listen> listens_;
    std::map<dht::InfoHash, Sequences> gets_;
    std::map<dht::SockAddr, Time> greeted_; // by address and port
    unsigned n_nodes_ = 0;
    Time next_stats_{};
    std::string last_stats_;
};

} // namespace agent
