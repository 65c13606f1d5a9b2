/* shell - texts as words of a POSIX shell's command line, for commands that people paste. Thread: any. */
#ifndef BASE_SHELL_H
#define BASE_SHELL_H

/* The text itself where a shell takes it as it is, else in single quotes; a block for mem_free. */
char *shell_word(const char *text);
/* DIR/NAME as one word; name NULL: DIR. */
char *shell_path(const char *dir, const char *name);

#endif
