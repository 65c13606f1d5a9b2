#!/usr/bin/env python3
"""Writes src/model/unicode_tables.c: the class of every code point, as runs, from Python's unicodedata.

usage: tools/make_unicode_tables.py > src/model/unicode_tables.c
The Unicode version is that of the Python that runs this; it is named in the file. Needs the module `regex`
(python3-regex) for what unicodedata does not have: the script Han, and what \\w means.
"""
import unicodedata
import regex

UPPER, LOWER, OTHER, MARK, NUMBER, PUNCTUATION, SYMBOL, SPACE, DECIMAL, WORD, HAN = (1 << i for i in range(11))
BY_CATEGORY = {'Lu': UPPER, 'Lt': UPPER, 'Ll': LOWER, 'Lm': OTHER, 'Lo': OTHER}
BY_MAJOR = {'M': MARK, 'N': NUMBER, 'P': PUNCTUATION, 'S': SYMBOL}
# The White_Space property (PropList.txt), which \s means; Python's isspace() has U+001C to U+001F besides.
WHITE = {*range(0x09, 0x0e), 0x20, 0x85, 0xa0, 0x1680, *range(0x2000, 0x200b), 0x2028, 0x2029, 0x202f, 0x205f, 0x3000}


def bits(cp):
    if cp in WHITE:
        return SPACE
    category = unicodedata.category(chr(cp))
    if category == 'Cn':  # the module's tables may be newer
        return 0
    b = BY_CATEGORY.get(category) or BY_MAJOR.get(category[0], 0)
    b |= DECIMAL if category == 'Nd' else 0
    b |= WORD if regex.match(r'\w', chr(cp)) else 0
    return b | (HAN if regex.match(r'\p{Han}', chr(cp)) else 0)


runs = []
for cp in range(0x110000):
    b = bits(cp)
    if not runs or runs[-1] & 0x7ff != b:
        runs.append(cp << 11 | b)

print(f'/* Made by tools/make_unicode_tables.py from Unicode {unicodedata.unidata_version}. Not edited by hand.')
print(' * One entry for each run of code points: first << 11 | class bits of unicode.h. Sorted. */')
print('#include "model/unicode.h"\n')
print('/* clang-format off */')
print('const uint32_t unicode_runs[] = {')
for i in range(0, len(runs), 12):
    print('    ' + ' '.join(f'{r:#x},' for r in runs[i:i + 12]))
print('};')
print('const uint16_t unicode_ascii[128] = {')
for i in range(0, 128, 16):
    print('    ' + ' '.join(f'{bits(c):#x},' for c in range(i, i + 16)))
print('};')
print(f'const uint32_t unicode_n_runs = {len(runs)};')
print(f'const char unicode_version[] = "{unicodedata.unidata_version}";')
