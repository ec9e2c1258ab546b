#!/usr/bin/env python3
"""Writes cases.txt and fixtures.txt: appends, builds and replacements with the Track address the verified models give after each.
Rows come from a generator that tests/test_track.c has too, so only seeds and addresses are stored.
usage: make.py FORMAT_PY_FOLDER FIXTURES_FOLDER   (needs cbor2, blake3)"""
import sys, os, json, struct, random
PY, FIX = sys.argv[1], sys.argv[2]
SEED = int(os.environ.get('SEED', 0)) * 1000; OUT = os.environ.get('OUT')    # other seeds, only the cases, to OUT
sys.path.insert(0, PY)
from core_lib import cbor, addr, b32, unb32, bucket
import core_paged
from evolution_paged import Tree2
import scalar_btree
HERE = os.path.dirname(os.path.abspath(__file__)); M = (1 << 64) - 1
class Rand:
    def __init__(s, seed): s.x = (seed * 0x9E3779B97F4A7C15 + 1) & M
    def __call__(s):
        x = s.x; x ^= x << 13 & M; x ^= x >> 7; x ^= x << 17 & M; s.x = x; return x
def raddr(r): return b'\x1e' + b''.join(struct.pack('<Q', r()) for _ in range(4))
def key_text(bits, i):
    r = Rand(1000 + i); return ''.join('01'[r() >> 40 & 1] for _ in range(bits))
def cint(v): return cbor(v)
WORDS = ['', 'a', 'aa', 'ab', 'b', 'ba', '\u00e9', 'zebra']
def value(kind, mode, r, i):
    x = r()
    if kind == 'int':
        v = x % 7 if mode == 'few' else i * 3 if mode == 'asc' else (x >> 1) - (1 << 62) if mode == 'wide' else x % 5000 - 2500
        return cbor(v)
    if kind == 'float':
        if mode == 'few': return bytes.fromhex(['f90000', 'f98000', 'f93800', 'fb3fb999999999999a', 'f9b800', 'fa47800000', 'f90001'][x % 7])
        if x % 3 == 0: return b'\xf9' + struct.pack('>H', (x >> 8 & 0xffff) & 0xfbff)
        if x % 3 == 1: return b'\xfa' + struct.pack('>I', (x >> 8 & 0xffffffff) & 0xff7fffff)
        return b'\xfb' + struct.pack('>Q', r() & 0xffefffffffffffff)
    if mode == 'few': return cbor(WORDS[x % 8])
    if mode == 'long': return cbor('k%d' % (x % 1000) + 'y' * (x >> 20 & 8191 if (x >> 40) % 4 == 0 else x >> 20 & 63))
    return cbor('k%d' % (x % 100000))
def rows(case, seed, n, mode):
    r = Rand(seed); out = []; kind = case['kind']
    for i in range(n):
        if mode == 'asc': t = seed * 1000000 + i * 7
        elif mode == 'same': t = 12345
        elif mode == 'big': t = r()  >> 1
        else: t = r() % 100000
        w = 1 + (r() % 300 if r() % 4 == 0 else 0)
        if kind == 'time':
            f = r() % 8; size = r() >> (r() % 64) & (1 << 40) - 1; a = raddr(r)
            row = [t, t + w, size, a]
            if f == 0: row.append(True)
            if f == 1: row += [False, r() % 100000]
        elif kind == 'spatial':
            k = key_text(case['bits'], r() % case['cells']); size = 160 + r() % 5000; a = raddr(r)
            row = [k, t, t + w, size, a]
            if case['side']: row += [0, raddr(r)]
        else:
            k = value(kind, mode, r, seed * 1000 + i); size = 31 + r() % 1000; off = r() % 100000; a = raddr(r)
            row = [k, t, t + w, a, off, size]
        out.append(row)
    return out
TL = addr(b'timeline')
class Side(Tree2):
    """rows with sidecars: the batch's rows of a cell stand before the older ones (seen in 0.0.16: no table number sorts before 0)"""
    fresh, cells_only = set(), False
    def key(s, r): return r[0].encode() if s.cells_only else side_key(r, s.fresh)
    def insert(s, new): s.fresh = set(map(id, new)); x = Tree2.insert(s, new); s.fresh = set(); return x
    def replace(s, cells, new):
        """other cells of a touched leaf keep the order they have (seen in 0.0.16: a union merge of paged Tracks with sidecars)"""
        s.cells_only = True; x = Tree2.replace(s, cells, sorted(new, key=lambda r: (r[0].encode(), r[1]))); s.cells_only = False; return x
def side_key(r, fresh): return (r[0].encode(), len(r) > 5 and id(r) not in fresh, r[1])
class Sim:
    """what the models say of one field"""
    def __init__(s, case):
        s.c = case; s.cov = None; s.n = 0; s.inline = []; s.tree = None; s.bt = None
        k = case['kind']; s.sp = k == 'spatial'; s.scalar = k in ('int', 'float', 'str')
        s.mod = {'time': 'image.jpeg', 'spatial': 'embedding.f32.dim=8.bucketed', 'int': 'scalar.i64.field=n', 'float': 'scalar.f64.field=n', 'str': 'scalar.str.field=n'}[k]
        s.algo = {'int': 'dreamdb.btree-int64', 'float': 'dreamdb.btree-float64', 'str': 'dreamdb.btree-string'}.get(k)
        s.order = (lambda r: (r[0].encode(), r[1])) if s.sp else (lambda r: r[0])
        s.times = (lambda r: (r[1], r[2])) if s.sp or s.scalar else (lambda r: (r[0], r[1]))
    def append(s, new):
        lo = min(s.times(r)[0] for r in new); hi = max(s.times(r)[1] for r in new)
        s.cov = [lo, hi] if s.cov is None else [min(lo, s.cov[0]), max(hi, s.cov[1])]; s.n += len(new)
        if s.scalar:
            if s.bt is None: s.bt = BT(s.algo); s.bt.build(new)
            else:
                for r in sorted(new, key=s.bt.rkey): s.bt.insert(r)
        elif s.tree: s.tree.insert(new)
        else:
            f = set(map(id, new)); s.inline = sorted(s.inline + new, key=(lambda r: side_key(r, f)) if s.sp else s.order)
            if len(cbor(s.inline)) > s.c['limit']: s.tree = (Side if s.sp else Tree2)(addr, s.mod, s.sp); s.tree.build(s.inline)
    def replace(s, cells, new):
        if s.tree: s.tree.replace(cells, new); rows_ = s.tree.flat()
        else: f = set(map(id, new)); s.inline = rows_ = sorted([r for r in s.inline if r[0] not in cells] + new, key=lambda r: side_key(r, f))
        s.cov = [min(r[1] for r in rows_), max(r[2] for r in rows_)]
    def track(s):
        if s.scalar: oi = {'form': 'scalar-btree-v1', 'root': s.bt.root[2], 'page_count': len(s.bt.reach()), 'tree_height': s.bt.height, 'total_entries': s.n}
        else: oi = s.tree.ref() if s.tree else s.inline
        return b32(addr(cbor({'coverage': s.cov, 'modality': s.mod, 'timeline': TL, 'object_index': oi})))
class BT(scalar_btree.BTree):
    """the model with a faster order key"""
    memo = {}
    def okey(s, r):
        k = (s.algo, r[0]); v = s.memo.get(k)
        if v is None: v = s.memo[k] = scalar_btree.BTree.okey(s, r)
        return v
    sizes = {}
    def pack(s, level, ents):
        if level == 0:
            out = []; cur = []; head = len(s.page(0, [])) - 1; size = 0
            for e in ents:
                k = (e[0], e[1], e[2], e[3], e[4], e[5]); n = s.sizes.get(k)
                if n is None: n = s.sizes[k] = len(cbor(e))
                m = len(cur) + 1; al = 1 if m < 24 else 2 if m < 256 else 3
                if cur and (m > 4096 or head + al + size + n > 65536): out.append(cur); cur = []; size = 0
                cur.append(e); size += n
            if cur: out.append(cur)
            return [s.put(level, c) for c in out]
        return scalar_btree.BTree.pack(s, level, ents)
scalar_btree.enc = cbor
CASES = [
    ('time-1m', dict(kind='time', limit=1 << 20), [('append', 20000, 'big'), ('append', 4000, 'asc'), ('append', 20, 'asc'), ('append', 300, 'mix'), ('append', 1, 'same'), ('append', 900, 'same'), ('append', 5000, 'mix'), ('append', 30000, 'big')]),
    ('time-early', dict(kind='time', limit=16384), [('append', 1, 'asc')] + [('append', 150, 'asc')] * 5 + [('append', 37, 'mix')] * 12 + [('append', 700, 'same')] + [('append', 2000, 'mix')] * 4),
    ('time-leaf', dict(kind='time', limit=16384), [('append', 250, 'asc')] * 3),
    ('spatial20', dict(kind='spatial', bits=20, cells=300, side=0, limit=16384), [('append', 100, 'mix')] * 8 + [('append', 3000, 'big'), ('replace', 40, 50), ('append', 300, 'same'), ('replace', 300, 10), ('replace', 5, 0)] + [('append', 20, 'mix')] * 10),
    ('spatial250', dict(kind='spatial', bits=250, cells=60, side=0, limit=16384), [('append', 60, 'mix')] * 30 + [('append', 2000, 'mix'), ('replace', 7, 7), ('append', 60, 'mix'), ('append', 60, 'asc')]),
    ('spatial-side', dict(kind='spatial', bits=9, cells=12, side=1, limit=300000), [('append', 60, 'mix'), ('replace', 3, 20), ('append', 9000, 'mix'), ('append', 2000, 'asc'), ('append', 12, 'mix'), ('replace', 2, 900), ('append', 12, 'mix')]),
    ('int-asc', dict(kind='int', limit=1 << 20), [('append', 1500, 'asc'), ('append', 1000, 'asc'), ('append', 40, 'asc'), ('append', 300, 'mix')]),
    ('int-mix', dict(kind='int', limit=1 << 20), [('append', 50, 'mix'), ('append', 800, 'mix'), ('append', 900, 'wide'), ('append', 500, 'mix'), ('append', 200, 'wide')] + [('append', 5, 'mix')] * 10),
    ('int-few', dict(kind='int', limit=1 << 20), [('append', 2600, 'few')] + [('append', 7, 'few')] * 20 + [('append', 300, 'few'), ('append', 5, 'mix'), ('append', 100, 'few')]),
    ('float', dict(kind='float', limit=1 << 20), [('append', 1200, 'mix'), ('append', 500, 'mix'), ('append', 1500, 'few'), ('append', 100, 'few'), ('append', 100, 'mix')]),
    ('str', dict(kind='str', limit=1 << 20), [('append', 900, 'mix'), ('append', 700, 'few'), ('append', 300, 'mix'), ('append', 1200, 'few'), ('append', 50, 'few')]),
    ('str-long', dict(kind='str', limit=1 << 20), [('append', 100, 'long')] + [('append', 20, 'long')] * 12 + [('append', 150, 'long')]),
]
def cells_of(case, r, n): return sorted({key_text(case['bits'], r() % case['cells']) for _ in range(n)})
out = []; only = os.environ.get('ONLY')
for name, case, ops in CASES:
    if only and name != only: continue
    sim = Sim(case); out.append('case %s %s %d %d %d %d' % (name, case['kind'], case.get('bits', 0), case.get('cells', 0), case.get('side', 0), case['limit']))
    for j, op in enumerate(ops):
        seed = j + 1 + SEED
        if op[0] == 'append': sim.append(rows(case, seed, op[1], op[2])); out.append('append %d %d %s %s' % (seed, op[1], op[2], sim.track()))
        else:
            r = Rand(seed + 500); cells = cells_of(case, r, op[1]); new = [x for x in rows(case, seed, op[2], 'mix') if x[0] in set(cells)]
            sim.replace(set(cells), new); out.append('replace %d %d %d %s' % (seed, op[1], op[2], sim.track()))
    t = sim.tree.ref() if sim.tree else None
    print(name, sim.track(), {k: v for k, v in t.items() if k != 'root'} if t else (sim.bt.height, len(sim.bt.reach())) if sim.bt else len(sim.inline), file=sys.stderr)
open(OUT or HERE + '/cases.txt', 'w').write('\n'.join(out) + '\n')
if OUT: sys.exit(0)

# ---- the fixtures core-paged, evolution-paged, scalar-btree as rows
o = []
c = json.load(open(FIX + '/core-paged/case.json'))
o.append('core %d %d %s' % (c['start_rows']['first'], c['start_rows']['count'], c['blob_address']))
for a, x in zip(c['appends'], c['object_index_after']):
    step = a[1] - a[0] if len(a) > 1 else 1
    runs = []                                       # runs first:count:step, in input order
    for v in a:
        if runs and (runs[-1][1] == 1 or v - runs[-1][0] == runs[-1][1] * runs[-1][2]):
            if runs[-1][1] == 1: runs[-1][2] = v - runs[-1][0]
            runs[-1][1] += 1
        else: runs.append([v, 1, 1])
    check = [f + i * s for f, n, s in runs for i in range(n)]; assert check == a
    o.append('coreappend %s %d %d %d %d %s' % (x['root'], x['fanout'], x['page_count'], x['total_items'], x['tree_height'], ' '.join('%d:%d:%d' % tuple(q) for q in runs)))
c = json.load(open(FIX + '/evolution-paged/case.json'))
import numpy as np, spatial_core as sc
MOD = 'embedding.f32.dim=8.bucketed'
X = np.array([np.frombuffer(bytes.fromhex(h), '<f4') for h in c['vectors_f32le']])
seed = sc.lsh_seed(c['dataset'], 'emb'); P = sc.lsh_planes(seed, 8, c['bits']); keys = sc.lsh_keys(P, X)
si = addr(cbor({'algorithm': 'dreamdb.lsh-cosine', 'bits': c['bits'], 'dim': 8, 'metric': 'cosine', 'params': {'seed': seed, 'version': 1}}))
anchor = lambda k, i: (1 << 40) + (k * 7919 + i * 104729) % 1000003
o.append('evo %s %s' % (c['timeline'], b32(si)))
for i, k in enumerate(keys): o.append('item %s %s' % (c['vectors_f32le'][i], k))
cells = {}                                          # key -> rows, each a list of (k, i), as the track has them
import copy
main = {}; branch = None; base = None
def add(side, k, i): side.setdefault(keys[i], []).append([(k, i)])
for op in c['ops']:
    if op['op'] == 'append':
        for i in op['items']: add(main if op['on'] == 'main' else branch, op['k'], i)
        if op['on'] == 'main': o.append('evoappend %s %d %s' % (op['track'], op['k'], ' '.join(map(str, op['items']))))
    elif op['op'] == 'branch': branch = copy.deepcopy(main); base = copy.deepcopy(main)
    else:
        new = {}
        if op['op'] == 'merge':
            for k in branch:
                fresh = [r for r in branch[k] if r not in base.get(k, [])]
                if fresh: new[k] = main.get(k, []) + fresh
        else:
            for k in sorted({keys[i] for i in op['items']}): new[k] = [sorted((x for r in main[k] for x in r), key=lambda q: anchor(*q))]
        lo = lambda r: min(anchor(*q) for q in r)
        for k in new: new[k] = sorted(new[k], key=lo); main[k] = new[k]
        o.append('evoreplace %s %s' % (op['track'], ' '.join(','.join('%d:%d' % q for q in r) for k in sorted(new) for r in new[k])))
c = json.load(open(FIX + '/scalar-btree/case.json'))
d = FIX + '/scalar-btree/data/' + c['timeline'] + '/scalar.i64.field=i/'
o.append('scalar %s' % c['timeline'])
from core_lib import uncbor
for a in c['appends']:
    t = None
    for b in os.listdir(d + 'bucket'):
        if os.path.getsize(d + 'bucket/' + b) == 31 * a['rows']: t = b
    o.append('scalarappend %s %s %d %d %d %d' % (a['track'], t, a['first_anchor'], a['first_value'], a['rows'], a['value_step']))
if not only: open(HERE + '/fixtures.txt', 'w').write('\n'.join(o) + '\n')
