// gate_socket - the DHT's UDP socket: every datagram that leaves gets its tag, and none that lacks a good one
// comes further than the counters (gate.h).
// Owned by dht::Dht, which sends through it; what is received is read by our loop. Thread: main.
#pragma once

#include "agent/gate.h"

#include <functional>
#include <opendht/network_utils.h>
#include <string>
#include <vector>

namespace agent
{

// From numeric text; throws Refused. Names are never resolved.
dht::SockAddr address_of(const std::string &ip, uint16_t port);
std::string ip_text(const uint8_t ip[16]);                   // IPv4 mapped into IPv6, or IPv6
void ip_bytes(const dht::SockAddr &address, uint8_t ip[16]); // the other way

class GateSocket final : public dht::net::DatagramSocket
{
  public:
    struct Counters {
        uint64_t rx_good = 0, rx_short = 0, rx_bad_mac = 0, tx = 0, tx_failed = 0;
    };
    using Take = std::function<void(const uint8_t *body, size_t bytes, const dht::SockAddr &from)>;

    Counters n;
    gate_sources sources{};

    // "" for a family that is not used; port 0: any. Throws Refused.
    GateSocket(const std::vector<uint8_t> &key, const std::string &bind4, const std::string &bind6,
               uint16_t port);
    ~GateSocket() override;

    std::vector<int> fds() const;
    // Gives every datagram that passes the gate to `take`, up to a bound per call.
    void receive(int fd, const Take &take);

    int sendTo(const dht::SockAddr &to, const uint8_t *data, size_t size, bool) override;
    // Both, always: OpenDHT 2.4.12 gives no token for a listen, and cannot cancel it, unless both families run.
    // On the one that is not bound searches have no nodes and end at once.
    bool hasIPv4() const override { return s4_ >= 0 || s6_ >= 0; }
    bool hasIPv6() const override { return s4_ >= 0 || s6_ >= 0; }
    const dht::SockAddr &getBoundRef(sa_family_t family) const override;
    std::vector<dht::SockAddr> resolve(const std::string &, const std::string &) override { return {}; }
    void stop() override;

  private:
    void open(int &fd, dht::SockAddr &bound, const dht::SockAddr &at);
    bool admit(const uint8_t *packet, size_t bytes, bool whole, const dht::SockAddr &from);

    std::vector<uint8_t> key_;
    int s4_ = -1, s6_ = -1;
    dht::SockAddr bound4_, bound6_;
};

} // namespace agent
