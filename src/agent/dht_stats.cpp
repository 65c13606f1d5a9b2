// What the node tells of itself once a second, when it changed: nodes, storage, refused datagrams.
#include "agent/dht.hpp"

#include "agent/gate_socket.hpp"

namespace agent
{

void DhtNode::tell_stats(Time)
{
    auto v4 = dht_->getNodesStats(AF_INET), v6 = dht_->getNodesStats(AF_INET6);
    auto [stored_bytes, stored_values] = dht_->getStoreSize();
    Json sources(json_array());

    for (size_t i = 0; i < socket_->sources.n_entries; i++) {
        const gate_source &source = socket_->sources.entries[i];
        json_array_append_new(sources.get(),
                              json_pack("{s:s, s:I, s:I}", "ip", ip_text(source.ip).c_str(), "short",
                                        json_int_t(source.n_short), "bad_mac", json_int_t(source.n_bad_mac)));
    }
    auto &n = socket_->n;
    Event event(AGENT_EVENT_DHT);
    event.set("good", v4.good_nodes + v6.good_nodes)
        .set("dubious", v4.dubious_nodes + v6.dubious_nodes)
        .set("stored_values", stored_values)
        .set("stored_bytes", stored_bytes)
        .set("rx_short", n.rx_short)
        .set("rx_bad_mac", n.rx_bad_mac)
        .set("tx_failed", n.tx_failed)
        .set("sources", std::move(sources));
    std::string what = event.line(); // the plain traffic counters alone are no news
    if (what == last_stats_)
        return;
    last_stats_ = what;
    channel_.send(event.set("rx_ok", n.rx_good).set("tx", n.tx));
}

} // namespace agent
