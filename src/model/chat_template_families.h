/* chat_template_families - the table of known chat formats: what stands around each role's text, and the words
 * by which a model's template is known to be of that family. For chat_template.c only. */
#ifndef MODEL_CHAT_TEMPLATE_FAMILIES_H
#define MODEL_CHAT_TEMPLATE_FAMILIES_H

#include <stddef.h>

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT, CHAT_ROLE_COUNT };

/* In markers: the model's own bos_token and eos_token. */
#define CHAT_BOS "\1"
#define CHAT_EOS "\2"

enum {
    CHAT_TRIM = 1,           /* white space around a content goes */
    CHAT_SYSTEM_IN_USER = 2, /* the system text lies inside the user turn that follows */
    CHAT_TRIM_ASSISTANT = 8,
    CHAT_BOS_PER_USER = 4, /* every user turn but the prompt's first begins with bos_token */
};

struct chat_turn {
    const char *before, *after;
};

struct chat_family {
    const char *name;
    const char *has[3]; /* all of them are in the template; line ends are line ends */
    const char *opening, *system_preface;
    struct chat_turn turns[CHAT_ROLE_COUNT]; /* system, user, assistant */
    const char *generation, *stop;
    unsigned flags;
};

/* The first family of the table whose words are all there; NULL where none is. */
const struct chat_family *chat_family_of(const char *template_text);
const struct chat_family *chat_family_named(const char *name);

#endif
