"""Random cases for the interop test: a schema and a list of operations, as plain dicts, from one seed.

A field:  {name, kind, required, ...}   kind as in driver.c; embedding: dim, index (lsh, lsh-l2, ivf, imi), bits, rerank, cap, sample, k,
          iterations, seed, compressor (rabitq: bpd, factors; pq: m, pq_k), cseed; image, audio, video: mime, chunk, pack
An op:    {op: append, anchors, columns: {field: [value or None]}, early, reads: fields read by callback, pads}
          {op: add_field, field}  {op: add_constant, name, modality, value}  {op: add_image_layer, name, parent, mime, samples}
          {op: append_image_layer, name, samples}  {op: add_scalar_layer, name, parent, kind, samples}
          {op: add_embedding_layer, name, field, parent, samples}  {op: append_embedding_layer, name, samples}
          {op: set_meta, key, value}  {op: keep, label}  {op: branch, name}
Values are Python's: bytes, str, int, float, bool, numpy float32 rows."""
import random
import numpy as np

SCALARS = ('categorical', 'string', 'int', 'float', 'bool', 'timestamp')
MEDIA = ('image', 'audio', 'video')
FREE_NAMES = ['img', 'Vec é', 'a.b c', 'UPPER', '日本', 'x-1', 'with space', 'z' * 70, 'image', '0', '_', 'tab_', 'im/age']
TAG_NAMES = ['n', 'lab', 's', 'f0', 'ts', 'flag', 'a_b', 'q9', 'zzz', 'score', 'very_long_scalar_name_0123456789_abcdefghij']
REFS = ['main', 'a/b-1', 'team/set_2', 'x', '0', 'deep/er/still/name', 'with@label', 'under_score-dash', 'm' * 55]
INTS = [0, 1, -1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, -2**63, -24, -25, -256, -257, -65536, -65537]
FLOATS = [0.0, -0.0, .5, -.5, 1.0, 1.5, .1, -.1, 1e300, -1e300, 65504.0, 65505.0, 65536.0, 2.0**-24, 2.0**-25, 1e-45, 5e-324, 2.0**-14, -2.0**-24,
          3.4028234663852886e38, 3.5e38, 1.7976931348623157e308, 2.2250738585072014e-308, 16777217.0, 0.30000001192092896]
TEXTS = ['', 'a', 'b', 'aa', 'ab', 'B', 'é', 'z', 'zz', 'zzz', '日本', 'a\0', 'a\0b', '\x7f', 'A', '~', '𝄞', 'e\u0301', ' ', '\n', 'x' * 23, 'x' * 24, 'y' * 255, 'y' * 256, 'w' * 1000]
SPECIAL_ANCHORS = [0, 1, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**32 + 1, 2**48, 2**63 - 2, 2**63, 2**64 - 3, 2**64 - 2]


class Generator:
    def __init__(self, seed, kind='plain'):
        self.r = random.Random(seed)
        self.np = np.random.default_rng(seed)
        self.kind = kind
        self.used = []                       # anchors so far
        self.taken = set()
        self.repeats = self.r.random() < .5  # whether an anchor may come again (then the reference's compact refuses)
        self.fields = {}
        self.vectors = {}                    # field -> earlier rows, to repeat some

    # ---- schema
    def vector_field(self, name):
        r = self.r
        dim = r.choice([1, 2, 3, 4, 5, 7, 8, 8, 12, 16, 17, 31, 33, 64, 100, 130]) if r.random() < .9 else r.choice([256, 513])
        f = {'name': name, 'kind': 'embedding', 'dim': dim, 'required': r.random() < .5, 'index': r.choice(['lsh', 'lsh', 'lsh-l2', 'ivf', 'ivf', 'ivf'])}
        if f['index'] == 'lsh':
            f['bits'] = r.choice([None, 1, 2, 3, 5, 6, 8, 12, 20, 21, 33, 64, 200])
        if f['index'] == 'ivf':
            f['k'] = r.choice([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 25])
            f['sample'] = self.rows(name, dim, f['k'] + r.randrange(60))
            f['iterations'] = r.choice([1, 2, 4, 10])
            f['seed'] = r.choice([0, 0, 1, 7, 2**63, r.getrandbits(64)])
            f['by_address'] = r.random() < .4
        if f['index'] != 'lsh-l2' and r.random() < .35 :
            f['rerank'] = True
        if r.random() < .12:
            f['cap'] = r.choice([1 << 20, 104857600, 524288000])
        return f

    def media_field(self, name):
        r = self.r
        kind = r.choice(MEDIA + ('image', 'image'))
        f = {'name': name, 'kind': kind, 'required': r.random() < .4}
        if r.random() < .6:
            f['mime'] = r.choice({'image': ['png', 'jpeg', 'webp', 'a.b', 'x_1'], 'audio': ['wav', 'flac', 'ogg'], 'video': ['mp4', 'h264']}[kind])
        if r.random() < .3:
            f['chunk'] = r.choice([1, 2, 16, 1000, 1024, 1025, 4096])
        if r.random() < .35:
            f['pack'] = r.choice([1, 2, 3, 7, 100])
        return f

    def scalar_field(self, name, kind=None):
        return {'name': name, 'kind': kind or self.r.choice(SCALARS), 'required': self.r.random() < .35}

    def schema(self):
        r = self.r
        free = r.sample(FREE_NAMES, len(FREE_NAMES))
        tags = r.sample(TAG_NAMES, len(TAG_NAMES))
        fields = []
        for _ in range(r.choice([0, 1, 1, 1, 2, 3])):
            fields.append(self.vector_field(free.pop()))
        for _ in range(r.choice([0, 0, 1, 1, 2])):
            fields.append(self.media_field(free.pop()))
        for _ in range(r.choice([0, 1, 2, 3, 6])):
            fields.append(self.scalar_field(tags.pop()))
        if not fields:
            fields.append(self.vector_field(free.pop()))
        r.shuffle(fields)
        self.fields = {f['name']: f for f in fields}
        self.free, self.tags = free, tags
        return fields

    # ---- values
    def rows(self, name, dim, n):
        """n vectors: clusters, far magnitudes, repeated ones, exact zeros among the components; never the zero vector."""
        centres = self.np.standard_normal((max(1, n // 6), dim))
        x = centres[self.np.integers(0, len(centres), n)] + .3 * self.np.standard_normal((n, dim))
        x *= self.np.choice([1e-3, 1, 1, 1, 5, 1e4], (n, 1))
        x = x.astype('<f4')
        old = self.vectors.setdefault(name, [])
        for i in range(n):
            roll = self.r.random()
            if roll < .06 and len(old):
                x[i] = old[self.r.randrange(len(old))]
            elif roll < .10 and i:
                x[i] = x[i - 1]
            elif roll < .13 and dim > 1:
                x[i, self.r.randrange(dim)] = -0.0
            elif roll < .15:
                x[i] *= np.float32(1e-15)
            elif roll < .17:
                x[i] = 0
                x[i, self.r.randrange(dim)] = self.r.choice([1, -1, 3])
            if not x[i].any() or not np.isfinite(x[i]).all():
                x[i] = 1
        old.extend(x[:20])
        return x

    def payload(self):
        n = self.r.choice([0, 1, 5, 9, 30, 100, 1023, 1024, 1025, 2048, 5000]) if self.r.random() < .5 else self.r.randrange(60)
        return self.r.randbytes(n) if self.r.random() < .85 else b'same payload'

    def value(self, f):
        r, k = self.r, f['kind']
        if k in MEDIA:
            return self.payload()
        if k == 'int':
            return r.choice(INTS) if r.random() < .4 else r.randrange(-20, 20)
        if k == 'timestamp':
            return r.choice([0, 10**18, 10**18 + 1, 1795408150250367152, -1]) if r.random() < .5 else r.randrange(10**6)
        if k == 'float':
            return r.choice(FLOATS) if r.random() < .5 else r.choice([r.random(), r.gauss(0, 100), float(r.randrange(50))])
        if k == 'bool':
            return r.random() < .5
        return r.choice(TEXTS) if r.random() < .5 else ''.join(r.choice('abcxyzé') for _ in range(r.randrange(5)))

    def anchors(self, n):
        r = self.r
        way = r.random()
        if way < .35:
            start = r.choice([0, 1, 1000, 10**9, 2**32 - n // 2, 2**16 - n // 2, 1795408150000000000])
            out = [max(0, start) + i * r.choice([1, 1, 3]) for i in range(n)]
        elif way < .7:
            top = r.choice([50, 10**6, 2**33, 2**62])
            out = [r.randrange(top) for _ in range(n)]
        else:
            out = [r.choice(self.used) if self.used and r.random() < .4 else r.randrange(2000) for _ in range(n)]
        for i in range(n):
            if r.random() < .04:
                out[i] = r.choice(SPECIAL_ANCHORS)
            if r.random() < .03:
                out[i] = out[0]
        if r.random() < .3:
            r.shuffle(out)
        if not self.repeats:
            for i, a in enumerate(out):
                while a in self.taken:
                    a = r.randrange(2**61)
                out[i] = a
                self.taken.add(a)
        self.used.extend(out[:50])
        return out

    def fresh(self, n):
        """Anchors nobody has used."""
        start = max([a for a in self.used if a < 2**62] + [0]) + 1 + self.r.randrange(1000)
        out = [start + i * self.r.choice([1, 7]) + i for i in range(n)]
        out = sorted(set(out))[:n]
        self.used.extend(out)
        self.taken.update(out)
        return out

    def batch(self, n, anchors=None):
        r = self.r
        anchors = self.anchors(n) if anchors is None else anchors
        n = len(anchors)
        if any(f.get('pack', n) < n for f in self.fields.values()):
            self.unrepeat(anchors)
        columns = {}
        for name, f in self.fields.items():
            if f['kind'] == 'constant':
                continue
            if f['kind'] == 'embedding':
                columns[name] = None if not f['required'] and r.random() < .1 else list(self.rows(name, f['dim'], n))
            elif f['required'] or f.get('whole'):
                columns[name] = [self.value(f) for _ in range(n)]
            else:
                share = r.choice([0, .3, .8, 1])
                columns[name] = [self.value(f) if r.random() < share else None for _ in range(n)]
        columns = {k: v for k, v in columns.items() if v is not None and any(x is not None for x in v)}
        if not columns:                      # an append without any value publishes nothing: give it one
            f = r.choice([f for f in self.fields.values() if f['kind'] != 'constant'])
            columns[f['name']] = list(self.rows(f['name'], f['dim'], n)) if f['kind'] == 'embedding' else [self.value(f) for _ in range(n)]
        self.even(anchors, columns)
        return {'op': 'append', 'anchors': anchors, 'columns': columns, 'early': False,
                'reads': [k for k in columns if r.random() < .3], 'pads': [k for k in columns if r.random() < .3]}

    def unrepeat(self, anchors):
        """Rows of one anchor in two packs of a batch stand in the order in which the reference's uploads of the packs ended, whatever
        their payload: each anchor once."""
        seen = set()
        for i, a in enumerate(anchors):
            while a in seen:
                a = self.r.randrange(2**61)
            anchors[i] = a
            seen.add(a)

    def even(self, anchors, columns):
        """One anchor's media rows of one batch stand in the order in which the reference's uploads ended: give them one payload."""
        if len(set(anchors)) < len(anchors):
            for name, values in columns.items():
                if self.fields[name]['kind'] in MEDIA:
                    first = {}
                    columns[name] = [v if v is None else first.setdefault(a, v) for a, v in zip(anchors, values)]

    # ---- later operations
    def pairs(self, f):
        n = self.r.choice([0, 1, 4, 20])
        anchors = self.anchors(n) if self.repeats or not self.used else self.r.sample(sorted(set(self.used)), min(n, len(set(self.used))))
        if f['kind'] in MEDIA:               # see even()
            anchors = list(dict.fromkeys(anchors))
        return [(a, self.value(f)) for a in anchors]

    def parent(self):
        return self.r.choice(sorted(self.fields))

    def evolve(self):
        r = self.r
        roll = r.random()
        if roll < .3 and self.tags:
            f = self.scalar_field(self.tags.pop())
            f['required'] = False
            self.fields[f['name']] = f
            return {'op': 'add_field', 'field': f}
        if roll < .45 and self.free:
            f = {'name': self.free.pop(), 'kind': r.choice(['image', 'video']), 'required': False}
            f['mime'] = r.choice(['png', 'jpeg']) if f['kind'] == 'image' else r.choice(['mp4', 'h264'])
            self.fields[f['name']] = f
            return {'op': 'add_field', 'field': f}
        if roll < .55:
            name = 'const%d' % len(self.fields)
            modality = [m for m in ('title.text', 'license.spdx', 'description.text', 'author.text') if m not in [f.get('modality') for f in self.fields.values()]]
            if modality:
                self.fields[name] = {'name': name, 'kind': 'constant', 'modality': modality[0], 'required': False}
                return {'op': 'add_constant', 'name': name, 'modality': modality[0], 'value': r.choice(['Hello', 'é' * 9, 'MIT', 'x' * 2000])}
        if roll < .75 and self.tags:
            f = self.scalar_field(self.tags.pop())
            f['required'] = False
            parent = self.parent()
            self.fields[f['name']] = f
            return {'op': 'add_scalar_layer', 'name': f['name'], 'parent': parent, 'kind': f['kind'], 'samples': self.pairs(f)}
        if roll < .88 and self.free:
            f = {'name': self.free.pop(), 'kind': 'image', 'mime': r.choice(['png', 'jpeg']), 'required': False, 'layer': True}
            parent = self.parent()
            self.fields[f['name']] = f
            return {'op': 'add_image_layer', 'name': f['name'], 'parent': parent, 'mime': f['mime'], 'samples': self.pairs(f)}
        layers = [f for f in self.fields.values() if f.get('layer') and f['kind'] == 'image']
        if layers and r.random() < .7:
            f = r.choice(layers)
            samples = self.pairs(f)
            if samples:
                return {'op': 'append_image_layer', 'name': f['name'], 'samples': samples}
        return {'op': 'set_meta', 'key': 'dreamdb.' + r.choice(['note', 'owner', 'x.y']), 'value': r.choice(['', 'one', 'é' * 40, 'long ' * 100])}

    def delete(self):
        r = self.r
        gone = [r.choice(self.used) if self.used and r.random() < .7 else r.getrandbits(r.choice([3, 8, 20, 63])) for _ in range(r.choice([1, 1, 2, 5, 300]))]
        self.gone |= set(gone)
        return {'op': 'delete', 'anchors': gone, 'reason': r.choice([None, '', 'gdpr', 'é' * 100])}

    def operations(self):
        r = self.r
        self.gone = set()
        ops = []
        for i in range(r.choice([1, 2, 2, 3, 4, 6])):
            if i and r.random() < .3:
                ops.append(self.evolve())
            ops.append(self.batch(r.choice([1, 1, 2, 3, 5, 10, 20, 40, 80])))
            if r.random() < .25:
                ops.append(self.delete())
        if r.random() < .2 and not self.plain_ref:
            ops.append({'op': 'keep', 'label': r.choice(['v1', 'v_2', 'v-3'])})
        return ops


class Coded(Generator):
    """Compressors, the inverted multi-index, rerank sidecars, embedding layers."""
    def vector_field(self, name, layer=False):
        r = self.r
        index = r.choice(['ivf', 'imi', 'imi'] + ([] if layer else ['lsh']))
        dim = r.choice([1, 2, 3, 5, 6, 7, 8, 8, 12, 13, 16, 17, 22, 24, 31, 33, 48, 64, 100, 130]) if r.random() < .93 else r.choice([200, 257])
        dim += dim % 2 if index == 'imi' else 0
        f = {'name': name, 'kind': 'embedding', 'dim': dim, 'required': not layer and r.random() < .4, 'index': index,
             'iterations': r.choice([1, 2, 4, 10]), 'seed': r.choice([0, 0, 1, 7, 2**63, r.getrandbits(64)]), 'by_address': not layer and r.random() < .3}
        if index == 'lsh':
            f['bits'] = r.choice([None, 1, 2, 5, 12])
        f['k'] = r.choice([1, 2, 3, 4, 5, 7, 8] + ([9, 16, 25] if index == 'ivf' else []))
        roll = r.random()
        if layer or roll < .85:
            f['compressor'] = r.choice(['rabitq', 'rabitq', 'pq'])
            f['cseed'] = r.choice([bytes(32), bytes(32), r.randbytes(32), bytes([255]) * 32])
            f['bpd'] = r.choice([1, 1, 2, 4, 8])
            f['factors'] = f['bpd'] == 1 and r.random() < .6
            f['m'] = r.choice([m for m in range(1, dim + 1) if dim % m == 0])
            f['pq_k'] = r.choice([1, 2, 3, 4, 8, 16, 17, 40, 256])
        least = max(f['k'], f['pq_k'] if f.get('compressor') == 'pq' else 1)
        f['sample'] = self.rows(name, dim, least + r.randrange(60))
        if index == 'imi':                   # a half without length would give a centroid without a direction: both sides refuse it
            x = f['sample'].reshape(-1, dim // 2)
            x[np.abs(x).max(axis=1) < 1e-12] = 1
        f['rerank'] = r.random() < .5
        if r.random() < .1:
            f['cap'] = r.choice([1 << 20, 104857600])
        return f

    def schema(self):
        r = self.r
        free, tags = r.sample(FREE_NAMES, len(FREE_NAMES)), r.sample(TAG_NAMES, len(TAG_NAMES))
        fields = [self.vector_field(free.pop()) for _ in range(r.choice([1, 1, 2]))]
        fields += [self.media_field(free.pop()) for _ in range(r.choice([0, 0, 1]))]
        fields += [self.scalar_field(tags.pop()) for _ in range(r.choice([0, 1, 2]))]
        r.shuffle(fields)
        self.fields = {f['name']: f for f in fields}
        self.free, self.tags = free, tags
        return fields

    def samples(self, f):
        n = self.r.choice([0, 1, 4, 20, 60])
        anchors = self.anchors(n)
        return list(zip(anchors, self.rows(f['name'], f['dim'], n)))

    def evolve(self):
        layers = [f for f in self.fields.values() if f.get('layer') and f['kind'] == 'embedding']
        if layers and self.r.random() < .4:
            f = self.r.choice(layers)
            samples = self.samples(f)
            if samples:
                return {'op': 'append_embedding_layer', 'name': f['name'], 'samples': samples}
        if self.r.random() < .3 or not self.free:
            return super().evolve()
        f = self.vector_field(self.free.pop(), True)
        f['layer'] = True
        parent = self.parent()
        self.fields[f['name']] = f
        return {'op': 'add_embedding_layer', 'name': f['name'], 'field': f, 'parent': parent, 'samples': self.samples(f)}


def coded(seed):
    g = Coded(seed, 'coded')
    fields = [dict(f) for f in g.schema()]
    ref = g.r.choice(REFS)
    g.plain_ref = '@' in ref
    return {'seed': seed, 'kind': 'coded', 'ref': ref, 'fields': fields, 'ops': g.operations(), 'generator': g}


def big(seed, kind):
    """The cases that need size: pages of every Track form, big postings, buckets that reach their cap."""
    g = Generator(seed, kind)
    one = lambda f: (g.fields.update({f['name']: f}), f)[1]
    ops = []
    if kind == 'paged image':
        f = one({'name': 'im', 'kind': 'image', 'required': False})
        for n in (22000, 500, 700, 3000, 20):
            start = g.r.choice([10**6, 10**6 + 5000, 0, 10**12])
            ops.append({'op': 'append', 'anchors': [start + i * 2 for i in range(n)], 'columns': {'im': [b'z'] * n}, 'early': False, 'reads': [], 'pads': []})
    elif kind == 'paged cells':
        one({'name': 'e', 'kind': 'embedding', 'dim': 6, 'index': 'lsh', 'bits': 200, 'required': False})
        for n in (2600, 1600, 500, 60, 1):
            ops.append(g.batch(n))
    elif kind == 'paged cells with sidecars':
        one({'name': 'e', 'kind': 'embedding', 'dim': 3, 'index': 'lsh', 'bits': 200, 'required': False, 'rerank': True})
        for n in (2400, 1900, 300):
            ops.append(g.batch(n))
        for shift in (5, 10**6):             # cells that have rows already, before and after them in time
            old = ops[0]
            ops.append({'op': 'append', 'anchors': [shift + i * 3 for i in range(200)], 'columns': {'e': old['columns']['e'][:200]}, 'early': False, 'reads': [], 'pads': []})
    elif kind == 'scalar trees':
        for name, k in (('i', 'int'), ('s', 'string'), ('f', 'float'), ('t', 'timestamp')):
            one({'name': name, 'kind': k, 'required': False, 'whole': True})
        for n in (2500, 300, 40, 1200):
            op = g.batch(n)
            op['columns']['i'] = [g.r.randrange(-10**9, 10**9) for _ in range(n)]
            op['columns']['s'] = ['%x' % g.r.getrandbits(g.r.choice([40, 400])) for _ in range(n)]
            ops.append(op)
    elif kind == 'big postings':
        one({'name': 'c', 'kind': 'categorical', 'required': False})
        one({'name': 'b', 'kind': 'bool', 'required': False})
        for start in (0, 2**32 - 3000, 10**6):
            a = list(range(start, start + 9000))
            ops.append({'op': 'append', 'anchors': a, 'columns': {'c': [('k%d' % (x % 2)) for x in a], 'b': [x % 5 != 0 for x in a]}, 'early': False, 'reads': [], 'pads': []})
    elif kind == 'bucket cap':
        one({'name': 'e', 'kind': 'embedding', 'dim': 1024, 'index': 'lsh', 'bits': 1, 'cap': 1 << 20, 'required': False, 'rerank': True})
        for n in (700, 300):
            ops.append(g.batch(n))
    elif kind == 'long postings list':
        one({'name': 'c', 'kind': 'categorical', 'required': False})
        a = list(range(6000))
        ops.append({'op': 'append', 'anchors': a, 'columns': {'c': ['v%d' % (x * 7919 % 5000) for x in a]}, 'early': False, 'reads': [], 'pads': []})
        ops.append(g.batch(50))
    return {'seed': seed, 'kind': kind, 'ref': 'main', 'fields': [dict(f) for f in g.fields.values()], 'ops': ops, 'generator': g}


BIG = ('paged image', 'paged cells', 'paged cells with sidecars', 'scalar trees', 'big postings', 'bucket cap', 'long postings list')


def case(seed):
    g = Generator(seed)
    fields = [dict(f) for f in g.schema()]
    ref = g.r.choice(REFS)
    g.plain_ref = '@' in ref                 # a label on a label is refused here
    return {'seed': seed, 'kind': 'plain', 'ref': ref, 'fields': fields, 'ops': g.operations(), 'generator': g}
