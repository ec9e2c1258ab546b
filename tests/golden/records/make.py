#!/usr/bin/env python3
"""make.py FIXTURES - writes the small golden files of this folder from ../shared/fixtures (objects that the reference wrote, and the inputs
they were made from).  Run again only when the fixtures change."""
import base64
import json
import os
import struct
import sys

FIX = sys.argv[1]
sys.path.insert(0, os.path.join(FIX, '..', 'format', 'py'))
from core_lib import uncbor, unb32, b32
HERE = os.path.dirname(os.path.abspath(__file__))


def tree(name, data):
    root, out = os.path.join(FIX, name, data), {}
    for d, _, names in os.walk(root):
        for n in names:
            p = os.path.join(d, n)
            out[os.path.relpath(p, root)] = open(p, 'rb').read()
    return out


def anchors(blob):
    """The plain reading of FORMAT.md 12, arrays and bitsets only."""
    out, p = [], 9
    for _ in range(struct.unpack_from('<Q', blob, 1)[0]):
        high, cookie, n = struct.unpack_from('<III', blob, p)
        assert cookie == 12346
        for i in range(n):
            key, card = struct.unpack_from('<HH', blob, p + 12 + 4 * i)
            at = p + 4 + struct.unpack_from('<I', blob, p + 12 + 4 * n + 4 * i)[0]
            base = high << 32 | key << 16
            if card < 4096:
                out += [base | x for x in struct.unpack_from('<%dH' % (card + 1), blob, at)]
                end = at + 2 * card + 2
            else:
                out += [base | x for x in range(65536) if blob[at + (x >> 3)] >> (x & 7) & 1]
                end = at + 8192
        p = end
    assert p == len(blob)
    return out


def value(kind, v):
    if kind in ('c', 's'): return 'x' + v.encode().hex()
    if kind == 'f': return 'f%016x' % struct.unpack('>Q', struct.pack('>d', v))[0]
    return 'i%d' % int(v)


def scalars():
    files, case = tree('scalar-kinds', 'data'), json.load(open(os.path.join(FIX, 'scalar-kinds', 'case.json')))
    tl, postings, packs = case['timeline'], set(), []
    mods = {'c': 'scalar.cat', 'b': 'scalar.bool', 'i': 'scalar.i64', 't': 'scalar.ts', 'f': 'scalar.f64', 's': 'scalar.str'}
    for f in sorted(mods):
        m = f'{tl}/{mods[f]}.field={f}'
        old = set()
        for step in case['log']:
            rows = [(s['_anchor'], s[f]) for s in step['append'] if f in s]
            if not rows: continue
            t = uncbor(files[f'{m}/track/{step["tracks"][f]}'])['object_index']
            rs = t if isinstance(t, list) else uncbor(files[f'{m}/index/{b32(t["root"])}'])['entries']
            new = sorted(tuple(r) for r in rs if tuple(r) not in old)
            old |= set(new)
            pack = files[f'{m}/bucket/{b32(new[0][3])}']
            for r in new: postings.add(pack[r[4]:r[4] + r[5]])
            packs.append('pack %s %s' % (f, pack.hex()))
            packs += ['in %d %s' % (a, value(f, v)) for a, v in rows]
            packs += ['row %s %d %d %d %d' % (r[0].hex(), r[1], r[2], r[4], r[5]) for r in new]
    with open(os.path.join(HERE, 'postings.txt'), 'w') as o:
        for p in sorted(postings): o.write(p.hex() + ''.join(' %d' % a for a in anchors(p)) + '\n')
    with open(os.path.join(HERE, 'packs.txt'), 'w') as o: o.write('\n'.join(packs) + '\n')
    with open(os.path.join(HERE, 'selects.txt'), 'w') as o:
        for f in sorted(mods): o.write('track %s %s.field=%s/track/%s\n' % (f, tl + '/' + mods[f], f, case['log'][-1]['tracks'][f]))
        for f, op, v, want in case['query']:
            vs = v if isinstance(v, list) else [v]
            o.write('%s %s %s = %s\n' % (f, op, ' '.join(value(f, x) for x in vs), ' '.join(map(str, want))))


def buckets():
    out = []
    for name in ('spatial-raw-rerank', 'spatial-rabitq1', 'spatial-lsh'):
        files, case = tree(name, 'data'), json.load(open(os.path.join(FIX, name, 'case.json')))
        vec = dict(zip(case['anchors'], case['vectors_f32le']))
        n = {}
        for p in sorted(files):
            parts = p.split('/')
            data = files[p]
            if len(parts) != 4 or data[:4] not in (b'VBUU', b'VSTU') or n.get(data[:4], 0) >= 3: continue
            n[data[:4]] = n.get(data[:4], 0) + 1
            out.append('%s %s %d %s %s' % ('bucket' if data[:4] == b'VBUU' else 'sidecar', parts[1], case['dim'], parts[2], data.hex()))
            if data[:4] == b'VBUU':
                size, count, head = struct.unpack_from('>III', data, 8)
                for i in range(count):
                    a = struct.unpack_from('>Q', data, head + i * size)[0]
                    out.append('record %d %s' % (a, vec[a]))
    open(os.path.join(HERE, 'buckets.txt'), 'w').write('\n'.join(out) + '\n')


def items():
    files, case = tree('core-append', 'dataset'), json.load(open(os.path.join(FIX, 'core-append', 'case.json')))
    out, seen = [], {}
    for k, batch in enumerate(case['batches']):
        m = uncbor(files['manifests/' + case['manifests'][k + 1]])
        schema = {f['name']: f for f in m['registry']['dreamdb.schema']['fields']}
        for b in m['tracks']['active']:
            f = schema[b['field']]
            rows = [(s['_anchor'], s[f['name']]) for s in batch if f['name'] in s]
            if f['kind'] != 'image' or not rows: continue
            tl = b32(b['timeline'])
            t = uncbor(files['%s/%s/track/%s' % (tl, b['modality'], b32(b['address']))])['object_index']
            old = list(seen.get(f['name'], []))
            new = []
            for r in t:
                if r in old: old.remove(r)
                else: new.append(r)
            seen[f['name']] = t
            out.append('items %s %s %d %d %d' % (tl, b['modality'], 'chunk_size' in f, f.get('chunk_size', 0), f.get('pack_items', 0)))
            out += ['in %d %s' % (a, v['hex']) for a, v in rows]
            for a, _ in rows:                                        # in input order
                r = next(x for x in new if x[0] == a)
                new.remove(r)
                out.append('row %d %d %d %d %d %s' % (r[0], r[1], r[2], 0 if len(r) == 4 else 1 if r[4] else 2, r[5] if len(r) > 5 else 0, b32(r[3])))
    open(os.path.join(HERE, 'items.txt'), 'w').write('\n'.join(out) + '\n')


scalars()
buckets()
items()
