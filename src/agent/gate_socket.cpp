#include "agent/gate_socket.hpp"

#include "agent/channel.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <ctime>
#include <sys/socket.h>
#include <unistd.h>

namespace agent
{

namespace
{

constexpr size_t DATAGRAM_BYTES_MAX = 2048; // OpenDHT keeps its own under 1,280
constexpr size_t BATCH = 32, BATCHES_PER_TURN = 8;

uint64_t hour_now()
{
    return static_cast<uint64_t>(time(nullptr)) / 3600;
}

} // namespace

dht::SockAddr address_of(const std::string &ip, uint16_t port)
{
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET, ip.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        return dht::SockAddr(reinterpret_cast<sockaddr *>(&v4), sizeof v4);
    }
    if (inet_pton(AF_INET6, ip.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        return dht::SockAddr(reinterpret_cast<sockaddr *>(&v6), sizeof v6);
    }
    throw Refused("'" + ip + "' is not a numeric IP address; names are resolved by the parent");
}

std::string ip_text(const uint8_t ip[16])
{
    static const uint8_t v4[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN] = "";
    if (memcmp(ip, v4, sizeof v4) == 0)
        inet_ntop(AF_INET, ip + 12, text, sizeof text);
    else
        inet_ntop(AF_INET6, ip, text, sizeof text);
    return text;
}

void ip_bytes(const dht::SockAddr &address, uint8_t ip[16])
{
    memset(ip, 0, 16);
    if (address.getFamily() == AF_INET6) {
        memcpy(ip, &address.getIPv6().sin6_addr, 16);
    } else {
        ip[10] = ip[11] = 0xff;
        memcpy(ip + 12, &address.getIPv4().sin_addr, 4);
    }
}

GateSocket::GateSocket(const std::vector<uint8_t> &key, const std::string &bind4, const std::string &bind6,
                       uint16_t port)
    : key_(key)
{
    if (!bind4.empty()) {
        open(s4_, bound4_, address_of(bind4, port));
        port = bound4_.getPort();
    }
    if (!bind6.empty()) {
        try {
            open(s6_, bound6_, address_of(bind6, port));
        } catch (const Refused &) {
            if (s4_ < 0) // a machine without IPv6 is fine where IPv4 was asked for too
                throw;
        }
    }
    if (s4_ < 0 && s6_ < 0)
        throw Refused("neither 'bind4' nor 'bind6' was given");
}

GateSocket::~GateSocket()
{
    stop();
    sodium_memzero(key_.data(), key_.size());
}

void GateSocket::open(int &fd, dht::SockAddr &bound, const dht::SockAddr &at)
{
    int one = 1, buffer = 4 << 20; // the kernel caps it; bursts of a whole swarm fit in less
    sockaddr_storage name{};
    socklen_t name_bytes = sizeof name;

    fd = ::socket(at.getFamily(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && at.getFamily() == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (fd < 0 || ::bind(fd, at.get(), at.getLength()) ||
        getsockname(fd, reinterpret_cast<sockaddr *>(&name), &name_bytes)) {
        int why = errno;
        if (fd >= 0)
            ::close(fd);
        fd = -1;
        throw Refused("cannot listen on UDP " + at.toString() + ": " + strerror(why));
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    bound = dht::SockAddr(name, name_bytes);
}

void GateSocket::stop()
{
    for (int *fd : {&s4_, &s6_}) {
        if (*fd >= 0)
            ::close(*fd);
        *fd = -1;
    }
}

std::vector<int> GateSocket::fds() const
{
    std::vector<int> out;
    for (int fd : {s4_, s6_})
        if (fd >= 0)
            out.push_back(fd);
    return out;
}

const dht::SockAddr &GateSocket::getBoundRef(sa_family_t family) const
{
    return family == AF_INET6 || (family == AF_UNSPEC && s4_ < 0) ? bound6_ : bound4_;
}

int GateSocket::sendTo(const dht::SockAddr &to, const uint8_t *data, size_t size, bool)
{
    uint8_t packet[DATAGRAM_BYTES_MAX];
    int fd = to.getFamily() == AF_INET6 ? s6_ : s4_;

    if (fd < 0)
        return EAFNOSUPPORT;
    if (size + GATE_TAG_BYTES > sizeof packet)
        return EMSGSIZE;
    memcpy(packet, data, size);
    gate_tag(packet + size, key_.data(), hour_now(), data, size);
    if (::sendto(fd, packet, size + GATE_TAG_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL, to.get(), to.getLength()) <
        0) {
        n.tx_failed++;
        return errno;
    }
    n.tx++;
    return 0;
}

bool GateSocket::admit(const uint8_t *packet, size_t bytes, bool whole, const dht::SockAddr &from)
{
    gate_verdict verdict = whole ? gate_check(key_.data(), hour_now(), packet, bytes) : GATE_BAD_MAC;
    if (verdict == GATE_GOOD) {
        n.rx_good++;
        return true;
    }
    (verdict == GATE_SHORT ? n.rx_short : n.rx_bad_mac)++;
    uint8_t ip[16];
    ip_bytes(from, ip);
    gate_sources_count(&sources, ip, verdict);
    return false;
}

void GateSocket::receive(int fd, const Take &take)
{
    static uint8_t packets[BATCH][DATAGRAM_BYTES_MAX];
    sockaddr_storage from[BATCH];
    iovec parts[BATCH];
    mmsghdr messages[BATCH];

    for (size_t turn = 0; turn < BATCHES_PER_TURN; turn++) {
        for (size_t i = 0; i < BATCH; i++) {
            parts[i] = {packets[i], DATAGRAM_BYTES_MAX};
            messages[i] = {};
            messages[i].msg_hdr.msg_name = &from[i];
            messages[i].msg_hdr.msg_namelen = sizeof from[i];
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
        int n_got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < n_got; i++) {
            dht::SockAddr source(from[i], messages[i].msg_hdr.msg_namelen);
            bool whole = !(messages[i].msg_hdr.msg_flags & MSG_TRUNC);
            if (admit(packets[i], messages[i].msg_len, whole, source))
                take(packets[i], messages[i].msg_len - GATE_TAG_BYTES, source);
        }
        if (n_got < static_cast<int>(BATCH))
            return;
    }
}

} // namespace agent
