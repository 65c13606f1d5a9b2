#!/usr/bin/env python3
"""Writes tests/unit/model/splitting_cases.txt: random texts and how the published expressions cut them.

usage: tools/make_splitting_cases.py [SEED [CASES_PER_RULE]] > tests/unit/model/splitting_cases.txt
needs the module `regex` (python3-regex). One line a case: rule, the text's UTF-8 in hex, the pieces' sizes in bytes.
The expressions here are the models' own, in the form that llama.cpp writes them down; the program has them as state
machines (src/model/tokenizer_stages.c and the files beside it), so that neither is a copy of the other.
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


def words(digits, letters=r"\p{L}", contraction=CONTRACTION + "|", spaces=SPACES):
    return (contraction + r"[^\r\n\p{L}\p{N}]?[" + letters + r"]+|\p{N}{1," + str(digits) + r"}| ?[^\s" + letters +
            r"\p{N}]+[\r\n]*|\s*[\r\n]+|" + spaces)


def cased(suffix, digits, upper=UPPER, lower=LOWER, after=r"\r\n/"):
    return (f"{SIGN}{upper}*{lower}+{suffix}|{SIGN}{upper}+{lower}*{suffix}|" + r"\p{N}{1," + str(digits) +
            r"}| ?[^\s\p{L}\p{N}]+[" + after + r"]*|\s*[\r\n]+|" + SPACES)


# The list of cased letters is a table either way: it is taken from the program.
source = (pathlib.Path(__file__).parent.parent / 'src/model/tokenizer_isolate.c').read_text()
table = re.search(r'cased_letters\[\] = \{(.*?)\};', source, re.S).group(1)
CASED = '[' + ''.join(f'\\U{int(a, 16):08x}-\\U{int(b, 16):08x}'
                      for a, b in re.findall(r'\{(0x[0-9a-f]+), (0x[0-9a-f]+)\}', table)) + ']'
CJK = '[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+'


def signs(after, lines):
    return (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"| ?[\p{P}\p{S}]+" + after + "|" + lines + "|" + SPACES)


DEEPSEEK3 = signs(r"[\r\n]*", r"\s*[\r\n]+")
CJK3 = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
LINES = r"[^\n]+|[\n]+"
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
    'deepseek-v3': [r"\p{N}{1,3}", CJK3, DEEPSEEK3],
    'tekken': [cased("", 1)], 'gpt-4o': [cased(CONTRACTION + "?", 3)], 'bloom': [BLOOM], 'viking': [BLOOM, r"\p{N}"],
    'spark2_5': [r"\p{N}{1,3}", CJK3, signs("", r"[\r\n]"), r"\p{N}"],
    # The first expression stands in no file: llama.cpp has it as a function, which takes digits by threes from the end.
    'afmoe': [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))",
              "[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f"
              "\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+", DEEPSEEK3],
    'youtu': ["[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f"
              "\ufe30-\ufe4f]+|[\u3105-\u312f]+|" + CJK3, cased(CONTRACTION + "?", 1)],
    'tiny_aya': [r"\d{1,3}(?=(?:\d{3})*\b)", cased(CONTRACTION + "?", 3)],
    'superbpe': [r"\p{N}+", r"(?=(\d{3})+(?!\d))"],
    'kimi-k2': [r"[\p{Han}]+|" + cased(CONTRACTION + "?", 3, rf"(?:(?!\p{{Han}}){UPPER})", rf"(?:(?!\p{{Han}}){LOWER})",
                                      r"\r\n")],
    'jais-2': [words(3, spaces="".join(rf"\s{{{n}}}(?!\S)|" for n in (512, 256, 128, 64, 32, 16, 8, 4)) +
                     r"\s{1,2}(?!\S)|\s{1}")],
    'laguna': [LINES, words(1)], 'gemma4': [LINES], 'ufakzeka': [words(1, contraction="")],
    'exaone-moe': [CONTRACTION + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
                   r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|" + SPACES],
    'chameleon': ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}",
                  r"[\p{P}!-/:-@\[-`{-~]", GPT2],
}
PARTS = ("'s 'LL ' a b Z AB 1 23 9 ! ( ) / $ ` ^ . … 。 ， é É ǅ ʰ 中 文 か ー 한 ا ٣ \u0301 ः 🚀 \u200d ½ Ⅳ ª | ~ _ "
         "ﬁ α Ω Ж ж ऄ । « » “ 't 'Re 〇 々 〡 ⺀ 123 ٣٤ １２ ไทย ລາວ မြ ㄅ ㄱ ； <sentinel:12> IMGIMGABZ IMGIMG <").split(' ')
PARTS += [' ', '  ', '     ', '\n', '\r\n', '\t', '\u3000', '\u00a0', '\u2003', '\u200b', '\x01', ' ' * 37, '7' * 8]
# Whole sentences as people write them.
ORDINARY = ["The quick brown fox can't jump over 1,234,567 lazy dogs; it's 3.14159!", "def f(x):\n\treturn x**2  # 100%\n\n",
            "Größe: 12 €, naïve Œuvre\u2026 «oui»", "Привет, мир! 2024 год.", "你好，世界！今天是2024年1月1日。", "こんにちは、世界。カタカナ",
            "안녕하세요 세계 ㅋㅋㅋ", "مرحبا بالعالم ١٢٣٤٥", "नमस्ते दुनिया १२३४", "สวัสดีชาวโลก ๑๒๓๔๕", "שלום עולם", "Γειά σου Κόσμε",
            "HTTPServer getURLForID camelCase I'LL DON'T we'Ve", "    if (a != b) {\r\n        c += 0x1F;\r\n    }\r\n", "👩‍👩‍👧‍👦 🇩🇪 1️⃣ ok",
            "e\u0301 a\u0308\u0323 x\u20dd", "http://example.com/a/b?c=d&e=f#g", "1234 12345 123456 1234567abc 12345678",
            "  leading and trailing   ", "\n\n\n a\n \n\t\n", "Türkiye'nin İstanbul'u", "Việt Nam 54 dân tộc", "ქართული ენა",
            "x" * 40 + " " * 40 + "!" * 40 + "\n" * 9, "中文English混合123と日本語ABC한국어"]
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
    for i in range(per_rule + len(ORDINARY)):
        text = ORDINARY[i - per_rule] if i >= per_rule else ''.join(rnd.choice(PARTS) if rnd.random() < 0.85 else chr(rnd.choice(POINTS))
                       for _ in range(rnd.randrange(1, 25)))
        pieces = [text]
        for e in compiled:
            pieces = [q for p in pieces for q in stage(e, p)]
        print(rule, text.encode().hex(), ' '.join(str(len(p.encode())) for p in pieces), sep='\t')
