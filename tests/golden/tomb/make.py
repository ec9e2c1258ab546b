#!/usr/bin/env python3
"""Writes tomb.txt from the fixture versioning-tombstones and from the verified writer model: objects (address, hex), and for each head the
deleted anchors by an independent reader.   usage: make.py FORMAT_PY_FOLDER FIXTURES_FOLDER   (needs cbor2, blake3)"""
import sys, os, json, base64, random, cbor2
sys.path.insert(0, sys.argv[1])
from versioning_tombstones import Tree, mh, b32, enc
FIX = sys.argv[2] + '/versioning-tombstones'; HERE = os.path.dirname(os.path.abspath(__file__))
case = json.load(open(FIX + '/case.json'))
un = lambda t: base64.b32decode(t.upper() + '=' * (-len(t) % 8))
objects = {un(n): open(FIX + '/data/tombstones/' + n, 'rb').read() for n in sorted(os.listdir(FIX + '/data/tombstones'))}
out = []
def page(o, s):
    p = cbor2.loads(o[s['hash']])
    return [e['anchor'] for e in p['entries']] if p['level'] == 0 else [a for c in p['children'] for a in page(o, c)]
def dead(o, head, tl, seen):
    if head in seen: return set()
    seen.add(head); h = cbor2.loads(o[head]); s = set()
    mine = h.get('timeline') in (None, tl)
    if h['kind'].startswith('dreamdb.tombstone-index') and h['root'] and mine: s |= set(page(o, h['root']))
    if h['kind'].startswith('dreamdb.tombstone-list') and (mine or h['kind'].endswith('v1')): s |= {a['anchor'] for a in h['anchors']}
    for p in h['parents']: s |= dead(o, p, tl, seen)
    return s
def head(name, o, h, tl): out.append('head %s %s %s' % (name, b32(h), ' '.join(map(str, sorted(dead(o, h, tl, set()))))))
def part(o, tl):
    out.append('timeline ' + b32(tl))
    for a in sorted(o): out.append('object %s %s' % (b32(a), o[a].hex()))
tl = un(case['timeline']); part(objects, tl)
for s in case['steps']:
    head('fixture', objects, un(s['head']), tl)
    d = dead(objects, un(s['head']), tl, set()); assert all(a not in d for a in s['list_anchors_after'])
# a three-level tree, lists of both versions, another timeline, a union of heads, a parent met twice
o = {}; rnd = random.Random(3); tl = mh(b'tl'); other = mh(b'other')
def put(x): b = enc(x); o[mh(b)] = b; return mh(b)
t = Tree(); t.delete(list(range(0, 40000, 2)), 5); t.delete([rnd.getrandbits(64) for _ in range(60)] + [2**64 - 1], 6)
def reach(s): o[s['hash']] = t.store[s['hash']]; [reach(c) for c in cbor2.loads(o[s['hash']]).get('children', [])]
t2 = Tree(); t2.delete([7, 9, 11], 5, 'why'); i2 = None
big = None
small = Tree(); small.delete([rnd.randrange(1000) for _ in range(600)], 1, 'r')
def keep(tree, s):
    o[s['hash']] = tree.store[s['hash']]
    for c in cbor2.loads(o[s['hash']]).get('children', []): keep(tree, c)
keep(small, small.root); keep(t2, t2.root)
l1 = put({'kind': 'dreamdb.tombstone-list.v1', 'anchors': [{'anchor': 3}, {'anchor': 5, 'reason': 'x', 'deleted_at': 9}, {'anchor': 1 << 63, 'zzz': [1]}], 'parents': [], 'issued_at': 4})
l2 = put({'kind': 'dreamdb.tombstone-list.v2', 'anchors': [{'anchor': 4}, {'anchor': 70000}], 'parents': [l1], 'timeline': tl, 'extra': {'a': 1}})
l3 = put({'kind': 'dreamdb.tombstone-list.v2', 'anchors': [{'anchor': 123456}], 'parents': [l1], 'timeline': other})
ix = lambda root, parents, t: put({'kind': 'dreamdb.tombstone-index.v1', 'root': root, 'parents': sorted(parents), 'timeline': t, 'issued_at': 7})
a = ix(small.root, [l2], tl); b = ix(t2.root, [l3, l2], tl); c = ix(t2.root, [], other); d = ix(None, [a, b, c], tl)
part(o, tl)
for h in (l1, l2, l3, a, b, c, d): head('made', o, h, tl)
open(HERE + '/tomb.txt', 'w').write('\n'.join(out) + '\n')
