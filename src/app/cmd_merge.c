/* shoal merge - puts the shards of a folder together again, bit for bit. */
#include "app/client.h"
#include "app/commands.h"
#include "app/progress.h"
#include "base/jv.h"
#include "base/mem.h"
#include "model/gguf.h"
#include "model/shards.h"

#include <getopt.h>
#include <stdio.h>

#define NAME "merge"

static const struct option long_options[] = {
    {"out", required_argument, NULL, 'o'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};

static void print_result(const char *path, bool as_json)
{
    struct gguf *gguf;
    char size[32];
    uint64_t bytes = 0;
    if (!gguf_open(&gguf, path, NULL)) {
        bytes = gguf_file_bytes(gguf);
        gguf_close(gguf);
    }
    if (as_json) {
        struct jv *root = jv_object_new();
        jv_set_text(root, "file", path);
        jv_set_int(root, "bytes", (int64_t)bytes);
        char *text = jv_print(root, JV_COMPACT);
        puts(text);
        mem_free(text);
        jv_free(root);
        return;
    }
    client_size(size, (double)bytes);
    printf("%s: %s; its fingerprint is that of the model that was split\n", path, size);
}

int cmd_merge(int argc, char **argv)
{
    const char *out = NULL;
    struct error err;
    struct progress progress;
    bool as_json = false;
    optind = 1;
    opterr = 0;
    for (int letter; (letter = getopt_long(argc, argv, "o:", long_options, NULL)) != -1;) {
        if (letter == 'o')
            out = optarg;
        else if (letter == 'j')
            as_json = true;
        else
            return command_usage_error(NAME, "'%s' is no option, or lacks its value", argv[optind - 1]);
    }
    if (optind + 1 != argc || !out)
        return command_usage_error(NAME, "give the folder of shards and -o MODEL.gguf");
    progress_begin(&progress, "merging");
    enum status status = shards_merge(argv[optind], out, &progress.callbacks, &err);
    progress_end(&progress);
    if (status)
        return command_failed(NAME, &err);
    print_result(out, as_json);
    return 0;
}
