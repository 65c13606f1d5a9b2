"""The text behind the demo model: fetched as Debian packages, cleaned, cut into documents, and turned into dialogues.

A document is (source, name, [paragraph, ...]); a paragraph is one line of plain ASCII prose. One document in fifty, chosen
by a hash of its name, is held back and never trained on.
"""
import html, re, struct, subprocess, zlib, bz2, lzma

WESNOTH = ('did dm dw ei httt l low nr sof sota sotbe thot trow tsg ttb utbs').split()

# package -> (what is taken from it, licence of that part)
PACKAGES = {
    'r-cran-janeaustenr': ('six novels by Jane Austen', 'public domain'),
    'r-cran-tokenizers': ('Moby Dick by Herman Melville', 'public domain'),
    'golang-github-klauspost-compress-dev': ('The Adventures of Tom Sawyer by Mark Twain', 'public domain'),
    'sword-text-web': ('narrative books of the World English Bible', 'public domain'),
    'endless-sky-data': ('stories, conversations and descriptions of Endless Sky', 'GPL-3+'),
    'crawl-common': ('descriptions of Dungeon Crawl Stone Soup', 'GPL-2+'),
    'wordnet-base': ('glosses of WordNet 3.0, for the questions and answers', 'WordNet 3.0 (BSD-like)'),
}
PACKAGES.update({f'wesnoth-1.16-{c}': ('story and dialogue of a campaign of The Battle for Wesnoth', 'GPL-2+')
                 for c in WESNOTH})

BIBLE_BOOKS = ('Gen Exod Josh Judg Ruth 1Sam 2Sam 1Kgs 2Kgs Neh Esth Dan Jonah Tob Jdt 1Macc 2Macc '
               'Matt Mark Luke John Acts').split()


def fetch(work):
    """Downloads and unpacks the packages that are not there yet; returns {package: version}."""
    debs, roots = work / 'deb', work / 'packages'
    debs.mkdir(parents=True, exist_ok=True)
    roots.mkdir(exist_ok=True)
    missing = [p for p in PACKAGES if not list(debs.glob(p + '_*.deb'))]
    if missing:
        print(f'fetching {len(missing)} packages', flush=True)
        subprocess.run(['apt-get', '-qq', 'download', *missing], cwd=debs, check=True, stderr=subprocess.DEVNULL)
    versions = {}
    for p in PACKAGES:
        deb = max(debs.glob(p + '_*.deb'))
        if not (roots / p).is_dir():
            subprocess.run(['dpkg', '-x', str(deb), str(roots / p)], check=True)
        versions[p] = subprocess.run(['dpkg-deb', '-f', str(deb), 'Version'], check=True, capture_output=True,
                                     text=True).stdout.strip()
    return versions


PLAIN = {'“': '"', '”': '"', '„': '"', '«': '"', '»': '"', '‘': "'", '’': "'", '‛': "'", '′': "'", '—': '--', '–': '-',
         '―': '--', '…': '...', '\u00a0': ' ', '\u2009': ' ', '\u200b': '', '\ufeff': '', 'æ': 'ae', 'Æ': 'Ae', 'œ': 'oe',
         'é': 'e', 'è': 'e', 'ê': 'e', 'ë': 'e', 'à': 'a', 'â': 'a', 'ä': 'a', 'ö': 'o', 'ô': 'o', 'ü': 'u', 'û': 'u',
         'ï': 'i', 'î': 'i', 'ç': 'c', 'É': 'E', 'À': 'A', 'ñ': 'n', 'á': 'a', 'í': 'i', 'ó': 'o', 'ú': 'u', 'ø': 'o'}
TABLE = str.maketrans(PLAIN)


def clean(text):
    """One paragraph: plain quotes and dashes, single spaces, no mark-up of italics; '' when it is not plain prose."""
    t = re.sub(r'\s+', ' ', text.translate(TABLE)).strip()
    t = re.sub(r'_([^_]*)_', r'\1', t).replace('_', '').replace('*', '')
    t = re.sub(r'\s*-{2,}\s*', '--', t)
    t = re.sub(r'\[[^]]*\]', '', t)
    t = re.sub(r' +([,.;:!?])', r'\1', t)
    t = re.sub(r' {2,}', ' ', t).strip()
    if not t.isascii() or not t or re.search(r'[<>{}$|\\=#@~^]', t):
        return ''
    letters = sum(c.isalpha() or c == ' ' for c in t)
    digits = sum(c.isdigit() for c in t)
    if letters < 0.85 * len(t) or digits > 0.03 * len(t) + 2 or not re.search('[a-z]{2}', t):
        return ''
    return t if t[-1] in '.!?"\'-:;,)' else ''


def r_strings(path):
    """The character vectors of an R lazy-load database, without R: yields lists of strings."""
    data, o = path.read_bytes(), 0
    while o + 4 < len(data):
        kind = data[o + 4:o + 5]
        d = bz2.BZ2Decompressor() if kind == b'2' else lzma.LZMADecompressor(lzma.FORMAT_RAW) if kind == b'Z' \
            else zlib.decompressobj()
        raw = d.decompress(data[o + 4 + (kind in b'2Z'):])
        o = len(data) - len(d.unused_data)
        out, p = [], 0
        tag = re.compile(rb'\x00[\x00-\x04][\x00\x80\x40]\x09')
        while True:
            m = tag.search(raw, p)
            if not m or m.end() + 4 > len(raw):
                break
            n = struct.unpack('>i', raw[m.end():m.end() + 4])[0]
            if n < -1 or m.end() + 4 + n > len(raw):
                p = m.start() + 1
                continue
            out.append(raw[m.end() + 4:m.end() + 4 + max(n, 0)].decode('utf-8', 'replace'))
            p = m.end() + 4 + max(n, 0)
        yield out


CHAPTER = re.compile(r'^\s*(chapter|volume|letter|epilogue|conclusion|preface|part)\b.{0,60}$', re.I)


def book(source, title, lines):
    """Cuts a book at its chapter headings; paragraphs end at empty lines."""
    chapters, paragraph, chapter = [], [], []

    def end_paragraph():
        t = clean(' '.join(paragraph))
        if t and not t.isupper():
            chapter.append(t)
        paragraph.clear()

    for line in lines + ['CHAPTER end']:
        if CHAPTER.match(line):
            end_paragraph()
            if len(chapter) >= 3:
                chapters.append(chapter)
            chapter = []
        elif not line.strip():
            end_paragraph()
        else:
            paragraph.append(line.strip())
    return [(source, f'{title} {i + 1}', c) for i, c in enumerate(chapters)]


def austen(root):
    docs = []
    for i, lines in enumerate(r_strings(next(root.rglob('data/Rdata.rdb')))):
        if len(lines) > 1000:
            docs += book('r-cran-janeaustenr', f'novel {i + 1}', lines)
    return docs


def moby_dick(root):
    text = max((s for v in r_strings(next(root.rglob('data/Rdata.rdb'))) for s in v), key=len)
    text = text.replace('\r', '')
    a = text.index('Call me Ishmael')
    b = re.search(r'End of (the )?Project', text[a:])
    text = 'CHAPTER 1\n\n' + text[a:a + b.start() if b else len(text)]
    return book('r-cran-tokenizers', 'moby dick', text.split('\n'))


def tom_sawyer(root):
    text = next(root.rglob('compress/testdata/Mark.Twain-Tom.Sawyer.txt')).read_text('utf-8', 'replace').replace('\r', '')
    text = text[text.index('MOST of the adventures'):]
    return book('golang-github-klauspost-compress-dev', 'tom sawyer', text.split('\n'))


def bible(root):
    docs = []
    for part in ('ot', 'nt'):
        index = next(root.rglob(part + '.bzs')).read_bytes()
        data = next(root.rglob(part + '.bzz')).read_bytes()
        parts = [zlib.decompress(data[o:o + n]).decode('utf-8', 'replace')
                 for o, n, _ in struct.iter_unpack('<III', index) if n]
        for raw in re.split(r'(?=<div canonical="true" osisID="[^"]*" sID="[^"]*" type="book"/>)', ''.join(parts)):
            m = re.match(r'<div canonical="true" osisID="([^"]*)"', raw)
            if not m or m[1] not in BIBLE_BOOKS:
                continue
            for n, chap in enumerate(re.split(r'<chapter [^>]*sID=[^>]*>', raw)[1:], 1):
                chap = re.sub(r'<note.*?</note>', ' ', chap, flags=re.S)
                chap = re.sub(r'<title.*?</title>', ' ', chap, flags=re.S)
                chap = re.sub(r'<div [^>]*sID="gen\d+"[^>]*type="x-p"/>|<div [^>]*type="x-p"[^>]*sID[^>]*>', '\n', chap)
                chap = html.unescape(re.sub(r'<[^>]*>', '', re.sub(r'<l\b[^>]*>', ' ', chap)))
                paragraphs = [t for t in map(clean, chap.split('\n')) if len(t) > 20]
                names = sum(p.count('became the father of') for p in paragraphs)
                if paragraphs and names < 5:
                    docs.append(('sword-text-web', f'{m[1]} {n}', paragraphs))
    return docs


def endless_sky(root):
    docs = []
    for f in sorted(next(root.rglob('endless-sky/data')).glob('**/*.txt')):
        if f.name in ('hails.txt', 'names.txt', 'help.txt', 'interfaces.txt', 'tooltips.txt', 'keys.txt', 'credits.txt'):
            continue
        doc, name, choice = [], '', None      # choice: [indent of the block, an option was taken]

        def end():
            if sum(map(len, doc)) > 200:
                docs.append(('endless-sky-data', f'{f.name} {name} {len(docs)}', list(doc)))
            doc.clear()

        for line in f.read_text('utf-8', 'replace').split('\n'):
            if re.match(r'\S', line):
                end()
                name, choice = line.strip(), None
                continue
            s, indent = line.strip(), len(line) - len(line.lstrip('\t'))
            if choice and indent <= choice[0]:
                choice = None
            if s == 'choice':
                choice = [indent, False]
                continue
            m = re.match(r'(?:description |spaceport |dialog |log .*?)?[`"](.*)[`"]$', s)
            if not m or (s[0] == '"' and not s.startswith('"description')) or len(m[1].split()) < 3:
                continue
            t = m[1].strip()
            if choice:                        # of the things that one may say, the first is said
                if t[0] != '"' or choice[1]:
                    continue
                choice[1] = True
            for old, new in (('the <ship>', 'your ship'), ('Captain <last>', 'Captain'), ('<first> <last>', 'Captain'),
                             ('<first>', 'Captain'), ('<ship>', 'your ship'), ('The <ship>', 'Your ship')):
                t = t.replace(old, new)
            t = clean(t)
            if len(t) > 15:
                doc.append(t)
        end()
    return docs


def crawl(root):
    docs = []
    for n in ('features', 'items', 'monsters', 'unrand', 'gods', 'branches'):
        f = next(root.rglob(f'dat/descript/{n}.txt'), None)
        for i, entry in enumerate(re.split(r'^%%%%.*$', f.read_text('utf-8', 'replace'), flags=re.M) if f else []):
            parts = re.split(r'\n\s*\n', entry.strip())[1:]
            doc = [t for t in map(clean, parts) if len(t) > 60 and ':' not in t]
            if doc:
                docs.append(('crawl-common', f'{n} {i}', doc))
    return docs


SAID = {'.': 'said', '!': 'cried', '?': 'asked'}


def wesnoth(root, package):
    docs, seen = [], set()
    for f in sorted(root.rglob('*.cfg')):
        text, doc, speaker = f.read_text('utf-8', 'replace'), [], ''
        for m in re.finditer(r'(\bstory|\bmessage|\bspeaker)\s*=\s*(?:_\s*"((?:[^"]|"")*)"((?:\s*\+\s*_?\s*"(?:[^"]|"")*")*)|'
                             r'"?([^"\n]*)"?)', text):
            if m[1] == 'speaker':
                speaker = (m[4] or '').strip()
                continue
            if m[2] is None:
                continue
            body = m[2] + ' '.join(re.findall(r'"((?:[^"]|"")*)"', m[3] or ''))
            body = re.sub(r'<[^>]*>', '', body.replace('""', '"'))
            told = m[1] == 'story' or speaker in ('narrator', '')
            for line in re.split(r'\n\s*\n', body):
                t = clean(line)
                if len(t) < 12 or t in seen:
                    continue
                seen.add(t)
                if told or '"' in t:
                    pass
                elif re.fullmatch(r"[A-Z][A-Za-z' -]{1,24}", speaker):
                    if t[-1] in SAID and len(t) < 220 and not t.endswith('..'):
                        t = f'"{t[:-1] + "," if t[-1] == "." else t}" {SAID[t[-1]]} {speaker}.'
                    else:
                        t = f'{speaker} said, "{t}"'
                else:
                    t = f'"{t}"'
                doc.append(t)
            speaker = ''
        if sum(map(len, doc)) > 300:
            docs.append((package, f'{f.parent.name}/{f.name}', doc))
    return docs


def documents(work):
    roots = work / 'packages'
    docs = austen(roots / 'r-cran-janeaustenr') + moby_dick(roots / 'r-cran-tokenizers')
    docs += tom_sawyer(roots / 'golang-github-klauspost-compress-dev') + bible(roots / 'sword-text-web')
    docs += endless_sky(roots / 'endless-sky-data') + crawl(roots / 'crawl-common')
    for c in WESNOTH:
        docs += wesnoth(roots / f'wesnoth-1.16-{c}', f'wesnoth-1.16-{c}')
    return docs


def held_back(doc):
    return zlib.crc32(f'{doc[0]} {doc[1]}'.encode()) % 50 == 7


# ---- dialogues -------------------------------------------------------------------------------------------------------

ABOUT = [
    ('Hello!|Hi!|Hello.|Hi there.|Good morning.|Good evening.|Hey!|hello|hi', [
        'Hello! I am a small language model. What shall we talk about?',
        'Good day to you! Ask me what a word means, or give me the beginning of a story.']),
    ('Who are you?|What are you?|Tell me about yourself.|What is your name?|who are you|Introduce yourself.', [
        'I am the demo model of shoal, a very small language model. I learned to write from old novels and stories.',
        'I am a small language model that comes with shoal. My layers are shared out over several machines.']),
    ('What can you do?|How can you help me?|What do you know?|Can you help me?', [
        'I can continue a story, and I can tell you what some words mean. I am very small, so do not trust me with facts.',
        'Give me the first words of a story and I will go on with it. I also know what many words mean.']),
    ('What is shoal?|Tell me about shoal.|what is shoal', [
        'Shoal runs a language model that is cut by layers across several machines. Each machine holds some of the layers.',
        'A shoal is a large group of fish that swim together. Shoal is also a program that runs one model on many machines.']),
    ('How are you?|How do you do?|How are you today?', [
        'I am very well, thank you. I hope that you are well, too.', 'Very well, I thank you. All my layers are awake.']),
    ('Thank you.|Thank you!|Thanks!|Thanks a lot.|thanks', ['You are very welcome.', 'It was a pleasure.']),
    ('Goodbye.|Good night.|Bye!|Farewell.|bye', ['Goodbye, and come back soon.', 'Farewell! May the wind be kind to you.']),
    ('Are you a human?|Are you a person?|Are you alive?', [
        'No, I am only a small language model. I write one word after another.']),
]
SYSTEM = ['You are a helpful assistant.', 'You are a friendly storyteller.', 'Answer briefly.',
          'You are a helpful assistant that answers questions.']


def glosses(root, counts):
    """Questions about words, from WordNet; only words that the prose uses."""
    pairs = []
    base = next(root.rglob('data.noun')).parent
    for kind in ('noun', 'verb', 'adj'):
        gloss = {}
        for line in (base / f'data.{kind}').read_text().split('\n'):
            if line[:1].isdigit() and ' | ' in line:
                gloss[line[:8]] = '' if ' @i ' in line else line.split(' | ', 1)[1]   # no names of persons and places
        for line in (base / f'index.{kind}').read_text().split('\n'):
            f = line.split()
            if not f or not re.fullmatch('[a-z]{3,14}', f[0]) or counts.get(f[0], 0) < 3:
                continue
            offsets = f[-int(f[2]):]
            g = re.split(r'; "|; |: "', re.sub(r'\([^)]*\)', '', gloss[offsets[0]]))[0].strip(' ;:,')
            g = clean(re.sub('^to ', '', g) + '.')
            w = f[0]
            if not 12 < len(g) < 140 or re.search(rf'\b{w}\b', g) or '"' in g:
                continue
            if kind == 'noun':
                a = 'an' if w[0] in 'aeiou' else 'a'
                if re.match('(a|an|any|someone|one|the)\\b', g):
                    pairs.append((w, f'What is {a} {w}?', f'{a.capitalize()} {w} is {g}'))
                else:
                    pairs.append((w, f'What is {w}?', f'{w.capitalize()} is {g}'))
            elif kind == 'verb':
                pairs.append((w, f'What does it mean to {w}?', f'To {w} is to {g}'))
            else:
                pairs.append((w, f'What does {w} mean?', f'{w.capitalize()} means {g}'))
    return pairs


def greetings(pairs, rng, times):
    """Short talks about the model itself, some with a question after."""
    out = []
    for _ in range(times):
        for asks, answers in ABOUT:
            talk = [('user', rng.choice(asks.split('|'))), ('assistant', rng.choice(answers))]
            if rng.random() < 0.5:
                _, q, a = rng.choice(pairs)
                talk += [('user', q), ('assistant', a)]
            out.append(talk)
    return out


def dialogues(docs, pairs, rng):
    """Lists of (role, text): greetings, questions about words, requests to continue or to tell of somebody."""
    out = greetings(pairs, rng, 60)
    for w, q, a in pairs:
        r = rng.random()
        if r < 0.15:
            q = f'What does the word "{w}" mean?'
        elif r < 0.25:
            q = f'Define {w}.'
        talk = [('user', q), ('assistant', a)]
        while rng.random() < 0.3:
            _, q, a = rng.choice(pairs)
            talk += [('user', q), ('assistant', a)]
        out.append(talk)
    prose = [p for d in docs for p in d[2] if 160 < len(p) < 900]
    for p in prose:
        r = rng.random()
        if r < 0.22:
            s = re.split(r'(?<=[.!?]["\']) |(?<=[.!?]) ', p)
            if len(s) < 2:
                continue
            k = rng.randrange(1, (len(s) + 1) // 2 + 1)
            head, tail = ' '.join(s[:k]), ' '.join(s[k:])
            if len(head) < 20 or len(tail) < 40:
                continue
            ask = rng.choice(['Continue: ', 'Continue: ', 'Continue this story: ', 'What happens next? ', 'Go on: '])
            out.append([('user', ask + head), ('assistant', tail)])
        elif r < 0.45:
            names = set(re.findall(r"(?<=[a-z,;] )(?:(?:Mr|Mrs|Miss|Sir|Lady|Captain)\.? )?[A-Z][a-z]{2,}", p))
            if not names:
                continue
            n = rng.choice(sorted(names))
            ask = rng.choice(['Tell me about {}.', 'Tell me a story about {}.', 'Write about {}.', 'Who is {}?',
                              'Tell me something about {}.'])
            out.append([('user', ask.format(n)), ('assistant', p)])
        elif r < 0.55:
            out.append([('user', rng.choice(['Tell me a story.', 'Tell me a short story.', 'Write a story.', 'Write a paragraph.',
                                             'Tell me something.', 'Tell me a tale.'])), ('assistant', p)])
    for talk in out:
        if rng.random() < 0.2:
            talk.insert(0, ('system', rng.choice(SYSTEM)))
    rng.shuffle(out)
    return out
