#include "agent/torrent_guard.hpp"

#include "agent/protocol.h"

#include <algorithm>
#include <libtorrent/bdecode.hpp>
#include <libtorrent/error_code.hpp>
#include <libtorrent/peer_connection.hpp>
#include <libtorrent/peer_request.hpp>
#include <libtorrent/torrent_peer.hpp>
#include <unistd.h>

namespace agent
{

namespace
{

constexpr auto SUSPENDED_FOR = std::chrono::seconds(30);
constexpr int REJECTS_MAX = 64; // in a row
constexpr size_t SUSPENDED_MAX = 1024;
constexpr int TRUST_LEAST = -4; // a bad piece takes two points off behind on_piece_failed; at -7 there is a ban

} // namespace

void GuardQueue::wake() const
{
    uint64_t one = 1;
    if (write(wake_fd_, &one, sizeof one) < 0) {
        // The counter is full: main is awake already.
    }
}

void GuardQueue::post(GuardReport report)
{
    {
        std::lock_guard<std::mutex> held(lock_);
        if (reports_.size() < REPORTS_MAX)
            reports_.push_back(std::move(report));
    }
    wake();
}

std::vector<GuardReport> GuardQueue::take()
{
    std::lock_guard<std::mutex> held(lock_);
    return std::exchange(reports_, {});
}

std::shared_ptr<lt::peer_plugin> Guard::new_connection(const lt::peer_connection_handle &connection)
{
    auto peer = std::make_shared<GuardPeer>(weak_from_this(), connection);
    peers_.erase(std::remove_if(peers_.begin(), peers_.end(), [](auto &old) { return old.expired(); }),
                 peers_.end());
    peers_.push_back(peer);
    return peer;
}

void Guard::contributed(int piece, const lt::tcp::endpoint &peer)
{
    contributors_[piece].insert(peer);
}

void Guard::on_piece_pass(lt::piece_index_t piece)
{
    contributors_.erase(static_cast<int>(piece));
}

void Guard::on_piece_failed(lt::piece_index_t piece)
{
    auto found = contributors_.find(static_cast<int>(piece));
    if (found == contributors_.end())
        return;
    size_t n = found->second.size();
    if (n > 1)
        for (auto &weak : peers_)
            if (auto peer = weak.lock(); peer && found->second.count(peer->endpoint()))
                peer->keep_trusted(); // on parole now: its next pieces are all its own, and tell
    for (auto &peer : found->second) {
        GuardReport report{id_, peer, true, found->first, ""};
        report.text = n == 1 ? "every block of this piece came from it"
                             : "one of " + std::to_string(n) + " peers that sent blocks of this piece";
        queue_->post(std::move(report));
    }
    contributors_.erase(found);
}

void Guard::stalled(const lt::tcp::endpoint &peer, const std::string &text)
{
    if (suspended_.size() < SUSPENDED_MAX)
        suspended_[peer] = Clock::now() + SUSPENDED_FOR;
    queue_->post(GuardReport{id_, peer, false, -1, text});
}

bool Guard::is_suspended(const lt::tcp::endpoint &peer)
{
    auto found = suspended_.find(peer);
    if (found == suspended_.end())
        return false;
    if (found->second > Clock::now())
        return true;
    suspended_.erase(found);
    return false;
}

bool Guard::others_than(const GuardPeer *peer)
{
    return std::any_of(peers_.begin(), peers_.end(), [peer](auto &weak) {
        auto other = weak.lock();
        return other && other.get() != peer && other->is_working();
    });
}

bool GuardPeer::is_working() const
{
    return connection_.native_handle() && !connection_.is_disconnecting() && !connection_.is_connecting() &&
           !connection_.in_handshake() && connection_.is_interesting() && !connection_.has_peer_choked();
}

void GuardPeer::keep_trusted()
{
    auto connection = connection_.native_handle();
    if (lt::torrent_peer *known = connection ? connection->peer_info_struct() : nullptr)
        known->trust_points = std::max<int>(known->trust_points, TRUST_LEAST);
}

bool GuardPeer::on_extension_handshake(const lt::bdecode_node &handshake)
{
    auto port = handshake.dict_find_int_value("p");
    if (port > 0 && port < 65536)
        endpoint_.port(static_cast<uint16_t>(port));
    return true;
}

void GuardPeer::settle()
{
    n_owed_ = std::max(n_owed_ - 1, 0);
    owing_since_ = Clock::now();
}

bool GuardPeer::on_choke()
{
    n_owed_ = 0;
    return false;
}

bool GuardPeer::on_piece(const lt::peer_request &request, lt::span<const char>)
{
    settle();
    n_rejected_ = 0;
    if (auto guard = guard_.lock())
        guard->contributed(static_cast<int>(request.piece), endpoint_);
    return false;
}

bool GuardPeer::on_reject(const lt::peer_request &)
{
    n_owed_ = std::max(n_owed_ - 1, 0);
    if (!connection_.has_peer_choked()) // with a choke, all that was asked for is refused: that is in order
        n_rejected_++;
    return false;
}

void GuardPeer::sent_request(const lt::peer_request &)
{
    if (n_owed_++ == 0)
        owing_since_ = Clock::now();
}

void GuardPeer::sent_cancel(const lt::peer_request &)
{
    n_owed_ = std::max(n_owed_ - 1, 0);
}

void GuardPeer::tick()
{
    auto guard = guard_.lock();
    if (!guard || connection_.is_disconnecting() || connection_.is_connecting())
        return;
    auto drop = [this] {
        connection_.disconnect(lt::errors::timed_out, lt::operation_t::bittorrent,
                               lt::peer_connection_interface::failure);
    };
    if (connection_.is_outgoing() && guard->is_suspended(endpoint_))
        return drop();
    auto owing_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - owing_since_).count();
    bool silent = n_owed_ > 0 && owing_ms >= AGENT_STALL_MS, refusing = n_rejected_ >= REJECTS_MAX;
    if ((!silent && !refusing) || !guard->others_than(this))
        return;
    guard->stalled(endpoint_, refusing ? "refused " + std::to_string(n_rejected_) + " requests in a row"
                                       : "owed " + std::to_string(n_owed_) + " blocks and sent none for " +
                                             std::to_string(owing_ms / 1000) + " s");
    drop();
}

} // namespace agent
