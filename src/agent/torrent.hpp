// torrent - the shards' files, by libtorrent: one private v1 torrent a file, built from fields and not from a
// torrent file; no DHT, trackers, exchange of peers, or discovery. Peers are those we are told, and nobody
// whose address is not a member's gets a word in.
//
// A fetched file is written as NAME.part, under an info-hash that says NAME, and seeded from there while it
// grows and after. torrent_rename moves the seeding to NAME without hashing anything again; it does the
// rename(2) itself when the parent has not. Known-good files are seeded without a hash (libtorrent's seed
// mode checks each piece when it is first asked for), and never written.
//
// libtorrent's own "smart ban" is not used: it looks a culprit up by address alone, and several nodes share
// one. Instead libtorrent's parole rule finds the bad peer (pieces from one source only, then a ban), and
// torrent_guard names everybody who contributed to a bad piece and drops who owes data and sends none.
// Thread: main. libtorrent's network thread only posts (guard's queue, the wake-up descriptor).
#pragma once

#include "agent/channel.hpp"
#include "agent/torrent_guard.hpp"

#include <chrono>
#include <libtorrent/session.hpp>
#include <libtorrent/torrent_handle.hpp>
#include <libtorrent/torrent_status.hpp>
#include <map>
#include <optional>

namespace agent
{

struct TorrentConfig {
    std::string bind4, bind6;
    uint16_t port = 0;
    bool port_fixed = false; // else any free one where it is taken
    int64_t upload_rate = 0, download_rate = 0;
    std::vector<std::string> dirs;
};

class Torrents
{
  public:
    using Time = std::chrono::steady_clock::time_point;

    Torrents(Channel &channel, const TorrentConfig &config);

    int wake_fd() const { return wake_fd_; }
    void on_wake();
    Time run(Time now);
    std::optional<uint16_t> port() const { return port_; } // known once listening succeeded or failed

    void add(const json_t *command);
    void remove(const json_t *command);
    void peer(const json_t *command);
    void members(const json_t *command);
    void rename(const json_t *command);
    void pause(const json_t *command);
    void retry(const json_t *command);
    void limits(const json_t *command);

  private:
    struct Torrent {
        std::string id, dir, name, file; // file: what a seed is called on disk
        int64_t bytes = 0;
        bool seed = false;    // NAME was whole when it was added
        bool renamed = false; // NAME.part has become NAME
        bool complete = false, paused = false, checked = false;
        bool error_is_disk = false; // then it ends when libtorrent writes again
        int error_number = 0, n_hash_failures = 0, n_connected = 0;
        std::string error, last_told;
        std::map<lt::tcp::endpoint, bool> peers; // true: banned
        Time dial_at = Time::max(), retry_until{};
        lt::torrent_handle handle;
        lt::torrent_status status;
        bool has_status = false;

        std::string path_part() const { return dir + "/" + name + AGENT_PART_SUFFIX; }
        std::string path() const { return dir + "/" + (seed ? file : name); }
    };

    Torrent &find(const json_t *command);
    Torrent *find(const lt::torrent_handle &handle);
    std::shared_ptr<lt::torrent_info> info_of(const json_t *command, const Torrent &torrent);
    void check_file(const Torrent &torrent);
    void dial(Torrent &torrent);
    static void clear_error(Torrent &torrent);
    void fail(Torrent &torrent, int number, const std::string &text);
    void tell(Torrent &torrent);
    void tell_peer(const Torrent &torrent, const lt::tcp::endpoint &peer, const char *fault, int piece,
                   const std::string &text);
    void on_alert(const lt::alert *alert);
    void on_torrent_alert(const lt::alert *alert, Torrent &torrent);
    void on_file_error(Torrent &torrent, const lt::error_code &error, const std::string &file,
                       const std::string &what);
    void on_status(const lt::torrent_status &status);
    void on_removed(const lt::torrent_handle &handle);
    void on_reports();

    Channel &channel_;
    bool both_families_; // then IPv6 may be missing
    std::vector<std::string> dirs_;
    int wake_fd_;
    std::shared_ptr<GuardQueue> queue_;
    std::unique_ptr<lt::session> session_;
    std::map<std::string, Torrent> torrents_;
    std::map<lt::torrent_handle, std::string> ids_;
    std::map<lt::torrent_handle, std::string> leaving_; // removed: the .part to delete, or ""
    std::optional<uint16_t> port_;
    Time next_status_{};
};

} // namespace agent
