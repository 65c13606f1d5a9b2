/* shoal init: makes the swarm key and the owner's pair once, and prints the join token. */
#include "app/commands.h"
#include "app/host.h"
#include "app/options.h"
#include "base/mem.h"
#include "swarm/credentials.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where the entry will be reached: as told, else this machine's first address. */
static enum status find_entry(struct host_port *out, const char *advertise, struct error *err)
{
    struct address address;
    if (advertise) {
        if (!host_port_parse(out, advertise, ENTRY_PORT_DEFAULT))
            return error_set(err, STATUS_BAD_USAGE, "--advertise '%s': HOST:PORT is needed", advertise);
        if (strcmp(out->host, "0.0.0.0") == 0)
            return error_set(err, STATUS_BAD_USAGE,
                             "--advertise '%s': 0.0.0.0 is an address to listen on, not one to reach",
                             advertise);
        return STATUS_OK;
    }
    *out = (struct host_port){.port = ENTRY_PORT_DEFAULT};
    snprintf(out->host, sizeof out->host, "127.0.0.1");
    if (host_addresses(&address, 1, ENTRY_PORT_DEFAULT)) {
        char ip[ADDRESS_TEXT_BYTES];
        address_ip_text(ip, &address);
        snprintf(out->host, sizeof out->host, address.family == 6 ? "[%s]" : "%s", ip);
    }
    return STATUS_OK;
}

int cmd_init(int argc, char **argv)
{
    static const struct option options[] = {{"cluster", required_argument, NULL, 'c'},
                                            {"advertise", required_argument, NULL, 'a'},
                                            {NULL, 0, NULL, 0}};
    const char *cluster = NULL, *advertise = NULL;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            cluster = optarg;
        else if (c == 'a')
            advertise = optarg;
        else
            return command_usage_error("init", "there is no option '%s', or it lacks its value",
                                       argv[optind - 1]);
    }
    if (optind < argc)
        return command_usage_error("init", "'%s' is too much", argv[optind]);
    if (cluster && !cluster_name_is_valid(cluster))
        return command_usage_error(
            "init", "--cluster '%s': up to 63 letters, digits, '.', '_' and '-' are allowed", cluster);
    struct host_port entry;
    struct credentials credentials;
    struct error err;
    /* What an earlier init made stays as it is, so that a second one prints the same. */
    bool is_new = credentials_load(&credentials, NULL, NULL) != STATUS_OK;
    bool keep_entry = !is_new && !advertise && credentials.entry_host[0];
    if (find_entry(&entry, advertise, &err))
        return command_failed("init", &err);
    if (credentials_init(&credentials, cluster || !is_new ? cluster : CLUSTER_DEFAULT,
                         keep_entry ? NULL : entry.host, entry.port, &err))
        return command_failed("init", &err);
    char *token = credentials_token(&credentials);
    puts(token);
    if (isatty(STDOUT_FILENO))
        fprintf(stderr, "This join token is the key to the swarm. On this machine: `shoal bootstrap`, `shoal "
                        "node`, `shoal serve`.\n"
                        "On each other machine: `shoal node TOKEN`.\n");
    crypto_wipe(token, strlen(token));
    mem_free(token);
    credentials_wipe(&credentials);
    return 0;
}
