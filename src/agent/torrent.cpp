#include "agent/torrent.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <libtorrent/alert_types.hpp>
#include <libtorrent/bencode.hpp>
#include <libtorrent/ip_filter.hpp>
#include <libtorrent/posix_disk_io.hpp>
#include <libtorrent/session_params.hpp>
#include <libtorrent/settings_pack.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_info.hpp>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace agent
{

namespace
{

using std::chrono::milliseconds;
namespace flags = lt::torrent_flags;

constexpr milliseconds STATUS_EVERY{500}, DIAL_EVERY{5000}, GATHER{20}, RETRY_FOR{2000};

constexpr uint64_t DISK_FULL_BYTES = 32768; // less is left: two blocks

int rate_of(int64_t bytes_per_s)
{
    return static_cast<int>(std::min<int64_t>(bytes_per_s, INT32_MAX));
}

std::string listen_text(const TorrentConfig &config)
{
    std::string port = ":" + std::to_string(config.port), out;
    if (!config.bind4.empty())
        out = config.bind4 + port;
    if (!config.bind6.empty())
        out += (out.empty() ? "[" : ",[") + config.bind6 + "]" + port;
    return out;
}

lt::settings_pack settings_of(const TorrentConfig &config)
{
    using S = lt::settings_pack;
    S s;
    s.set_str(S::user_agent, "shoal");
    s.set_str(S::listen_interfaces, listen_text(config));
    s.set_bool(S::listen_system_port_fallback, !config.port_fixed);
    s.set_int(S::max_retry_port_bind, 0);
    for (int off : {S::enable_dht, S::enable_lsd, S::enable_upnp, S::enable_natpmp, S::enable_incoming_utp,
                    S::enable_outgoing_utp, S::announce_to_all_trackers, S::announce_to_all_tiers})
        s.set_bool(off, false);
    // Only those who know the info-hash, which the swarm's salt is part of, get through the handshake; RC4 also
    // hides the data from bystanders.
    s.set_int(S::in_enc_policy, S::pe_forced);
    s.set_int(S::out_enc_policy, S::pe_forced);
    s.set_int(S::allowed_enc_level, S::pe_rc4);
    s.set_bool(S::allow_multiple_connections_per_ip, true);
    s.set_int(S::connections_limit, 1000);
    s.set_int(S::alert_queue_size, 10000);
    s.set_int(S::alert_mask,
              static_cast<int>(static_cast<uint32_t>(lt::alert_category::status | lt::alert_category::error |
                                                     lt::alert_category::storage | lt::alert_category::peer)));
    // A swarm of machines that help each other: everybody who asks is served, at once.
    s.set_int(S::unchoke_slots_limit, -1);
    s.set_int(S::unchoke_interval, 1);
    s.set_int(S::connection_speed, 200);
    s.set_bool(S::smooth_connects, false);
    s.set_int(S::torrent_connect_boost, 200);
    s.set_int(S::tick_interval, 100);
    s.set_int(S::min_reconnect_time, 1);
    s.set_int(S::max_failcount, 6);
    s.set_int(S::peer_connect_timeout, 3);
    s.set_int(S::handshake_timeout, 5);
    s.set_int(S::request_timeout, 4);
    s.set_int(S::piece_timeout, 4);
    s.set_int(S::peer_timeout, 30);
    s.set_int(S::max_out_request_queue, 1000);
    s.set_int(S::max_allowed_in_request_queue, 4000);
    s.set_int(S::send_buffer_watermark, 4 << 20);
    s.set_int(S::send_buffer_low_watermark, 512 << 10);
    s.set_int(S::send_buffer_watermark_factor, 200);
    s.set_int(S::upload_rate_limit, rate_of(config.upload_rate));
    s.set_int(S::download_rate_limit, rate_of(config.download_rate));
    return s;
}

std::string endpoint_ip(const lt::tcp::endpoint &at)
{
    return at.address().to_string();
}

// Everybody but members is blocked; with no members, everybody.
lt::ip_filter everybody_blocked()
{
    lt::ip_filter filter;
    filter.add_rule(lt::make_address("0.0.0.0"), lt::make_address("255.255.255.255"), lt::ip_filter::blocked);
    filter.add_rule(lt::make_address("::"), lt::make_address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                    lt::ip_filter::blocked);
    return filter;
}

lt::address ip_of(const std::string &text)
{
    lt::error_code error;
    auto ip = lt::make_address(text, error);
    if (error)
        throw Refused("'" + text + "' is not a numeric IP address");
    return ip;
}

bool name_is_plain(const std::string &name)
{
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
           name.find('\0') == std::string::npos;
}

} // namespace

Torrents::Torrents(Channel &channel, const TorrentConfig &config)
    : channel_(channel), both_families_(!config.bind4.empty() && !config.bind6.empty()), dirs_(config.dirs),
      wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), queue_(std::make_shared<GuardQueue>(wake_fd_))
{
    // An explicit, empty list of extensions: no exchange of peers, no metadata, no "smart ban".
    lt::session_params params(settings_of(config), std::vector<std::shared_ptr<lt::plugin>>{});
    params.disk_io_constructor = lt::posix_disk_io_constructor; // a mapped file that shrinks is a SIGBUS
    session_ = std::make_unique<lt::session>(std::move(params));
    session_->set_ip_filter(everybody_blocked());
    // By default peers on private networks are exempt from the rate limits; ours are mostly there.
    lt::ip_filter classes;
    uint32_t global = 1u << static_cast<uint32_t>(lt::session::global_peer_class_id);
    classes.add_rule(lt::make_address("0.0.0.0"), lt::make_address("255.255.255.255"), global);
    classes.add_rule(lt::make_address("::"), lt::make_address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                     global);
    session_->set_peer_class_filter(classes);
    session_->set_alert_notify([queue = queue_] { queue->wake(); });
}

Torrents::Torrent &Torrents::find(const json_t *command)
{
    auto bytes = hex_of(command, "id", AGENT_KEY_BYTES, AGENT_KEY_BYTES);
    auto found = torrents_.find(hex_text(bytes.data(), bytes.size()));
    if (found == torrents_.end())
        throw Refused("no torrent has this id; it was never added, or removed");
    return found->second;
}

Torrents::Torrent *Torrents::find(const lt::torrent_handle &handle)
{
    auto found = ids_.find(handle);
    if (found == ids_.end())
        return nullptr;
    auto torrent = torrents_.find(found->second);
    return torrent == torrents_.end() ? nullptr : &torrent->second;
}

std::shared_ptr<lt::torrent_info> Torrents::info_of(const json_t *command, const Torrent &torrent)
{
    int64_t piece_bytes = int_of(command, "piece_bytes", AGENT_PIECE_BYTES_MIN, AGENT_PIECE_BYTES_MAX);
    auto pieces = data_of(command, "pieces", AGENT_PIECES_MAX * 20);
    auto salt = hex_of(command, "salt", 0, AGENT_SALT_BYTES_MAX);
    int64_t n_pieces = (torrent.bytes + piece_bytes - 1) / piece_bytes;

    if (piece_bytes & (piece_bytes - 1))
        throw Refused("field 'piece_bytes': " + std::to_string(piece_bytes) + " is not a power of two");
    if (n_pieces > AGENT_PIECES_MAX)
        throw Refused(std::to_string(n_pieces) + " pieces, the limit is " + std::to_string(AGENT_PIECES_MAX) +
                      ": split the model again with larger pieces");
    if (pieces.size() % 20 || static_cast<int64_t>(pieces.size() / 20) != n_pieces)
        throw Refused("field 'pieces': " + std::to_string(pieces.size()) + " bytes, but " +
                      std::to_string(n_pieces) + " pieces need " + std::to_string(20 * n_pieces));
    lt::entry root;
    lt::entry &info = root["info"];
    info["length"] = torrent.bytes;
    info["name"] = torrent.name; // NAME on both sides, whatever the file is called on disk
    info["piece length"] = piece_bytes;
    info["pieces"] = std::string(pieces.begin(), pieces.end());
    info["private"] = 1;
    info["salt"] = std::string(salt.begin(), salt.end());
    std::vector<char> buffer;
    lt::bencode(std::back_inserter(buffer), root);

    lt::error_code error;
    auto out = std::make_shared<lt::torrent_info>(buffer, error, lt::from_span);
    if (error)
        throw Refused("libtorrent does not take this torrent: " + error.message());
    if (out->num_files() != 1 || out->files().file_path(lt::file_index_t(0)) != torrent.name)
        throw Refused("the name '" + torrent.name + "' is not one that libtorrent keeps as it is");
    return out;
}

// A seed must be there in full; a .part that is too long is cut (pieces are checked, the tail is not).
void Torrents::check_file(const Torrent &torrent)
{
    struct stat at;
    std::string path = torrent.seed ? torrent.path() : torrent.path_part();

    if (lstat(path.c_str(), &at) != 0) {
        if (torrent.seed || errno != ENOENT)
            throw Refused("'" + path + "': " + strerror(errno));
        return;
    }
    if (!S_ISREG(at.st_mode))
        throw Refused("'" + path + "' is not a plain file");
    if (torrent.seed && at.st_size != torrent.bytes)
        throw Refused("'" + path + "' has " + std::to_string(at.st_size) + " bytes, not " +
                      std::to_string(torrent.bytes));
    if (!torrent.seed && at.st_size > torrent.bytes) {
        int fd = open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        int rc = fd < 0 ? -1 : ftruncate(fd, torrent.bytes);
        if (fd >= 0)
            close(fd);
        if (rc != 0)
            throw Refused("'" + path + "' is too long and cannot be cut: " + strerror(errno));
    }
}

void Torrents::add(const json_t *command)
{
    auto id_bytes = hex_of(command, "id", AGENT_KEY_BYTES, AGENT_KEY_BYTES);
    std::string mode = text_of(command, "mode", 8);
    Torrent torrent;

    torrent.id = hex_text(id_bytes.data(), id_bytes.size());
    torrent.dir = text_of(command, "dir", 4096);
    torrent.name = text_of(command, "name", AGENT_NAME_BYTES_MAX);
    torrent.file = text_or(command, "file", torrent.name.c_str(), AGENT_NAME_BYTES_MAX);
    torrent.bytes = int_of(command, "bytes", 1, AGENT_TORRENT_BYTES_MAX);
    torrent.seed = mode == "seed";
    if (!torrent.seed && mode != "fetch")
        throw Refused("field 'mode': '" + mode + "' is neither fetch nor seed");
    if (torrents_.count(torrent.id))
        throw Refused("this torrent was added before; remove it first");
    if (torrents_.size() >= AGENT_TORRENTS_MAX)
        throw Refused("more than " + std::to_string(AGENT_TORRENTS_MAX) + " torrents");
    for (auto *name : {&torrent.name, &torrent.file})
        if (!name_is_plain(*name))
            throw Refused("'" + *name + "' is not a plain file name");
    if (std::find(dirs_.begin(), dirs_.end(), torrent.dir) == dirs_.end())
        throw Refused("field 'dir': '" + torrent.dir + "' is not one of the folders given at start");
    auto info = info_of(command, torrent);
    check_file(torrent);

    lt::add_torrent_params params;
    params.ti = info;
    params.save_path = torrent.dir;
    params.flags = flags::update_subscribe | flags::apply_ip_filter | flags::disable_dht | flags::disable_lsd |
                   flags::disable_pex;
    if (torrent.seed)
        params.flags |= flags::seed_mode | flags::upload_mode; // upload_mode: NAME is never written
    std::string on_disk = torrent.seed ? torrent.file : torrent.name + AGENT_PART_SUFFIX;
    if (on_disk != torrent.name)
        params.renamed_files[lt::file_index_t(0)] = on_disk;
    params.extensions.push_back(
        [id = torrent.id, queue = queue_](const lt::torrent_handle &, lt::client_data_t) {
            return std::make_shared<Guard>(id, queue);
        });
    torrent.handle = session_->add_torrent(std::move(params)); // throws
    ids_[torrent.handle] = torrent.id;
    torrents_.emplace(torrent.id, std::move(torrent));
    next_status_ = Time{};
}

void Torrents::remove(const json_t *command)
{
    Torrent &torrent = find(command);
    bool delete_part = bool_of(command, "delete_part") && !torrent.seed && !torrent.renamed;

    leaving_[torrent.handle] = delete_part ? torrent.path_part() : "";
    ids_.erase(torrent.handle);
    session_->remove_torrent(torrent.handle);
    torrents_.erase(torrent.id);
}

void Torrents::peer(const json_t *command)
{
    Torrent &torrent = find(command);
    lt::tcp::endpoint at(ip_of(text_of(command, "ip", 64)),
                         static_cast<uint16_t>(int_of(command, "port", 1, 65535)));

    if (torrent.peers.size() >= AGENT_TORRENT_PEERS_MAX && !torrent.peers.count(at))
        throw Refused("more than " + std::to_string(AGENT_TORRENT_PEERS_MAX) + " peers of one torrent");
    torrent.peers.try_emplace(at, false);
    // A little later, with those that are told in the same breath.
    torrent.dial_at = std::min(torrent.dial_at, std::chrono::steady_clock::now() + GATHER);
}

// libtorrent connects to new peers once a second, except when a torrent starts: then at once. So one that has
// no connections that could be lost is started anew.
void Torrents::dial(Torrent &torrent)
{
    bool start = torrent.n_connected == 0 && torrent.checked;

    torrent.dial_at = std::chrono::steady_clock::now() + DIAL_EVERY;
    if (torrent.complete || torrent.seed || torrent.paused || !torrent.error.empty())
        return;
    if (start)
        torrent.handle.pause();
    // As if from a tracker: that alone lowers libtorrent's count of failures of an address.
    for (auto &[at, banned] : torrent.peers)
        if (!banned)
            torrent.handle.connect_peer(at, lt::peer_info::tracker);
    if (start)
        torrent.handle.resume();
    torrent.n_connected = 1; // until the next status tells
}

void Torrents::members(const json_t *command)
{
    const json_t *ips = json_object_get(command, "ips");
    lt::ip_filter filter = everybody_blocked();

    if (!json_is_array(ips) || json_array_size(ips) > AGENT_MEMBERS_MAX)
        throw Refused("field 'ips' must be an array of at most " + std::to_string(AGENT_MEMBERS_MAX));
    for (size_t i = 0; i < json_array_size(ips); i++) {
        const char *text = json_string_value(json_array_get(ips, i));
        auto ip = ip_of(text ? text : "");
        filter.add_rule(ip, ip, 0);
    }
    session_->set_ip_filter(filter);
}

void Torrents::rename(const json_t *command)
{
    Torrent &torrent = find(command);

    if (torrent.seed || torrent.renamed)
        return tell(torrent);
    torrent.handle.rename_file(lt::file_index_t(0), torrent.name);
}

void Torrents::pause(const json_t *command)
{
    Torrent &torrent = find(command);

    torrent.paused = bool_of(command, "paused");
    if (torrent.paused)
        torrent.handle.pause();
    else
        torrent.handle.resume();
    next_status_ = Time{};
}

void Torrents::retry(const json_t *command)
{
    Torrent &torrent = find(command);
    int number = torrent.error_number;

    clear_error(torrent);
    torrent.retry_until = std::chrono::steady_clock::now() + RETRY_FOR;
    torrent.handle.clear_error();
    if (!torrent.seed)
        torrent.handle.unset_flags(flags::upload_mode);
    // Where writing alone was refused, what is there is still known; else look at it anew.
    bool still_known = number == ENOSPC || number == EDQUOT || number == EROFS || number == EPERM ||
                       number == EFBIG || number == 0;
    if (!still_known && !torrent.seed) {
        torrent.checked = false;
        torrent.handle.force_recheck();
    }
    if (!torrent.paused)
        torrent.handle.resume();
    next_status_ = Time{};
}

void Torrents::limits(const json_t *command)
{
    lt::settings_pack s;
    s.set_int(lt::settings_pack::upload_rate_limit, rate_of(int_of(command, "upload_rate", 0, INT64_MAX)));
    s.set_int(lt::settings_pack::download_rate_limit, rate_of(int_of(command, "download_rate", 0, INT64_MAX)));
    session_->apply_settings(s);
}

// --- what libtorrent tells -------------------------------------------------------------------------------

void Torrents::fail(Torrent &torrent, int number, const std::string &text)
{
    torrent.error_number = number;
    torrent.error = text;
    tell(torrent);
}

void Torrents::clear_error(Torrent &torrent)
{
    torrent.error.clear();
    torrent.error_number = 0;
    torrent.error_is_disk = false;
}

void Torrents::tell_peer(const Torrent &torrent, const lt::tcp::endpoint &peer, const char *fault, int piece,
                         const std::string &text)
{
    Event event(AGENT_EVENT_TORRENT_PEER);
    event.set("id", torrent.id).set("ip", endpoint_ip(peer)).set("port", static_cast<int>(peer.port()));
    event.set("fault", fault).set("text", text);
    if (piece >= 0)
        event.set("piece", piece);
    channel_.send(event);
}

void Torrents::tell(Torrent &torrent)
{
    const lt::torrent_status &s = torrent.status;
    const char *state = AGENT_STATE_CHECKING;

    if (!torrent.has_status)
        return;
    if (!torrent.error.empty())
        state = AGENT_STATE_FAILED;
    else if (torrent.paused)
        state = AGENT_STATE_PAUSED;
    else if (torrent.complete)
        state = torrent.seed || torrent.renamed ? AGENT_STATE_SEEDING : AGENT_STATE_FINISHED;
    else if (s.state == lt::torrent_status::downloading)
        state = AGENT_STATE_FETCHING;

    Event event(AGENT_EVENT_TORRENT);
    event.set("id", torrent.id).set("state", state);
    event.set("bytes_done", torrent.complete ? torrent.bytes : std::min(s.total_wanted_done, torrent.bytes));
    event.set("bytes_total", torrent.bytes);
    event.set("rate_down", s.download_payload_rate).set("rate_up", s.upload_payload_rate);
    event.set("uploaded", s.total_payload_upload);
    event.set("wasted", s.total_failed_bytes + s.total_redundant_bytes);
    event.set("peers", s.num_peers).set("seeds", s.num_seeds).set("hash_failures", torrent.n_hash_failures);
    if (!torrent.error.empty())
        event.set("errno", torrent.error_number).set("error", torrent.error);
    std::string line = event.line();
    if (line == torrent.last_told)
        return;
    torrent.last_told = line;
    channel_.send(event);
}

void Torrents::on_status(const lt::torrent_status &status)
{
    Torrent *torrent = find(status.handle);
    if (!torrent)
        return;
    torrent->status = status;
    torrent->has_status = true;
    torrent->n_connected = status.num_peers;
    torrent->complete =
        status.state == lt::torrent_status::seeding || status.state == lt::torrent_status::finished;
    if (torrent->seed && torrent->checked && !torrent->complete && torrent->error.empty() &&
        status.state == lt::torrent_status::downloading) {
        torrent->error_number = 0;
        torrent->error =
            "'" + torrent->path() + "' differs from the pieces it should have; it is no longer seeded";
    }
    bool refused = bool(status.flags & flags::upload_mode) && !torrent->seed;
    if (status.errc && torrent->error.empty())
        on_file_error(*torrent, status.errc, torrent->path_part(), "disk");
    else if (!status.errc && !refused && torrent->error_is_disk)
        clear_error(*torrent); // it writes again
    // Errors of before the disk was mended may reach libtorrent after it was told to go on, and stop it again.
    if (refused && std::chrono::steady_clock::now() < torrent->retry_until)
        torrent->handle.unset_flags(flags::upload_mode);
    tell(*torrent);
}

void Torrents::on_file_error(Torrent &torrent, const lt::error_code &error, const std::string &file,
                             const std::string &what)
{
    bool is_errno = error.category() == lt::system_category() || error.category() == lt::generic_category();
    struct stat at;

    // The parent has renamed the file before it said so: go on under the new name.
    if (is_errno && error.value() == ENOENT && torrent.complete && !torrent.seed && !torrent.renamed &&
        stat(torrent.path().c_str(), &at) == 0 && at.st_size == torrent.bytes) {
        torrent.handle.rename_file(lt::file_index_t(0), torrent.name);
        torrent.handle.clear_error();
        torrent.handle.resume();
        return;
    }
    std::string why = error.message();
    int number = is_errno ? error.value() : 0;
    struct statvfs disk;
    // A short write goes unnoticed by libtorrent until it reads the piece back.
    if (!is_errno && !torrent.seed && statvfs(torrent.dir.c_str(), &disk) == 0 &&
        disk.f_bavail * disk.f_frsize < DISK_FULL_BYTES) {
        number = ENOSPC;
        why = strerror(ENOSPC);
    }
    torrent.error_is_disk = !torrent.seed;
    fail(torrent, number, what + " '" + file + "': " + why);
}

void Torrents::on_torrent_alert(const lt::alert *alert, Torrent &torrent)
{
    if (auto *broke = lt::alert_cast<lt::file_error_alert>(alert)) {
        on_file_error(torrent, broke->error, broke->filename(), lt::operation_name(broke->op));
    } else if (lt::alert_cast<lt::file_renamed_alert>(alert)) {
        torrent.renamed = true;
        tell(torrent);
    } else if (auto *kept = lt::alert_cast<lt::file_rename_failed_alert>(alert)) {
        fail(torrent, kept->error.value(), "renaming '" + torrent.path_part() + "': " + kept->error.message());
    } else if (lt::alert_cast<lt::hash_failed_alert>(alert)) {
        torrent.n_hash_failures++;
    } else if (auto *ban = lt::alert_cast<lt::peer_ban_alert>(alert)) {
        torrent.peers[ban->endpoint] = true;
        tell_peer(torrent, ban->endpoint, "banned", -1, "sent data that does not match its hash");
    } else if (lt::alert_cast<lt::torrent_checked_alert>(alert)) {
        torrent.checked = true;
        if (!torrent.peers.empty())
            dial(torrent);
        next_status_ = Time{};
    } else if (lt::alert_cast<lt::torrent_finished_alert>(alert)) {
        next_status_ = Time{};
    }
}

void Torrents::on_removed(const lt::torrent_handle &handle)
{
    auto found = leaving_.find(handle);
    if (found == leaving_.end())
        return;
    if (!found->second.empty() && unlink(found->second.c_str()) != 0 && errno != ENOENT)
        channel_.error(AGENT_DO_TORRENT_REMOVE, "'" + found->second + "': " + strerror(errno));
    leaving_.erase(found);
}

void Torrents::on_alert(const lt::alert *alert)
{
    if (auto *update = lt::alert_cast<lt::state_update_alert>(alert)) {
        for (auto &status : update->status)
            on_status(status);
    } else if (auto *listening = lt::alert_cast<lt::listen_succeeded_alert>(alert)) {
        if (listening->socket_type == lt::socket_type_t::tcp && port_.value_or(0) == 0)
            port_ = static_cast<uint16_t>(listening->port);
    } else if (auto *failed = lt::alert_cast<lt::listen_failed_alert>(alert)) {
        if (failed->socket_type != lt::socket_type_t::tcp || (failed->address.is_v6() && both_families_))
            return;
        channel_.error(AGENT_DO_START, "cannot listen on TCP " + failed->address.to_string() + " port " +
                                           std::to_string(failed->port) + ": " + failed->error.message());
        if (!port_)
            port_ = 0;
    } else if (auto *removed = lt::alert_cast<lt::torrent_removed_alert>(alert)) {
        on_removed(removed->handle);
    } else if (auto *of_torrent = dynamic_cast<const lt::torrent_alert *>(alert)) {
        if (Torrent *torrent = find(of_torrent->handle))
            on_torrent_alert(alert, *torrent);
    }
}

void Torrents::on_reports()
{
    for (auto &report : queue_->take()) {
        auto found = torrents_.find(report.id);
        if (found != torrents_.end())
            tell_peer(found->second, report.peer, report.corrupt ? "corrupt" : "stalled", report.piece,
                      report.text);
    }
}

void Torrents::on_wake()
{
    uint64_t n;
    std::vector<lt::alert *> alerts;

    if (read(wake_fd_, &n, sizeof n) < 0 && errno != EAGAIN)
        channel_.error("torrents", strerror(errno));
    on_reports();
    session_->pop_alerts(&alerts);
    for (auto *alert : alerts) {
        try {
            on_alert(alert);
        } catch (const std::exception &e) {
            channel_.error("torrents", std::string("libtorrent: ") + e.what());
        }
    }
}

Torrents::Time Torrents::run(Time now)
{
    if (now >= next_status_) {
        if (!torrents_.empty())
            session_->post_torrent_updates();
        next_status_ = now + STATUS_EVERY;
    }
    Time next = next_status_;
    for (auto &[id, torrent] : torrents_) {
        if (torrent.dial_at <= now)
            dial(torrent);
        next = std::min(next, torrent.dial_at);
    }
    return torrents_.empty() ? now + milliseconds(1000) : next;
}

} // namespace agent
