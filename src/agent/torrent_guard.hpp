// torrent_guard - watches the peers of one torrent from inside libtorrent: who contributed to a piece that
// turned out bad, and who owes data without sending any. libtorrent bans who alone sent a bad piece, and also
// who had a part in several; the latter may be honest peers, of whose blocks a liar completed many pieces
// before the first was checked, and is kept from happening.
//
// Thread: libtorrent's network thread, except GuardQueue, which main empties.
#pragma once

#include <chrono>
#include <libtorrent/extensions.hpp>
#include <libtorrent/peer_connection_handle.hpp>
#include <libtorrent/torrent_handle.hpp>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace agent
{

struct GuardReport {
    std::string id; // of the torrent
    lt::tcp::endpoint peer;
    bool corrupt = false; // else it stalled
    int piece = -1;
    std::string text;
};

class GuardQueue
{
  public:
    explicit GuardQueue(int wake_fd) : wake_fd_(wake_fd) {}
    void post(GuardReport report);
    std::vector<GuardReport> take();
    void wake() const;

  private:
    static constexpr size_t REPORTS_MAX = 1024; // past it, new ones are dropped
    int wake_fd_;
    std::mutex lock_;
    std::vector<GuardReport> reports_;
};

class GuardPeer;

class Guard final : public lt::torrent_plugin, public std::enable_shared_from_this<Guard>
{
  public:
    using Clock = std::chrono::steady_clock;

    Guard(std::string id, std::shared_ptr<GuardQueue> queue) : id_(std::move(id)), queue_(std::move(queue)) {}

    std::shared_ptr<lt::peer_plugin> new_connection(const lt::peer_connection_handle &connection) override;
    void on_piece_pass(lt::piece_index_t piece) override;
    void on_piece_failed(lt::piece_index_t piece) override;

    void contributed(int piece, const lt::tcp::endpoint &peer);
    void stalled(const lt::tcp::endpoint &peer, const std::string &text);
    bool is_suspended(const lt::tcp::endpoint &peer);
    bool others_than(const GuardPeer *peer);

  private:
    std::string id_;
    std::shared_ptr<GuardQueue> queue_;
    std::vector<std::weak_ptr<GuardPeer>> peers_;
    std::map<int, std::set<lt::tcp::endpoint>> contributors_; // of the pieces under way
    std::map<lt::tcp::endpoint, Clock::time_point> suspended_;
};

class GuardPeer final : public lt::peer_plugin
{
  public:
    using Clock = std::chrono::steady_clock;

    GuardPeer(std::weak_ptr<Guard> guard, lt::peer_connection_handle connection)
        : guard_(std::move(guard)), connection_(std::move(connection)), endpoint_(connection_.remote())
    {
    }
    bool is_working() const;
    void keep_trusted();
    const lt::tcp::endpoint &endpoint() const { return endpoint_; }

    bool on_extension_handshake(const lt::bdecode_node &handshake) override;
    bool on_choke() override;
    bool on_piece(const lt::peer_request &request, lt::span<const char>) override;
    bool on_reject(const lt::peer_request &) override;
    void sent_request(const lt::peer_request &) override;
    void sent_cancel(const lt::peer_request &) override;
    void tick() override;

  private:
    void settle(); // one request less is owed

    std::weak_ptr<Guard> guard_;
    lt::peer_connection_handle connection_;
    lt::tcp::endpoint endpoint_; // with the port it listens on, once it said so
    int n_owed_ = 0, n_rejected_ = 0;
    Clock::time_point owing_since_{};
};

} // namespace agent
