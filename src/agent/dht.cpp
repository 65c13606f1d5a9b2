#include "agent/dht.hpp"

#include "agent/gate_socket.hpp"

namespace agent
{

struct Parcel {
    uint64_t value_id, sequence;
    const uint8_t *data;
    size_t bytes;
};

namespace
{

constexpr uint16_t VALUE_TYPE = 0x5348;

// Only members pass the gate, and many may share one address, so the limits are against accidents.
constexpr ssize_t REQUESTS_PER_S = 16384, REQUESTS_PER_S_AND_ADDRESS = 8192;
constexpr ssize_t SEARCHES_MAX = 8192;
// Ours, in the store policy. OpenDHT's own limit stays out of reach: past it, it looks for the address that
// uses most and runs off the end of its list when there is only one.
constexpr size_t STORE_BYTES_MAX = 16 << 20, VALUES_PER_KEY_MAX = 1024;
constexpr ssize_t STORE_BYTES_UNREACHABLE = ssize_t{1} << 30;

// Where the table is small every new node is among the eight nearest to every key, so it should get the value
// at once; in a larger one the periodic put is enough.
constexpr unsigned NODES_FEW = 24;
constexpr unsigned NODES_GREETED = 64;
constexpr size_t GREETED_MAX = 1024;
constexpr auto ENTRY_SILENT = std::chrono::milliseconds(3000);
constexpr unsigned HOLDERS_MAX = 8, LISTENED_NODES = 4; // OpenDHT's TARGET_NODES, LISTEN_NODES
constexpr int REFRESH_MS = 10000;                       // a listened key is asked for at least so often

constexpr auto ms(int n)
{
    return std::chrono::milliseconds(n);
}

uint64_t u64_at(const uint8_t *data)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | data[i];
    return v;
}

// What a value of ours holds: u64 value id, then what was announced, which begins with its sequence number.
//
// The id that OpenDHT knows it by is derived from the value id and one of VALUE_SLOTS slots. Listeners are told
// of ids that are new to them, but never of a new content under an old id (2.4.12 compares a field that
// unsigned values do not carry), and a get for a key that is listened to is answered from what the listen
// brought. So each newer sequence goes under the next slot, and the old one dies with its time; where all slots
// are in use, the edit policy lets the higher sequence win.
constexpr uint64_t VALUE_SLOTS = 16;

dht::Value::Id slot_id(uint64_t value_id, uint64_t slot)
{
    uint64_t h = value_id; // splitmix64's finish: neighbouring value ids do not share slots
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9;
    h = (h ^ h >> 27) * 0x94d049bb133111eb;
    h ^= h >> 31;
    return h / VALUE_SLOTS * VALUE_SLOTS + slot % VALUE_SLOTS;
}

bool open_parcel(const dht::Value &value, Parcel &out)
{
    if (value.type != VALUE_TYPE || value.data.size() < 8 + AGENT_VALUE_BYTES_MIN ||
        value.data.size() > 8 + AGENT_VALUE_BYTES_MAX || value.owner || !value.user_type.empty())
        return false;
    out = {u64_at(value.data.data()), u64_at(value.data.data() + 8), value.data.data() + 8,
           value.data.size() - 8};
    return out.value_id != dht::Value::INVALID_ID && slot_id(out.value_id, value.id) == value.id;
}

std::shared_ptr<dht::Value> make_parcel(uint64_t value_id, uint64_t slot, const std::vector<uint8_t> &data)
{
    dht::Blob blob(8);
    for (int i = 0; i < 8; i++)
        blob[static_cast<size_t>(i)] = static_cast<uint8_t>(value_id >> (8 * i));
    blob.insert(blob.end(), data.begin(), data.end());
    return std::make_shared<dht::Value>(VALUE_TYPE, std::move(blob), slot_id(value_id, slot));
}

dht::InfoHash key_of(const json_t *command)
{
    auto bytes = hex_of(command, "key", AGENT_KEY_BYTES, AGENT_KEY_BYTES);
    return dht::InfoHash(bytes.data(), bytes.size());
}

std::string key_text(const dht::InfoHash &key)
{
    return hex_text(key.data(), key.size());
}

} // namespace

DhtNode::DhtNode(Channel &channel, const DhtConfig &config) : channel_(channel), config_(config)
{
    auto socket = std::make_unique<GateSocket>(config.mac_key, config.bind4, config.bind6, config.port);
    socket_ = socket.get();
    sodium_memzero(config_.mac_key.data(), config_.mac_key.size());

    dht::Config settings;
    settings.node_id = config.node_id;
    settings.network = config.network;
    settings.max_req_per_sec = REQUESTS_PER_S;
    settings.max_peer_req_per_sec = REQUESTS_PER_S_AND_ADDRESS;
    settings.max_store_size = STORE_BYTES_UNREACHABLE;
    settings.max_searches = SEARCHES_MAX;
    // A search without nodes is no reason to doubt the network (one family mostly has none).
    settings.public_stable = true;
    std::unique_ptr<dht::net::DatagramSocket> door = std::move(socket);
    dht_ = std::make_unique<dht::Dht>(std::move(door), settings, std::shared_ptr<dht::Logger>());

    dht_->registerType(value_type());
    // No member may store anything else here.
    auto refuse = [](dht::InfoHash, std::shared_ptr<dht::Value> &, const dht::InfoHash &,
                     const dht::SockAddr &) { return false; };
    for (uint16_t id = 0; id < 16; id++)
        dht_->registerType(dht::ValueType(id, "none", std::chrono::seconds(1), refuse));
}

DhtNode::~DhtNode() = default;

uint16_t DhtNode::port() const
{
    return socket_->getPort();
}

std::vector<int> DhtNode::fds() const
{
    return socket_->fds();
}

dht::ValueType DhtNode::value_type()
{
    auto store = [this](dht::InfoHash key, std::shared_ptr<dht::Value> &value, const dht::InfoHash &,
                        const dht::SockAddr &) {
        Parcel parcel;
        if (!open_parcel(*value, parcel) || dht_->getStoreSize().first + value->data.size() > STORE_BYTES_MAX ||
            dht_->getLocal(key, {}).size() >= VALUES_PER_KEY_MAX)
            return false;
        on_parcel(key, parcel);
        return true;
    };
    auto edit = [this](dht::InfoHash key, const std::shared_ptr<dht::Value> &old,
                       std::shared_ptr<dht::Value> &value, const dht::InfoHash &, const dht::SockAddr &) {
        Parcel parcel, before;
        if (!open_parcel(*value, parcel) || !open_parcel(*old, before) || parcel.sequence <= before.sequence)
            return false;
        on_parcel(key, parcel);
        return true;
    };
    return dht::ValueType(VALUE_TYPE, "shoal", config_.value_ttl, store, edit);
}

void DhtNode::guarded(const char *what, const std::function<void()> &call)
{
    try {
        call();
    } catch (const Refused &) {
        throw;
    } catch (const std::exception &e) {
        channel_.error(what, std::string("OpenDHT: ") + e.what());
    }
}

void DhtNode::on_readable(int fd)
{
    socket_->receive(fd, [this](const uint8_t *data, size_t bytes, const dht::SockAddr &from) {
        guarded("datagram", [&] {
            Time now = Clock::now();
            dht_->periodic(data, bytes, from, now);
            greet(from, now);
        });
    });
}

// OpenDHT tells others only of nodes that have answered it, and would ask a newcomer something only by and by.
// Asking at once lets a small swarm that starts together know itself within a second.
void DhtNode::greet(const dht::SockAddr &from, Time now)
{
    if (n_nodes_ > NODES_GREETED)
        return;
    if (greeted_.size() >= GREETED_MAX)
        greeted_.clear();
    auto [found, is_new] = greeted_.try_emplace(from, now);
    if (!is_new && now - found->second < ms(60000))
        return;
    found->second = now;
    dht_->pingNode(from, [](bool) {});
}

unsigned DhtNode::n_nodes() const
{
    return dht_->getNodesStats(AF_INET).getKnownNodes() + dht_->getNodesStats(AF_INET6).getKnownNodes();
}

Time DhtNode::run(Time now)
{
    Time next = now + ms(1000);

    guarded("dht", [&] {
        on_n_nodes(n_nodes(), now);
        next = std::min(next, run_entries(now));
        next = std::min(next, run_announcements(now));
        next = std::min(next, run_listens(now));
        // Last: it starts what the others asked for.
        next = std::min(next, dht_->periodic(nullptr, 0, dht::SockAddr{}, now));
    });
    if (now >= next_stats_) {
        guarded("dht", [&] { tell_stats(now); });
        next_stats_ = now + ms(1000);
    }
    return std::max(now + ms(1), std::min(next, next_stats_));
}

void DhtNode::on_n_nodes(unsigned n, Time now)
{
    if (n_nodes_ == 0 && n > 0)
        dht_->connectivityChanged(); // forgives the nodes that fell silent while we were cut off
    if (n > n_nodes_ && n <= NODES_FEW) {
        for (auto &[at, announcement] : announcements_)
            announcement.next_put = std::min(announcement.next_put, now);
        for (auto &[key, listen] : listens_)
            listen.n_refreshes = 0, listen.next_refresh = now + ms(50);
    }
    n_nodes_ = n;
}

// --- bootstrap addresses ---------------------------------------------------------------------------------

void DhtNode::bootstrap(const json_t *command)
{
    auto address =
        address_of(text_of(command, "ip", 64), static_cast<uint16_t>(int_of(command, "port", 1, 65535)));
    for (auto &entry : entries_)
        if (entry.address.equals(address) && entry.address.getPort() == address.getPort()) {
            entry.n_tries = 0;
            entry.next_try = Time{};
            return;
        }
    if (entries_.size() >= AGENT_BOOTSTRAPS_MAX)
        throw Refused("more than " + std::to_string(AGENT_BOOTSTRAPS_MAX) + " bootstrap addresses");
    Entry entry;
    entry.address = address;
    entries_.push_back(entry);
}

void DhtNode::ask(size_t index, Time now)
{
    Entry &entry = entries_[index];
    if (!entry.waiting) {
        entry.waiting = true;
        entry.waiting_since = now;
    }
    // 0.1, 0.2, ... 6.4 s until it answers.
    entry.next_try = now + ms(100 << std::min(entry.n_tries++, 6u));
    dht_->pingNode(entry.address, [this, index](bool answered) {
        if (answered)
            on_answer(index);
    });
}

void DhtNode::tell_entry(Entry &entry, bool answered)
{
    if (entry.told && entry.answered == answered)
        return;
    entry.told = true;
    entry.answered = answered;
    uint8_t ip[16];
    ip_bytes(entry.address, ip);
    channel_.send(Event(AGENT_EVENT_ENTRY)
                      .set("ip", ip_text(ip))
                      .set("port", static_cast<int>(entry.address.getPort()))
                      .set("answered", answered));
}

void DhtNode::on_answer(size_t index)
{
    Entry &entry = entries_[index];
    entry.waiting = false;
    entry.n_tries = 0;
    // Known ones are asked again each minute, so that parts of a swarm that were separated find each other.
    entry.next_try = Clock::now() + ms(60000);
    tell_entry(entry, true);
}

Time DhtNode::run_entries(Time now)
{
    Time next = now + ms(1000);

    for (size_t i = 0; i < entries_.size(); i++) {
        Entry &entry = entries_[i];
        // Nobody left in the table: do not wait for the minute to end.
        if (n_nodes_ == 0 && !entry.waiting)
            entry.next_try = std::min(entry.next_try, now + ms(2000));
        if (entry.next_try <= now)
            ask(i, now);
        if (entry.waiting && now - entry.waiting_since >= ENTRY_SILENT)
            tell_entry(entry, false);
        next = std::min(next, entry.next_try);
    }
    return next;
}

// --- announcements ---------------------------------------------------------------------------------------

void DhtNode::announce(const json_t *command)
{
    AnnouncementKey at{key_of(command), u64_of(command, "value_id")};
    auto data = data_of(command, "data", AGENT_VALUE_BYTES_MAX);
    if (data.size() < AGENT_VALUE_BYTES_MIN || at.second == dht::Value::INVALID_ID)
        throw Refused(
            "an announcement needs a value id other than 0 and at least 8 bytes (its sequence number)");
    if (announcements_.size() >= AGENT_ANNOUNCEMENTS_MAX && !announcements_.count(at))
        throw Refused("more than " + std::to_string(AGENT_ANNOUNCEMENTS_MAX) + " announcements");
    Announcement &announcement = announcements_[at];
    if (announcement.data.empty())
        announcement.slot = randombytes_uniform(VALUE_SLOTS); // most likely not the one before a restart
    else if (announcement.data != data)
        announcement.slot++;
    announcement.data = std::move(data);
    announcement.next_put = Time{};
    announcement.started = Clock::now();
    announcement.n_failures = 0;
    announcement.told = false;
}

void DhtNode::retract(const json_t *command)
{
    AnnouncementKey at{key_of(command), u64_of(command, "value_id")};
    if (!announcements_.erase(at))
        return;
    guarded("retract", [&] {
        for (uint64_t slot = 0; slot < VALUE_SLOTS; slot++)
            dht_->cancelPut(at.first, slot_id(at.second, slot));
    });
}

void DhtNode::put(const AnnouncementKey &at, Announcement &announcement, Time now)
{
    auto value = make_parcel(at.second, announcement.slot, announcement.data);
    uint64_t round = ++announcement.round;

    announcement.waiting = true;
    announcement.last_put = now;
    announcement.n_nodes_at_put = n_nodes_;
    announcement.next_put = now + ms(5000); // when no answer ever comes
    dht_->put(at.first, value,
              [this, at, round](bool ok, const std::vector<std::shared_ptr<dht::Node>> &nodes) {
                  on_put(at, round, ok, nodes);
              });
}

void DhtNode::on_put(const AnnouncementKey &at, uint64_t round, bool ok,
                     const std::vector<std::shared_ptr<dht::Node>> &nodes)
{
    auto found = announcements_.find(at);
    if (found == announcements_.end() || found->second.round != round || !found->second.waiting)
        return;
    Announcement &announcement = found->second;
    Time now = Clock::now();
    unsigned n_acked = 0;

    for (auto &node : nodes)
        n_acked += node && !node->isExpired();
    n_acked = ok ? std::min(std::max(n_acked, 1u), HOLDERS_MAX) : 0;
    announcement.waiting = false;
    if (ok) {
        announcement.n_failures = 0;
        announcement.next_put = now + std::min<Clock::duration>(config_.value_ttl / 3, ms(120000));
        if (n_nodes_ > announcement.n_nodes_at_put && n_nodes_ <= NODES_FEW)
            announcement.next_put = now + ms(300);
    } else {
        announcement.next_put = now + ms(100 << std::min(announcement.n_failures++, 5u));
    }
    tell_announced(at, announcement, ok, static_cast<int>(n_acked));
}

// Nobody has it: told only once a second has passed since the announcement, when there was time to be heard.
void DhtNode::tell_announced(const AnnouncementKey &at, Announcement &announcement, bool ok, int n_acked)
{
    if (announcement.told && announcement.told_ok == ok && announcement.told_acked == n_acked)
        return;
    if (!ok && Clock::now() - announcement.started < ms(1000))
        return;
    announcement.told = true;
    announcement.told_ok = ok;
    announcement.told_acked = n_acked;
    channel_.send(Event(AGENT_EVENT_ANNOUNCED)
                      .set("key", key_text(at.first))
                      .set("value_id", u64_text(at.second))
                      .set("ok", ok)
                      .set("acked", n_acked));
}

Time DhtNode::run_announcements(Time now)
{
    Time next = now + ms(1000);
    std::vector<AnnouncementKey> due;

    for (auto &[at, announcement] : announcements_) {
        Time when = std::max(announcement.next_put, announcement.last_put + ms(100));
        if (when <= now)
            due.push_back(at);
        else
            next = std::min(next, when);
    }
    for (auto &at : due) { // put() may call back at once
        auto found = announcements_.find(at);
        if (found == announcements_.end())
            continue;
        if (found->second.waiting && now - found->second.last_put >= ms(3000))
            tell_announced(at, found->second, false, 0);
        put(at, found->second, now);
    }
    return next;
}

// --- listening -------------------------------------------------------------------------------------------

void DhtNode::tell_value(const dht::InfoHash &key, const Parcel &parcel)
{
    channel_.send(Event(AGENT_EVENT_VALUE)
                      .set("key", key_text(key))
                      .set("value_id", u64_text(parcel.value_id))
                      .set("data", data_text(parcel.data, parcel.bytes)));
}

// What a listened key holds, from whichever way it came; told once for each sequence. The store and edit
// policies call this too: OpenDHT does not tell a local listener of an edited value.
void DhtNode::on_parcel(const dht::InfoHash &key, const Parcel &parcel)
{
    auto found = listens_.find(key);
    if (found == listens_.end())
        return;
    Sequences &seen = found->second.seen;
    auto had = seen.find(parcel.value_id);
    if (had == seen.end() ? seen.size() >= VALUES_PER_KEY_MAX : had->second >= parcel.sequence)
        return;
    seen[parcel.value_id] = parcel.sequence;
    tell_value(key, parcel);
}

void DhtNode::on_expired(const dht::InfoHash &key, const Parcel &parcel)
{
    auto found = listens_.find(key);
    if (found == listens_.end())
        return;
    auto had = found->second.seen.find(parcel.value_id);
    if (had == found->second.seen.end() || had->second > parcel.sequence)
        return; // an older sequence expired somewhere
    found->second.seen.erase(had);
    channel_.send(
        Event(AGENT_EVENT_EXPIRED).set("key", key_text(key)).set("value_id", u64_text(parcel.value_id)));
}

void DhtNode::on_values(const dht::InfoHash &key, const Values &values, bool expired)
{
    for (auto &value : values) {
        Parcel parcel;
        if (!value || !open_parcel(*value, parcel))
            continue;
        if (expired)
            on_expired(key, parcel);
        else
            on_parcel(key, parcel);
    }
}

// A search that once had no nodes stays dead in OpenDHT, listeners and all, until somebody gets or puts; and it
// listens at four nodes only. So each key is also asked for again and again, soon after new nodes appeared.
void DhtNode::refresh(const dht::InfoHash &key, Listen &listen, Time now)
{
    listen.next_refresh = now + ms(std::min(200 << std::min(listen.n_refreshes++, 8u), REFRESH_MS));
    dht_->get(
        key,
        [this, key](const Values &values) {
            on_values(key, values, false);
            return true;
        },
        [](bool, const std::vector<std::shared_ptr<dht::Node>> &) {},
        dht::Value::Filter(dht::Value::TypeFilter(VALUE_TYPE)));
}

Time DhtNode::run_listens(Time now)
{
    Time next = now + ms(1000);

    if (n_nodes_ == 0)
        return next;
    for (auto &[key, listen] : listens_) {
        if (listen.next_refresh <= now)
            refresh(key, listen, now);
        next = std::min(next, listen.next_refresh);
    }
    return next;
}

void DhtNode::listen(const json_t *command)
{
    auto key = key_of(command);
    if (listens_.count(key))
        return;
    if (listens_.size() >= AGENT_LISTENS_MAX)
        throw Refused("more than " + std::to_string(AGENT_LISTENS_MAX) + " keys are listened to");
    Listen &listen = listens_[key];
    guarded("listen", [&] {
        // Without a filter: with one, OpenDHT 2.4.12 drops what other nodes push.
        listen.token = dht_->listen(key, [this, key](const Values &values, bool expired) {
            on_values(key, values, expired);
            return true;
        });
    });
}

void DhtNode::unlisten(const json_t *command)
{
    auto found = listens_.find(key_of(command));
    if (found == listens_.end())
        return;
    guarded("unlisten", [&] { dht_->cancelListen(found->first, found->second.token); });
    listens_.erase(found);
}

void DhtNode::get(const json_t *command)
{
    auto key = key_of(command);
    if (gets_.size() >= AGENT_LISTENS_MAX)
        throw Refused("more than " + std::to_string(AGENT_LISTENS_MAX) + " gets are under way");
    if (!gets_.try_emplace(key).second)
        return; // the one under way will answer both
    auto on_got = [this, key](const Values &values) {
        auto found = gets_.find(key);
        for (auto &value : values) {
            Parcel parcel;
            if (found == gets_.end() || !value || !open_parcel(*value, parcel))
                continue;
            auto [had, is_new] = found->second.try_emplace(parcel.value_id, parcel.sequence);
            if (!is_new && had->second >= parcel.sequence)
                continue;
            had->second = parcel.sequence;
            tell_value(key, parcel);
        }
        return true;
    };
    auto on_done = [this, key](bool, const std::vector<std::shared_ptr<dht::Node>> &nodes) {
        auto found = gets_.find(key);
        if (found == gets_.end())
            return;
        unsigned n_asked = 0;
        for (auto &node : nodes)
            n_asked += node && !node->isExpired();
        if (nodes.empty() && listens_.count(key)) // answered by what the listen brought
            n_asked = std::min(n_nodes_, LISTENED_NODES);
        channel_.send(Event(AGENT_EVENT_GOT)
                          .set("key", key_text(key))
                          .set("values", found->second.size())
                          .set("asked", n_asked));
        gets_.erase(found);
    };
    guarded("get",
            [&] { dht_->get(key, on_got, on_done, dht::Value::Filter(dht::Value::TypeFilter(VALUE_TYPE))); });
}

void DhtNode::network_changed()
{
    guarded("network_changed", [&] { dht_->connectivityChanged(); });
    for (auto &entry : entries_)
        entry.n_tries = 0, entry.next_try = Time{};
    for (auto &[at, announcement] : announcements_)
        announcement.next_put = Time{};
}

} // namespace agent
