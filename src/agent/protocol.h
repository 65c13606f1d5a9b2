/* protocol - the lines between shoal and shoal-agent, in C for both.
 *
 * JSON objects, one a line, UTF-8, each at most AGENT_LINE_BYTES_MAX with its newline, over the socket pair
 * that the agent finds as descriptor AGENT_FD. The agent's first input line is `start`; it sandboxes itself,
 * answers `hello`, opens the network, answers `ready`. A command that cannot be done is answered by `error`,
 * never by silence or by the agent's end. End of file on either side ends the agent.
 *
 * Types: KEY and ID are 40 hex digits, U64 is 16 hex digits (JSON numbers end at 2^53), DATA is base64url
 * without padding, IP is numeric text, rates are bytes per second (0: no limit).
 *
 *   do                 fields
 *   start              version, mac_key (64 hex), network, node_id KEY, bind4 IP?, bind6 IP?, dht_port,
 *                      torrent_port, torrent_port_fixed, dirs [path], value_ttl_s, upload_rate, download_rate
 *   bootstrap          ip, port                      remembered; asked again until it answers
 *   announce           key, value_id U64, data       kept: put again before it expires and when nodes change
 *   retract            key, value_id
 *   listen, unlisten   key                           values and expirations are pushed
 *   get                key                           values, then `got`
 *   network_changed                                  addresses of this machine changed: ask everybody again
 *   torrent_add        id, dir, name, bytes, piece_bytes, pieces (DATA: SHA-1 of each), salt (hex), mode
 *                      ("fetch": writes NAME.part; "seed": NAME is whole and known good), file? (what a seed is
 *                      called on disk where that is not NAME)
 *   torrent_remove     id, delete_part
 *   torrent_peer       id, ip, port
 *   torrent_members    ips [IP]                      nobody else may connect or be connected to
 *   torrent_rename     id                            NAME.part is now, or is to become, NAME; seeding goes on
 *   torrent_pause      id, paused
 *   torrent_retry      id                            after an error of the disk
 *   limits             upload_rate, download_rate
 *   stop
 *
 *   event              fields
 *   hello              version, sandbox ["landlock", "seccomp"], opendht, libtorrent
 *   ready              dht_port, torrent_port
 *   entry              ip, port, answered            a bootstrap address answered, or fell silent
 *   value              key, value_id, data           data begins with its sequence number, u64 little-endian
 *   expired            key, value_id
 *   announced          key, value_id, ok, acked      acked: by how many other nodes; told when it changes
 *   got                key, values, asked            asked: how many nodes answered (a key that is listened to
 *                                                    is answered by what the listen brought)
 *   dht                good, dubious, stored_values, stored_bytes, rx_ok, rx_short, rx_bad_mac, tx, tx_failed,
 *                      sources [{ip, short, bad_mac}]   refused datagrams by source, worst first
 *   torrent            id, state, bytes_done, bytes_total, rate_down, rate_up, uploaded, wasted, peers, seeds,
 *                      hash_failures, errno?, error?
 *   torrent_peer       id, ip, port, fault ("corrupt", "banned", "stalled"), piece?, text
 *   error              about (the command), id?, text
 */
#ifndef AGENT_PROTOCOL_H
#define AGENT_PROTOCOL_H

#define AGENT_PROTOCOL_VERSION 1
#define AGENT_FD               3
#define AGENT_LINE_BYTES_MAX   (256 * 1024)

#define AGENT_KEY_BYTES         20
#define AGENT_VALUE_BYTES_MIN   8    /* the sequence number */
#define AGENT_VALUE_BYTES_MAX   2048 /* up to about 560 travel in one datagram */
#define AGENT_VALUE_TTL_S       180  /* default; put again at a third of it */
#define AGENT_PIECES_MAX        9000 /* of one torrent: 240 KB of base64 in one line */
#define AGENT_PIECE_BYTES_MIN   16384
#define AGENT_PIECE_BYTES_MAX   (64 * 1024 * 1024)
#define AGENT_TORRENT_BYTES_MAX ((long long)1 << 42)
#define AGENT_NAME_BYTES_MAX    200
#define AGENT_SALT_BYTES_MAX    64
#define AGENT_DIRS_MAX          16
#define AGENT_BOOTSTRAPS_MAX    256
#define AGENT_ANNOUNCEMENTS_MAX 1024
#define AGENT_LISTENS_MAX       1024
#define AGENT_TORRENTS_MAX      1024
#define AGENT_TORRENT_PEERS_MAX 1024 /* of one torrent */
#define AGENT_MEMBERS_MAX       4096
#define AGENT_SOURCES_MAX       16
#define AGENT_PART_SUFFIX       ".part"
#define AGENT_STALL_MS          8000 /* a peer that owes data for so long is dropped when others have it */

#define AGENT_DO                 "do"
#define AGENT_DO_START           "start"
#define AGENT_DO_BOOTSTRAP       "bootstrap"
#define AGENT_DO_ANNOUNCE        "announce"
#define AGENT_DO_RETRACT         "retract"
#define AGENT_DO_LISTEN          "listen"
#define AGENT_DO_UNLISTEN        "unlisten"
#define AGENT_DO_GET             "get"
#define AGENT_DO_NETWORK_CHANGED "network_changed"
#define AGENT_DO_TORRENT_ADD     "torrent_add"
#define AGENT_DO_TORRENT_REMOVE  "torrent_remove"
#define AGENT_DO_TORRENT_PEER    "torrent_peer"
#define AGENT_DO_TORRENT_MEMBERS "torrent_members"
#define AGENT_DO_TORRENT_RENAME  "torrent_rename"
#define AGENT_DO_TORRENT_PAUSE   "torrent_pause"
#define AGENT_DO_TORRENT_RETRY   "torrent_retry"
#define AGENT_DO_LIMITS          "limits"
#define AGENT_DO_STOP            "stop"

#define AGENT_EVENT              "event"
#define AGENT_EVENT_HELLO        "hello"
#define AGENT_EVENT_READY        "ready"
#define AGENT_EVENT_ENTRY        "entry"
#define AGENT_EVENT_VALUE        "value"
#define AGENT_EVENT_EXPIRED      "expired"
#define AGENT_EVENT_ANNOUNCED    "announced"
#define AGENT_EVENT_GOT          "got"
#define AGENT_EVENT_DHT          "dht"
#define AGENT_EVENT_TORRENT      "torrent"
#define AGENT_EVENT_TORRENT_PEER "torrent_peer"
#define AGENT_EVENT_ERROR        "error"

/* What `state` of a torrent event says. */
#define AGENT_STATE_CHECKING "checking" /* hashing what is on disk */
#define AGENT_STATE_FETCHING "fetching"
#define AGENT_STATE_FINISHED "finished" /* every piece is there, under NAME.part */
#define AGENT_STATE_SEEDING  "seeding"  /* under NAME */
#define AGENT_STATE_PAUSED   "paused"
#define AGENT_STATE_FAILED   "failed" /* errno and error tell; torrent_retry starts it again */

#endif
