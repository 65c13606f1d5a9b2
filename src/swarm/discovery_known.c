/* The peers known from last time (discovery.h). */
#include "base/jv.h"
#include "base/mem.h"
#include "swarm/discovery_private.h"

#include <string.h>

static struct known_peer *slot_for(struct discovery *d, const struct node_id *id, bool proved)
{
    uint32_t i = 0;
    while (i < d->n_known && !node_id_equal(&d->known[i].id, id))
        i++;
    if (i < d->n_known)
        return &d->known[i];
    if (i < DISCOVERY_KNOWN_MAX) {
        d->n_known++;
        d->known[i] = (struct known_peer){.id = *id};
        return &d->known[i];
    }
    for (i = 0; proved && i < d->n_known; i++)
        if (!d->known[i].proved) {
            d->known[i] = (struct known_peer){.id = *id};
            return &d->known[i];
        }
    return NULL;
}

void discovery_remember(struct discovery *d, const struct node_id *id, const struct address *addresses,
                        uint32_t n, bool proved)
{
    struct known_peer *known = n ? slot_for(d, id, proved) : NULL;
    if (!known)
        return;
    known->proved |= proved;
    known->n_addresses = n < RECORD_ADDRESSES_MAX ? n : RECORD_ADDRESSES_MAX;
    memcpy(known->addresses, addresses, known->n_addresses * sizeof *addresses);
}

void discovery_forget(struct discovery *d, const struct node_id *id)
{
    for (uint32_t i = 0; i < d->n_known; i++)
        if (node_id_equal(&d->known[i].id, id)) {
            d->known[i] = d->known[--d->n_known];
            return;
        }
}

char *discovery_known_text(const struct discovery *d)
{
    struct jv *array = jv_array_new();
    for (uint32_t i = 0; i < d->n_known; i++) {
        struct jv *row = jv_object_new(), *addresses = jv_array_new();
        jv_set_hex(row, "id", d->known[i].id.bytes, NODE_ID_BYTES);
        for (uint32_t k = 0; k < d->known[i].n_addresses; k++) {
            char text[ADDRESS_TEXT_BYTES];
            address_text(text, &d->known[i].addresses[k]);
            jv_append(addresses, jv_text_new(text));
        }
        jv_set(row, "addresses", addresses);
        jv_append(array, row);
    }
    char *text = jv_print(array, JV_INDENTED);
    jv_free(array);
    return text;
}

void discovery_take_known(struct discovery *d, struct bytes text)
{
    struct jv *array;
    if (jv_parse(&array, text, NULL, NULL))
        return; /* a damaged file is only a lost hint */
    for (size_t i = 0; i < jv_count(array) && i < DISCOVERY_KNOWN_MAX; i++) {
        const struct jv *row = jv_at(array, i), *list = jv_get(row, "addresses");
        struct node_id id;
        struct address addresses[RECORD_ADDRESSES_MAX];
        uint32_t n = 0;
        for (size_t k = 0; k < jv_count(list) && n < RECORD_ADDRESSES_MAX; k++)
            n += address_parse(&addresses[n], jv_text(jv_at(list, k), ""));
        if (!jv_get_hex(row, "id", id.bytes, NODE_ID_BYTES))
            continue;
        discovery_remember(d, &id, addresses, n, false);
        discovery_want(d, &id, addresses, n);
    }
    jv_free(array);
}
