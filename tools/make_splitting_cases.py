#!/usr/bin/env python3
"""Writes tests/unit/model/splitting_cases.txt: random texts and how the published expressions cut them.

usage: tools/make_splitting_cases.py [SEED [CASES_PER_RULE]] > tests/unit/model/splitting_cases.txt
needs the module `regex` (python3-regex). One line a case: rule, the text's UTF-8 in hex, the pieces' sizes in bytes.
The expressions here are the models' own, in the form that llama.cpp writes them down; the program has them as state
machines (src/model/tokenizer_stages.c, tokenizer_isolate.c), so that neither is a copy of the other.
"""
import pathlib, random, re, sys, unicodedata
import regex

rnd = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
per_rule = int(sys.argv[2]) if len(sys.argv) > 2 else 30

CONTRACTION = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
SPACES = r"\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + SPACES
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SIGN = r"[^\r\n\p{L}\p{N}]?"


def words(digits, letters=r"\p{L}"):
    return (CONTRACTION + r"|[^\r\n\p{L}\p{N}]?[" + letters + r"]+|\p{N}{1," + str(digits) + r"}| ?[^\s" + letters +
            r"\p{N}]+[\r\n]*|\s*[\r\n]+|" + SPACES)


def cased(suffix, digits):
    return (f"{SIGN}{UPPER}*{LOWER}+{suffix}|{SIGN}{UPPER}+{LOWER}*{suffix}|" + r"\p{N}{1," + str(digits) +
            r"}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|" + SPACES)


# The list of cased letters is a table either way: it is taken from the program.
source = (pathlib.Path(__file__).parent.parent / 'src/model/tokenizer_isolate.c').read_text()
table = re.search(r'cased_letters\[\] = \{(.*?)\};', source, re.S).group(1)
CASED = '[' + ''.join(f'\\U{int(a, 16):08x}-\\U{int(b, 16):08x}'
                      for a, b in re.findall(r'\{(0x[0-9a-f]+), (0x[0-9a-f]+)\}', table)) + ']'
CJK = '[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+'
DEEPSEEK3 = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
             r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|" + SPACES)
BLOOM = ' ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+'
RULES = {
    'gpt-2': [GPT2], 'llama-bpe': [words(3)], 'qwen2': [words(1)], 'qwen35': [words(1, r"\p{L}\p{M}")],
    'seed-coder': [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|" + SPACES],
    'bailingmoe': [r"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
                   r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|" + SPACES],
    'minicpm5': [r"\p{N}{1,3}", CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*"
                 r"|\s*[\r\n]+|" + SPACES],
    'starcoder': [r"\p{N}", GPT2], 'falcon': [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    'default': [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    'deepseek-llm': [r"[\r\n]", r"\s?" + CASED + "+",
                     r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$", CJK, r"\p{N}+"],
    'deepseek-coder': [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    'deepseek-v3': [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK3],
    'tekken': [cased("", 1)], 'gpt-4o': [cased(CONTRACTION + "?", 3)], 'bloom': [BLOOM], 'viking': [BLOOM, r"\p{N}"],
}
PARTS = ("'s 'LL ' a b Z AB 1 23 9 ! ( ) / $ ` ^ . … 。 ， é É ǅ ʰ 中 文 か ー 한 ا ٣ \u0301 ः 🚀 \u200d ½ Ⅳ ª | ~ _ "
         "ﬁ α Ω Ж ж ऄ । « » “ 't 'Re").split(' ') + [' ', '  ', '\n', '\r\n', '\t', '\u3000', '\u00a0', '\u2003',
                                                       '\u200b', '\x01']
# What is unassigned here may be a letter in the module's newer tables.
POINTS = [c for c in range(0x30000) if unicodedata.category(chr(c)) not in ('Cn', 'Cs')]


def stage(expression, text):
    pieces, at = [], 0
    for m in expression.finditer(text):
        if m.start() > at:
            pieces.append(text[at:m.start()])
        if m.end() > m.start():
            pieces.append(m.group())
        at = m.end()
    return pieces + [text[at:]] * (at < len(text))


for rule, expressions in RULES.items():
    compiled = [regex.compile(e, regex.V0) for e in expressions]
    for _ in range(per_rule):
        text = ''.join(rnd.choice(PARTS) if rnd.random() < 0.85 else chr(rnd.choice(POINTS))
                       for _ in range(rnd.randrange(1, 25)))
        pieces = [text]
        for e in compiled:
            pieces = [q for p in pieces for q in stage(e, p)]
        print(rule, text.encode().hex(), ' '.join(str(len(p.encode())) for p in pieces), sep='\t')
