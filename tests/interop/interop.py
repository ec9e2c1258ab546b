#!/usr/bin/env python3
"""interop.py - dreamdb.h beside the reference package 0.0.16 over random cases.

  identical  both write the same case; with nonce, clock and writer taken from the reference's files every object file is compared byte
             for byte after every operation (the Ref) and at the end (the tree); then all reads are compared.
  mixed      ours writes with its defaults, the reference opens, reads, appends; ours reads and appends again; either branches,
             union-merges, deletes; the reference collects; both read the same after every step, and ours verifies.
  merge      two-branch histories of the reference (appends, deletions, compactions); it merges one copy of the files, ours another with
             nonce, clock and writer of the reference: the Manifest, so every Track, lineage and edge, is equal.  What the reference
             refuses and ours merges is read by both and verified.
  compact    the reference's history with compactions in it, step by step beside ours under `identical`, all fields or one, inline and (by its
             compact_spatial_cells) paged: equal object for object, refused where it refuses.  Then ours compacts with its defaults; get is the
             same before and after, and the reference reads it, appends, merges, compacts.

  hot        hot appends, cold ones, flushes, deletions, new fields in random order, written by both: equal trees while the reference takes
             them; where it refuses (a flush of rows that lack an embedding, say) ours goes on with its defaults and it reads on.

usage: interop.py [--driver PROGRAM] [--cases N] [--first SEED] [--jobs N] [--big] [--keep DIR] [--only identical|mixed|merge|compact|hot]"""
import argparse
import contextlib
import multiprocessing
import os
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
try:
    import numpy as np
    import cbor2
    import dreamdb
except ImportError as e:
    print('interop: skipped, a package is missing (%s): pip install numpy cbor2 dreamdb==0.0.16' % e)
    print('0 passed, 0 failed, 1 skipped')
    sys.exit(0)
import cases
from ours import Ours, DriverError, text, token
from reference import Reference, TOP, b32

F4 = np.float32


class Differs(Exception):
    pass


# ---- trees
def tree(root):
    out = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [d for d in folders if d != '.dreamdb-cas-locks']
        for n in names:
            p = os.path.join(folder, n)
            out[os.path.relpath(p, root)] = p
    return out


def compare_trees(a, b, what=lambda p: True):
    """Number of equal objects; raises with the first paths that differ."""
    x, y = tree(a), tree(b)
    x, y = {p: f for p, f in x.items() if what(p)}, {p: f for p, f in y.items() if what(p)}
    wrong = ['only the reference has ' + p for p in sorted(x) if p not in y] + ['only ours has ' + p for p in sorted(y) if p not in x]
    for p in x:
        if p in y and open(x[p], 'rb').read() != open(y[p], 'rb').read():
            wrong.append('bytes differ: ' + p)
    if wrong:
        raise Differs('%d object files differ: %s' % (len(wrong), '; '.join(wrong[:6])))
    return len(x)


# ---- scores, as the format says: f32 left folds
def fold(a, b):
    acc = np.zeros(a.shape[0], F4)
    with np.errstate(all='ignore'):
        for i in range(a.shape[1]):
            acc = (acc + (a[:, i] * b[:, i]).astype(F4)).astype(F4)
    return acc


def unit(a):
    with np.errstate(all='ignore'):
        return (a / np.sqrt(fold(a, a))[:, None]).astype(F4)


def score(rows, query, l2):
    q = np.broadcast_to(np.asarray(query, F4), rows.shape)
    if l2:
        s = np.zeros(len(rows))
        for i in range(rows.shape[1]):
            d = rows[:, i].astype('f8') - q[:, i].astype('f8')
            s = s + d * d
        with np.errstate(all='ignore'):
            return s.astype(F4)
    return fold(unit(rows), unit(q.copy()))


class State:
    """What both sides should hold: kinds of fields, stored vectors, a few values to ask for."""
    def __init__(self, case):
        self.g = case['generator']
        self.r = random.Random(case['seed'] ^ 0x5eed)
        self.kinds, self.fields, self.vectors, self.values = {}, {}, {}, {}
        self.constants, self.deleted, self.repeated, self.compacts, self.rows = {}, set(), {}, False, {}
        for f in case['fields']:
            self.add(f)

    def add(self, f):
        self.kinds[f['name']] = f['kind']
        self.fields[f['name']] = f

    def note(self, op):
        k = op['op']
        if k == 'add_field':
            self.add(op['field'])
        elif k == 'add_constant':
            self.constants[op['name']] = op['value']
        elif k in ('add_scalar_layer', 'add_image_layer', 'add_embedding_layer'):
            self.add(op.get('field') or {'name': op['name'], 'kind': op.get('kind', 'image')})
            self.seen(op['name'], op['samples'])
            self.rows[op['name']] = dict(op['samples'])
        elif k in ('append_image_layer', 'append_embedding_layer'):
            self.seen(op['name'], op['samples'])
        elif k == 'delete':
            self.deleted |= set(op['anchors'])
        elif k in ('append', 'hot'):
            for name, values in op['columns'].items():
                self.seen(name, list(zip(op['anchors'], values)))
                for a, v in zip(op['anchors'], values):
                    if v is not None:
                        self.rows.setdefault(name, {})[a] = v

    def seen(self, name, pairs):
        if self.kinds[name] == 'embedding':
            for a, v in pairs:
                if v is not None:
                    self.repeated[name] = self.repeated.get(name, False) or a in self.vectors.get(name, {})
                    self.vectors.setdefault(name, {}).setdefault(a, set()).add(np.asarray(v, '<f4').tobytes())
        elif self.kinds[name] in cases.SCALARS:
            self.values.setdefault(name, []).extend(v for _, v in pairs[:200] if v is not None)

    def columns(self):
        return sorted(n for n in self.kinds if self.kinds[n] != 'constant')

    def predicate(self):
        """(field, operator, value) for the reference and our text of it; None when there is no scalar field."""
        names = [n for n in self.columns() if self.kinds[n] in cases.SCALARS]
        if not names:
            return None
        n = self.r.choice(names)
        k = self.kinds[n]
        pool = self.values.get(n) or []
        pick = lambda: self.r.choice(pool) if pool and self.r.random() < .8 else self.g.value({'kind': k})
        op = self.r.choice(['==', '!=', '<', '<=', '>', '>=', 'in'])
        v = [pick() for _ in range(self.r.randrange(5))] if op == 'in' else pick()
        word = dict(zip(['==', '!=', '<', '<=', '>', '>=', 'in'], ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'in']))[op]
        ours = '%s %s %s' % (word, text(n), ' '.join([str(len(v))] + [token(k, x) for x in v]) if op == 'in' else token(k, v))
        return (n, op, v), ours.rstrip()


def same(kind, ours, theirs):
    if ours is None or theirs is None:
        return ours is None and theirs is None
    if kind == 'embedding':
        return np.asarray(theirs, '<f4').tobytes() == np.asarray(ours, '<f4').tobytes()
    if kind in ('image', 'audio', 'video'):
        return ours[3] == bytes(theirs) and ours[1] == len(theirs)
    if kind in ('categorical', 'string'):
        return ours == theirs.encode()
    if kind == 'float':
        return struct.pack('<d', ours) == struct.pack('<d', theirs)
    return ours == theirs


def compare_reads(ours, ref, st, where):
    cols = st.columns()
    mine, theirs = ours.table(cols, 0, TOP), ref.table(cols)
    if sorted(mine) != sorted(theirs):
        raise Differs('%s: scan: anchors differ: only ours %s, only the reference %s' % (where, sorted(set(mine) - set(theirs))[:5], sorted(set(theirs) - set(mine))[:5]))
    if list(mine) != sorted(mine):
        raise Differs('%s: scan is not in anchor order' % where)
    for a in mine:
        for n in cols:
            if st.kinds[n] == 'embedding' and len(st.vectors.get(n, {}).get(a, ())) > 1:
                continue                                  # the reference's winner varies from run to run
            if not same(st.kinds[n], mine[a][n], theirs[a][n]):
                raise Differs('%s: anchor %d, field %r: ours %r, reference %r' % (where, a, n, mine[a][n], theirs[a][n]))
    listed = ref.ds.list_anchors()
    if [a for a in ours.anchors() if a < TOP] != listed:
        raise Differs('%s: anchors differ from list_anchors' % where)
    got = int(ours.send('count * 0 %d' % TOP)[0].split()[1])
    if got != ref.ds.count():
        raise Differs('%s: count: ours %d, reference %d' % (where, got, ref.ds.count()))
    compare_windows(ours, ref, st, where, cols, listed)
    compare_predicates(ours, ref, st, where)
    compare_searches(ours, ref, st, where)
    compare_history(ours, ref, st, where)


def compare_windows(ours, ref, st, where, cols, listed):
    for _ in range(2):
        n = st.r.choice(cols)
        edge = lambda: st.r.choice(listed) + st.r.choice([-1, 0, 1]) if listed else 5
        lo, hi = sorted((max(0, edge()), max(0, edge())))
        if hi == lo:
            hi += 1
        want = ref.ds.distinct_anchors(lo, hi, [n])
        got = int(ours.send('count %s %d %d' % (text(n), lo, hi))[0].split()[1])
        if got != len(want):
            raise Differs('%s: count of %r in [%d, %d): ours %d, reference %d' % (where, n, lo, hi, got, len(want)))
        if list(ours.table([n], lo, hi, media=0)) != want:
            raise Differs('%s: scan of %r in [%d, %d) has other anchors' % (where, n, lo, hi))


def compare_predicates(ours, ref, st, where):
    for _ in range(3):
        p = st.predicate()
        if p is None:
            return
        want, got = ref.ds.query_scalar(*p[0]), ours.anchors(p[1])
        if want != got:
            raise Differs('%s: %r: ours %s, reference %s' % (where, p[0], got[:8], want[:8]))


def compare_searches(ours, ref, st, where):
    for n in [n for n in st.columns() if st.kinds[n] == 'embedding']:
        f, l2 = st.fields[n], st.fields[n]['index'] == 'lsh-l2'
        pool = st.vectors.get(n, {})
        for _ in range(2):
            q = st.g.np.standard_normal(f['dim']).astype('<f4') + F4(.01)
            if pool and st.r.random() < .5:
                q = np.frombuffer(st.r.choice(sorted(st.r.choice(sorted(pool.items()))[1])), '<f4')
            top_k, nprobe = st.r.choice([1, 3, 10, 1000]), st.r.choice([None, 1, 2, 7, 33, 1000])
            p = st.predicate() if st.r.random() < .4 else None
            if f.get('compressor'):
                compare_coded(ours, ref, st, f, q, top_k, 32 if nprobe is None else nprobe, p, where)
                continue
            want = ref.search(n, q, top_k, nprobe, [p[0]] if p else None)
            got = ours.search(n, q, top_k, 32 if nprobe is None else nprobe, p[1] if p else '')
            compare_hits(got, want, q, l2, '%s: query of %r, top_k %d, nprobe %s%s' % (where, n, top_k, nprobe, ', where %r' % (p[0],) if p else ''))


def compare_coded(ours, ref, st, f, q, top_k, nprobe, p, where):
    """A search of codes: the reference's rows must stand in the order of our scores; a repeated anchor would make them ambiguous."""
    n = f['name']
    if st.repeated.get(n):
        return
    predicate = p[1] if p else ''
    mode = st.r.choice([0, 1] + ([2] if f.get('rerank') else []))
    pool = st.r.choice([0, 0, top_k, top_k + 7])
    rerank = mode == 2 or mode == 0 and f.get('rerank')
    how = {'rerank_mode': ['inherit', 'approximate', 'exact'][mode]}
    if pool and rerank:
        how['rerank_pool_size'] = pool
    want = ref.search(n, q, top_k, nprobe, [p[0]] if p else None, **how)
    got = ours.search(n, q, top_k, nprobe, predicate, pool if rerank else 0, mode)
    codes = ours.search(n, q, 1 << 20, nprobe, predicate, 0, 1)
    where = '%s: query of %r (%s), top_k %d, nprobe %d, rerank %d, pool %d' % (where, n, f['compressor'], top_k, nprobe, mode, pool)
    if len(got) != len(want):
        raise Differs('%s: %d hits, the reference has %d; ours %s, theirs %s' % (where, len(got), len(want), got[:8], [a for a, _ in want][:8]))
    scores = dict(codes)
    if rerank:
        cut = pool or 5 * top_k
        if cut < len(codes) and codes[cut - 1][1] == codes[cut][1]:
            return                                                # ties at the cut of the pool may fall either way
        exact = {}
        for a, _ in want:
            exact[a] = score(np.frombuffer(min(st.vectors[n][a]), '<f4').reshape(1, -1), q, False)[0]
        scores = exact
    for i, ((a, s), (b, v)) in enumerate(zip(got, want)):
        if scores.get(b) != s:
            raise Differs('%s: hit %d is anchor %d (%r) here, and anchor %d (%r) in the reference' % (where, i, a, s, b, scores.get(b)))


def once(want):
    """Hits without repeats of one anchor with one vector."""
    seen, out = set(), []
    for a, v in want:
        if (a, v.tobytes()) not in seen:
            seen.add((a, v.tobytes()))
            out.append((a, v))
    return out


def compare_hits(got, want, q, l2, where):
    """The reference gives a record twice that stands twice in the buckets; we give an anchor once for each different vector.  So
    its repeats are taken out, and what then stood beyond its cut is ours alone."""
    full, want = want, once(want)
    if len(got) > len(want) and len(got) <= len(full):
        got = got[:len(want)]
    scores = score(np.array([v for _, v in want], F4).reshape(-1, len(q)), q, l2) if want else []
    if len(got) != len(want):
        raise Differs('%s: %d hits, the reference has %d; ours %s, theirs %s' % (where, len(got), len(want), [a for a, _ in got][:8], [a for a, _ in want][:8]))
    for i, ((a, s), t) in enumerate(zip(got, scores)):
        if s != t:
            raise Differs('%s: hit %d scores %r (anchor %d), the reference\'s %r (anchor %d)' % (where, i, s, a, t, want[i][0]))
    last = scores[-1] if len(want) else None
    groups = {}
    for (a, s), (b, _) in zip(got, want):
        groups.setdefault(float(s), ([], []))
        groups[float(s)][0].append(a)
        groups[float(s)][1].append(b)
    for s, (a, b) in groups.items():
        if s != float(last) and sorted(a) != sorted(b):           # ties at the cut may fall either way
            raise Differs('%s: anchors at score %r: ours %s, reference %s' % (where, s, sorted(a)[:6], sorted(b)[:6]))


def compare_history(ours, ref, st, where):
    want = [(h['manifest'], h['ts_ns'], h['writer']) for h in ref.ds.history(max_depth=10000)]
    got = []
    for line in ours.send('log'):
        p = line.split(' ')
        got.append((p[1], int(p[2]), bytes.fromhex(p[3][1:]).decode()))
    if want != got[:len(want)] or len(want) != len(got):
        raise Differs('%s: log: ours %s, reference %s' % (where, [x[0] for x in got][:4], [x[0] for x in want][:4]))
    metas = {}
    for line in ours.send('info'):
        p = line.split(' ')
        if p[0] == 'meta' and p[2] != '-':
            metas[bytes.fromhex(p[1][1:]).decode()] = bytes.fromhex(p[2][1:]).decode()
    for k, v in ref.ds.meta().items():
        if metas.get(k) != v:
            raise Differs('%s: meta %s: ours %r, reference %r' % (where, k, metas.get(k), v))
    for n, v in st.constants.items():
        got = bytes.fromhex(ours.send('constant ' + text(n))[0].split(' ')[1][1:]).decode()
        if got != v:
            raise Differs('%s: constant %s differs' % (where, n))


# ---- the two kinds of a run
def copy_index(ref, field, a, b):
    """The index and compressor objects of a field from folder a into b: their addresses (compressor: or None)."""
    c = ref.compressors.get(field)
    addresses = (b32(ref.indexes[field]), c and b32(c))
    for folder, address in zip(('spatial-index', 'vector-compressor'), addresses):
        if address:
            os.makedirs(os.path.join(b, folder), exist_ok=True)
            shutil.copy(os.path.join(a, folder, address), os.path.join(b, folder))
    return addresses


def run_identical(case, ours, root):
    a, b = os.path.join(root, 'theirs'), os.path.join(root, 'ours')
    os.makedirs(a)
    os.makedirs(b)
    ref, st = Reference(a), State(case)
    ref.create(case['ref'], case['fields'])
    ours.store(b)
    addresses = {}
    for f in case['fields']:
        if f.get('by_address') and f['name'] in ref.indexes:      # half of them: the index object is copied, not trained again
            addresses[f['name']] = copy_index(ref, f['name'], a, b)
    m = ref.manifest()
    ours.begin(m['ts'], m['writer'], identical=True, threads=1 + case['seed'] % 3)
    ours.create(case['ref'], case['fields'], ref.nonce(), addresses)
    check_tip(ours, ref, case['ref'], 'create')
    for i, op in enumerate(case['ops']):
        before = ref.tip()
        ref.run(op)
        st.note(op)
        m = ref.manifest()
        if ref.tip() == before and op['op'] != 'keep':
            raise Differs('the reference published nothing for op %d (%s)' % (i, op['op']))
        ours.begin(m['ts'], m['writer'], identical=True, threads=1 + case['seed'] % 3)
        ours.open(case['ref'])
        if op['op'] == 'delete':
            op = dict(op, stamp=ref.tombstones(m)['issued_at'])
        ours.run(op, st.kinds)
        check_tip(ours, ref, case['ref'], 'op %d (%s)' % (i, op['op']))
    equal = compare_trees(a, b)
    ours.open(case['ref'])
    ref.open(case['ref'])
    compare_reads(ours, ref, st, 'identical')
    faults = ours.verify()
    if faults:
        raise Differs('verify of identical files: ' + faults[0])
    return equal


def check_tip(ours, ref, name, where):
    x, y = ref.tip(name), ours.tip(name)
    if x != y:
        n = '?'
        with contextlib.suppress(Differs):
            n = compare_trees(ref.root, ours.root)
        try:
            compare_trees(ref.root, ours.root)
        except Differs as e:
            n = str(e)
        raise Differs('%s: Manifest %s, the reference\'s %s: %s' % (where, y, x, n))


def quiet(call):
    """The reference's gc prints; keep the run readable."""
    old = os.dup(2), os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    os.dup2(null, 2)
    os.dup2(null, 1)
    try:
        return call()
    finally:
        os.dup2(old[0], 2)
        os.dup2(old[1], 1)
        for fd in (*old, null):
            os.close(fd)


def step_reads(ours, root, case, st, where):
    ref = Reference(root)
    ref.open(case['ref'])
    ours.begin(threads=1 + case['seed'] % 2)
    try:
        ours.open(case['ref'])
        compare_reads(ours, ref, st, where)
    except DriverError as e:
        raise Differs('%s: %s' % (where, e)) from None
    return ref


def run_mixed(case, ours, root):
    d = os.path.join(root, 'both')
    os.makedirs(d)
    r = random.Random(case['seed'] ^ 0xabcdef)
    st, g = State(case), case['generator']
    ours.store(d)
    ours.begin(threads=1 + case['seed'] % 3)
    ours.create(case['ref'], case['fields'], auto_bits=r.random() < .3)
    for i, op in enumerate(case['ops']):
        op = dict(op, early=op['op'] == 'append' and r.random() < .5)
        if i and r.random() < .3:
            ours.open(case['ref'])
        ours.run(op, st.kinds)
        st.note(op)
    ref = step_reads(ours, d, case, st, 'ours')
    # theirs, then ours again
    for who in ('theirs', 'ours', 'theirs'):
        op = g.batch(r.choice([1, 3, 12, 40]), g.fresh(r.choice([1, 3, 12, 40])))
        op['early'] = r.random() < .5
        if who == 'ours':
            ours.append(op, st.kinds, early=op['early'])
        else:
            ref.open(case['ref'])
            ref.append(op)
        st.note(op)
        ref = step_reads(ours, d, case, st, who + ' appended')
    hot_turn(case, ours, d, st, g, r)
    retrain(case, ours, d, st, r)
    rebuild(case, ours, d, st, g, r)
    ada(case, ours, d, st, r)
    merge(case, ours, d, st, g, r)
    ref = Reference(d)
    ref.open(case['ref'])
    live = ref.ds.list_anchors()
    gone = r.sample(live, min(len(live), r.choice([1, 2, 5]))) + [r.choice([0, 12345, 2**64 - 2])]
    if r.random() < .5:
        ref.ds.delete(gone, r.choice([None, '', 'gdpr']))
    else:
        ours.open(case['ref'])
        ours.run({'op': 'delete', 'anchors': gone, 'reason': r.choice([None, '', 'gdpr'])}, st.kinds)
    st.deleted |= set(gone)
    step_reads(ours, d, case, st, 'after a delete')
    compact(case, d, r)
    step_reads(ours, d, case, st, 'after a compaction')
    collect(case, ours, d, st, g, r)
    op = g.batch(3, g.fresh(3))
    ours.append(op, st.kinds)
    st.note(op)
    step_reads(ours, d, case, st, 'ours after gc')
    faults = ours.verify(0)
    if faults:
        raise Differs('verify at the end: ' + faults[0])
    return 0


def collect(case, ours, d, st, g, r):
    """A branch that is older than what our gc keeps is merged; then both collect, in any order.  The reference goes back one state
    less than ours keeps: beyond, it stops at what is gone, as after its own runs."""
    def our_gc(keep):
        ours.begin()
        ours.open(case['ref'])
        ours.send('gc %d' % keep)
        faults = ours.verify(0)
        if faults:
            raise Differs('after our gc: ' + faults[0])

    ref = Reference(d)
    ref.open(case['ref'])
    if '@' in case['ref']:                       # the name of a snapshot: it keeps one state, and no way to merge bases
        return our_gc(1)
    ref.ds.branch('old-branch')
    for where in (case['ref'], 'old-branch', case['ref'], case['ref']):
        op = g.batch(4, g.fresh(4))
        st.note(op)
        ours.begin()
        ours.open(where)
        ours.append(op, st.kinds, early=r.random() < .3)
    our_gc(r.randrange(1, 4))
    ours.begin()
    ours.open(case['ref'])
    ours.send('merge ' + text('old-branch'))     # the reference wants all history there, so after a gc, its own too, it merges nothing
    ref.open(case['ref'])
    ref.ds.delete_ref('old-branch')
    step_reads(ours, d, case, st, 'after our gc and a merge of an old branch')
    snapshots = any('@' in n for _, _, names in os.walk(os.path.join(d, 'refs')) for n in names)
    most = 0 if snapshots else 1                 # states behind every root that are surely there: the tip's first parent, of snapshots none
    for who in r.choice(['ot', 'oto', 'too', 'to']):
        if who == 'o':
            our_gc(r.randrange(1, 4))
            most = 0
        else:
            back = r.randrange(most + 1)
            quiet(lambda: dreamdb.gc('file://' + d, keep_manifests=back, dry_run=False, writers_paused=True))
            most = 0


def hot_turn(case, ours, d, st, g, r):
    """Both append hot rows, ours flushes (the reference cannot where some rows lack a vector), and both read on."""
    if r.random() < .5 or any(f['required'] and f['kind'] in cases.MEDIA for f in g.fields.values()):
        return
    for who in r.sample(['ours', 'theirs', 'ours'], 2):
        op = hot_rows(g, r)
        op['items'] = 10000
        op['columns'] = {n: v for n, v in op['columns'].items() if st.kinds[n] not in cases.MEDIA and not st.fields[n].get('layer')}
        if not op['columns']:
            continue
        try:
            if who == 'ours':
                ours.begin()
                ours.open(case['ref'])
                ours.run(op, st.kinds)
            else:
                ref = Reference(d)
                ref.open(case['ref'])
                ref.run(op)
        except (DriverError, RuntimeError) as e:
            if 'above the Track' not in str(e) and 'beyond the cold Track' not in str(e):
                raise
            continue                                      # some anchor is as large as can be: nothing lies above it
        st.note(op)
    ours.begin()
    ours.open(case['ref'])
    ours.send('flush')
    step_reads(ours, d, case, st, 'after hot appends and a flush')


def retrain(case, ours, d, st, r):
    """A new index for a field that has rows; the reference must read all of it."""
    names = [n for n in st.columns() if st.kinds[n] == 'embedding' and st.fields[n]['index'] in ('ivf', 'imi') and len(st.vectors.get(n, {})) > 8]
    if not names or r.random() < .5:
        return
    n = r.choice(names)
    ours.open(case['ref'])
    ours.send('train %s %d %d %d %s' % (text(n), r.choice([1, 2, 5, 8]), 3, r.getrandbits(32), r.choice(['auto', '0', '24'])))
    step_reads(ours, d, case, st, 'after train')


def rebuild(case, ours, d, st, g, r):
    """All of a field under a new index, in little memory or much: the reference opens, reads, searches, and appends to it."""
    names = [n for n in st.columns() if st.kinds[n] == 'embedding' and len(st.vectors.get(n, {})) > 8 and st.fields[n]['index'] in ('ivf', 'imi', 'lsh')]
    if not names or r.random() < .4:
        return
    n = r.choice(names)
    ours.open(case['ref'])
    try:
        ours.send('rebuild %s %d %d %d %d %s' % (text(n), r.choice([0, 1, 2, 5, 8]), r.choice([0, 9, 50]), r.getrandbits(32),
                                                 r.choice([0, 131072]) * (4 if st.fields[n]['dim'] > 130 else 1),    # room for the sample
                                                 r.choice(['auto', '0', '24'])))
    except DriverError as e:
        if 'no usable centroids' not in str(e) and 'are fewer than' not in str(e):     # few records, or a mean of zero
            raise
        ours.open(case['ref'])
    step_reads(ours, d, case, st, 'after rebuild')
    ref = Reference(d)
    ref.open(case['ref'])
    op = g.batch(r.choice([1, 3, 12]), g.fresh(r.choice([1, 3, 12])))
    ref.append(op)
    st.note(op)
    step_reads(ours, d, case, st, 'theirs appended after rebuild')


def ada(case, ours, d, st, r):
    """A step of Ada-IVF; with all cells under one index the reference must read, search and append to all of it."""
    names = [n for n in st.columns() if st.kinds[n] == 'embedding' and st.fields[n]['index'] == 'ivf' and len(st.vectors.get(n, {})) > 8]
    for n in names:
        ours.open(case['ref'])
        lossy = ' lossy' if st.fields[n].get('compressor') and not st.fields[n].get('rerank') else ''
        if r.random() < .5:                       # under several generations first: the reference's search refuses that
            ours.send('step %s%s' % (text(n), lossy))
        ours.send('step %s relineage%s%s' % (text(n), lossy, r.choice(['', ' exact'])))
        faults = ours.verify(0)
        if faults:
            raise Differs('verify after a step: ' + faults[0])
    if names:
        step_reads(ours, d, case, st, 'after a step')


def merge(case, ours, d, st, g, r):
    """A branch from what we wrote, both sides append (either writer), and either merges them; the other goes on."""
    ref = Reference(d)
    ref.open(case['ref'])
    ref.ds.branch('side-branch')
    for where in ('trunk', 'branch'):
        op = g.batch(5, g.fresh(5))
        st.note(op)
        if r.random() < .5:
            ours.begin()
            ours.open(case['ref'] if where == 'trunk' else 'side-branch')
            ours.append(op, st.kinds, early=r.random() < .5)
        else:
            target = Reference(d)
            target.open(case['ref'] if where == 'trunk' else 'side-branch')
            target.append(op)
    ref.open(case['ref'])
    if r.random() < .5:
        ref.ds.merge('side-branch', 'union-tracks')
    else:
        ours.begin()
        ours.open(case['ref'])
        ours.send('merge ' + text('side-branch'))
    step_reads(ours, d, case, st, 'after a union merge')
    ref.open(case['ref'])
    ref.ds.delete_ref('side-branch')


# ---- merges beside the reference's
def walk(r, g, st, root, name, kinds, count):
    """So many random steps of the reference on one ref: appends (also of the same rows on both sides), deletions, compactions."""
    ref = Reference(root)
    ref.open(name)
    for _ in range(count):
        roll = r.random()
        if roll < (.5 if st.compacts else .72) or not g.used:
            n = r.choice([1, 2, 5, 12, 30])
            anchors = g.fresh(n) if not g.used or st.compacts or r.random() < .75 else r.sample(sorted(set(g.used)), min(n, len(set(g.used))))
            op = g.batch(len(anchors), anchors)
            ref.append(op)
            st.note(op)
        elif roll < (.55 if st.compacts else .86):
            gone = r.sample(g.used, min(len(g.used), r.choice([1, 3])))
            ref.ds.delete(gone, r.choice([None, 'x']))
            st.deleted |= set(gone)
        elif roll < .96:
            with contextlib.suppress(RuntimeError, ValueError):
                ref.ds.compact(None, r.choice([1, 2]))
        elif kinds:
            ref.ds.set_meta('dreamdb.note', r.choice(['one', 'two']))


def merge_freely(case, ours, c, st, r, side, turn):
    """The same two sides merged without --identical, on a copy of the files, perhaps after ours trained one of them: what both compacted and what
    stands under an older index is merged too, and the reference must read all of it."""
    ours.store(c)
    ours.begin(threads=1)
    names = [n for n in st.columns() if st.kinds[n] == 'embedding' and st.fields[n]['index'] in ('ivf', 'imi') and len(st.vectors.get(n, {})) > 8
             and not st.repeated.get(n)]
    if names and r.random() < .6:
        ours.open(r.choice([case['ref'], side]))
        with contextlib.suppress(DriverError):                    # fewer live rows than cells
            ours.send('train %s %d %d %d %s' % (text(r.choice(names)), r.choice([1, 2, 5]), 3, r.getrandbits(32), r.choice(['auto', '0', '24'])))
    ours.open(case['ref'])
    tip = ours.tip(case['ref'])
    try:
        more = [x for x in ours.send('merge %s' % text(side)) if x.startswith('more ')]
    except DriverError as e:
        if e.status != 'diverged' or ours.tip(case['ref']) != tip:
            raise Differs('free merge %d: %s' % (turn, e)) from None
        return
    step_reads(ours, c, case, st, 'after a free merge (placed, cells: %s)' % more)
    faults = ours.verify()
    if faults:
        raise Differs('verify after a free merge: ' + faults[0])


def run_merge(case, ours, root):
    """Two-branch histories by the reference; it merges one copy of the files, ours the other: equal Manifests, object for object.  What it
    refuses and ours takes is read by both."""
    a, b = os.path.join(root, 'theirs'), os.path.join(root, 'ours')
    os.makedirs(a)
    r = random.Random(case['seed'] ^ 0x3e26)
    st, g = State(case), case['generator']
    ref = Reference(a)
    ref.create(case['ref'], case['fields'])
    plain, st.compacts = r.random() < .8, r.random() < .35
    for op in case['ops']:
        ref.run(op)
        st.note(op)
    equal = 0
    for turn in range(r.choice([1, 1, 2])):
        side = 'side-%d' % turn
        ref.open(case['ref'])
        walk(r, g, st, a, case['ref'], False, r.randrange(3))
        ref.open(case['ref'])
        ref.ds.branch(side)
        walk(r, g, st, a, case['ref'], not plain, r.randrange(4))
        walk(r, g, st, a, side, not plain, r.randrange(4))
        c = os.path.join(root, 'free')
        for copy in (b, c):
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(a, copy)
        merge_freely(case, ours, c, st, r, side, turn)
        ours.store(b)
        ref.open(case['ref'])
        tip, other, refused = ref.tip(), ref.tip(side), None
        try:
            ref.ds.merge(side, 'union-tracks')
        except (RuntimeError, ValueError) as e:
            refused = str(e)
        ours.begin(threads=1, identical=True)
        ours.open(case['ref'])
        try:
            ours.send('merge %s dry' % text(side))
            ours.open(case['ref'])
            if refused is None and ref.tip() not in (tip, other):
                m = ref.manifest()
                ours.begin(m['ts'], m['writer'], identical=True)
                heads = [x['registry'].get('dreamdb.tombstones') for x in (ref.manifest(tip), ref.manifest(other), m)]
                if heads[2] not in heads[:2]:
                    ours.send('set first %d' % (ref.tombstones(m)['issued_at'] * 1000000))
                ours.open(case['ref'])
            ours.send('merge %s' % text(side))
        except DriverError as e:
            if refused is None:
                raise Differs('merge: the reference takes what ours refuses: %s' % e) from None
            if ours.tip(case['ref']) != tip:
                raise Differs('merge: refused, and the ref has moved') from None
            return equal
        if refused is None:
            check_tip(ours, ref, case['ref'], 'merge %d' % turn)
            equal = compare_trees(a, b)
        else:
            MERGED_MORE.append(refused)
            step_reads(ours, b, case, st, 'after a merge that the reference refuses (%s)' % refused[:120])
            shutil.rmtree(a)
            shutil.copytree(b, a)
        faults = ours.verify()
        if faults:
            raise Differs('verify after a merge: ' + faults[0])
    return equal


# ---- hot shards beside the reference's
def hot_case(case):
    """Without media, which no hot append takes; a required one would refuse them all."""
    g = case['generator']
    case['fields'] = [f for f in case['fields'] if f['kind'] not in cases.MEDIA]
    g.fields = {f['name']: dict(f) for f in case['fields']}       # the generator has made operations of its own
    if not case['fields']:
        f = g.scalar_field('spare')
        g.fields[f['name']] = f
        case['fields'] = [dict(f)]
    return case


def hot_rows(g, r):
    op = g.batch(0, g.fresh(r.choice([1, 1, 2, 5, 20])))
    order = list(range(len(op['anchors'])))
    r.shuffle(order)
    op['anchors'] = [op['anchors'][i] for i in order]
    op['columns'] = {k: [v[i] for i in order] for k, v in op['columns'].items()}
    return dict(op, op='hot', items=r.choice([3, 10, 40, 10000]), seconds=r.choice([30, 1000]))


def hot_op(g, st, r):
    roll = r.random()
    if roll < .62:
        op = hot_rows(g, r)
        emb = [n for n in op['columns'] if st.kinds[n] == 'embedding']
        if emb and r.random() < .3:                       # an embedding for some rows only; the same row once more
            n = r.choice(emb)
            if not st.fields[n]['required']:
                op['columns'][n] = [v if i == 0 or r.random() < .5 else None for i, v in enumerate(op['columns'][n])]
        if r.random() < .15:
            op['anchors'] += op['anchors'][:1]
            op['columns'] = {k: v + v[:1] for k, v in op['columns'].items()}
        return op
    if roll < .72:
        return {'op': 'flush'}
    if roll < .80:
        return g.batch(0, g.fresh(r.choice([1, 4])))
    if roll < .90 and g.used:
        return {'op': 'delete', 'anchors': r.sample(sorted(set(g.used)), 1), 'reason': r.choice([None, 'x'])}
    fields = dict(g.fields)
    op = g.evolve()
    if op['op'] in ('add_field', 'set_meta', 'add_scalar_layer') and (op.get('field') or {}).get('kind') not in cases.MEDIA:
        if 'samples' in op:                               # which of two values of one anchor wins is the Track's order: another test's matter
            op['samples'] = list(dict(op['samples']).items())
        return op
    g.fields.clear()
    g.fields.update(fields)
    return {'op': 'set_meta', 'key': 'dreamdb.note', 'value': 'n%d' % r.randrange(99)}


def hot_reads(ours, ref, st, where):
    """Ours against what was written: the reference hides hot embeddings from all but its search.  Scalars and searches of floats beside
    it."""
    cols = st.columns()
    live = sorted({a for n in cols for a in st.rows.get(n, {})} - st.deleted)
    mine = ours.table(cols)
    if list(mine) != live:
        raise Differs('%s: scan: anchors %s, written %s' % (where, list(mine)[-8:], live[-8:]))
    if [int(x) for x in ours.anchors()] != live or int(ours.send('count * 0 0')[0].split()[1]) != len(live):
        raise Differs('%s: select or count differ from what was written' % where)
    for a in live:
        for n in cols:
            coded = st.fields[n].get('compressor')
            if len(st.vectors.get(n, {}).get(a, ())) < 2 and not coded and not same(st.kinds[n], mine[a][n], st.rows.get(n, {}).get(a)):
                raise Differs('%s: anchor %d, field %r: %r, written %r' % (where, a, n, mine[a][n], st.rows.get(n, {}).get(a)))
    compare_predicates(ours, ref, st, where)
    for n in [n for n in cols if st.kinds[n] == 'embedding' and not st.fields[n].get('compressor')]:
        f = st.fields[n]
        q = st.g.np.standard_normal(f['dim']).astype('<f4') + F4(.01)
        got = ours.search(n, q, 1 << 20, 0, exact=True)
        known = {(a, score(np.frombuffer(v, '<f4').reshape(1, -1), q, f['index'] == 'lsh-l2')[0])
                 for a, vs in st.vectors.get(n, {}).items() for v in vs if a not in st.deleted}
        if set(got) != known:
            raise Differs('%s: exact query of %r: %d hits, %d are written' % (where, n, len(set(got)), len(known)))
        for a, v in ref.search(n, q, 50, 100000, None):
            if (a, score(v.reshape(1, -1), q, f['index'] == 'lsh-l2')[0]) not in known:
                raise Differs('%s: query of %r: the reference finds anchor %d, which ours does not' % (where, n, a))


def run_hot(case, ours, root):
    a, b = os.path.join(root, 'theirs'), os.path.join(root, 'ours')
    os.makedirs(a)
    r = random.Random(case['seed'] ^ 0x407)
    case = hot_case(case)
    st, g = State(case), case['generator']
    ref = Reference(a)
    ref.create(case['ref'], case['fields'])
    shutil.copytree(a, b)
    ours.store(b)
    equal = 0
    for i in range(r.choice([3, 6, 10, 16])):
        op = hot_op(g, st, r)
        before, refused = ref.tip(), None
        old = ref.shards(ref.manifest())
        where = 'op %d (%s)' % (i, op['op'])
        try:
            ref.run(op)
        except (RuntimeError, ValueError) as e:
            refused = str(e)
        if refused is None:
            m = ref.manifest()
            ours.begin(m['ts'], m['writer'], identical=True, threads=1 + case['seed'] % 3)
            ours.open(case['ref'])
            if op['op'] == 'delete':
                op = dict(op, stamp=ref.tombstones(m)['issued_at'])
            new = [s['published_at'] for k, s in ref.shards(m).items() if k not in old or s['published_at'] != old[k]['published_at']]
            if op['op'] == 'hot':
                ours.send('set first %d' % (max(new) if new else m['ts']))
            ours.run(op, st.kinds)
            st.note(op)
            check_tip(ours, ref, case['ref'], where)
            equal = compare_trees(a, b)
        else:
            ours.begin(threads=1, identical=op['op'] == 'append')
            ours.open(case['ref'])
            try:
                ours.run(op, st.kinds)
                HOT_MORE.append(refused)
                st.note(op)
            except DriverError as e:
                if op['op'] != 'append' or 'flush-hot first' not in str(e):
                    raise
            if op['op'] != 'append' and ours.tip(case['ref']) == before:
                raise Differs('%s: the reference refuses (%s), and ours did nothing' % (where, refused))
            shutil.rmtree(a)
            shutil.copytree(b, a)
        ours.begin(threads=1 + case['seed'] % 2)
        ours.open(case['ref'])
        ref.open(case['ref'])
        hot_reads(ours, ref, st, where)
        if r.random() < .3:                               # ours goes on with its own defaults, and the reference behind it
            op = hot_rows(g, r)
            ours.run(op, st.kinds)
            st.note(op)
            shutil.rmtree(a)
            shutil.copytree(b, a)
            ref.open(case['ref'])
            hot_reads(ours, ref, st, where + ', then ours')
    ours.begin()
    ours.open(case['ref'])
    ours.send('flush')
    shutil.rmtree(a)
    shutil.copytree(b, a)
    step_reads(ours, b, case, st, 'after the last flush')
    faults = ours.verify()
    if faults:
        raise Differs('verify: ' + faults[0])
    return equal


HOT_MORE = []
MERGED_MORE = []


# ---- compactions beside the reference's
LIMITS = {'max_index_page_gets': 1 << 20, 'max_index_page_bytes': 1 << 40, 'max_payload_read_requests': 1 << 30, 'max_payload_read_bytes': 1 << 40, 'max_output_bytes': 1 << 40}


def track_of(ref, binding):
    with open(os.path.join(ref.root, b32(binding['timeline']), binding['modality'], 'track', b32(binding['address'])), 'rb') as f:
        return cbor2.loads(f.read())['object_index']


def cells_below(ref, binding, index):
    """Every cell key of a Track, paged or not."""
    if isinstance(index, list):
        return {row[0] for row in index}
    out, todo = set(), [index['root']]
    while todo:
        with open(os.path.join(ref.root, b32(binding['timeline']), binding['modality'], 'index', b32(todo.pop())), 'rb') as f:
            page = cbor2.loads(f.read())
        if page['type'] == 'leaf':
            out |= {e[0] for e in page['entries']}
        else:
            todo += [e[2] for e in page['entries']]
    return out


def compact_both(ours, ref, st, case, name, threshold, most):
    """One compaction on both sides; name None = every field.  Returns whether the reference did it."""
    active = {b['field']: b for b in ref.manifest()['tracks']['active']}
    before, refused = ref.tip(), None
    try:
        if name is None:
            ref.ds.compact(None, threshold, most)
        else:
            b, index = active[name], track_of(ref, active[name])
            if st.kinds[name] == 'embedding' and isinstance(index, dict):
                keys = sorted(cells_below(ref, b, index))
                ref.ds.compact_spatial_cells(b['modality'], [(k, None) for k in keys], threshold=threshold, **LIMITS)
            else:
                ref.ds.compact(b['modality'], threshold, most)
    except (RuntimeError, ValueError) as e:
        refused = str(e)
    mine = ours.tip(case['ref'])
    m = ref.manifest()
    ours.begin(m['ts'], m['writer'], identical=True, threads=1 + case['seed'] % 3)
    ours.open(case['ref'])
    where = 'compact %s, threshold %d, max %d' % (name, threshold, most)
    try:
        said = ours.send('compact %s %d %d' % (text(name) if name is not None else '-', threshold + 1, most))
    except DriverError as e:
        if refused is None:
            raise Differs('%s: ours refuses: %s' % (where, e)) from None
        if ours.tip(case['ref']) != mine:
            raise Differs('%s: refused, and the ref has moved' % where) from None
        return False
    if refused is not None:
        if 'two edges give child' in refused and ours.tip(case['ref']) == mine:
            return False                                          # the reference's own slip: the same values again
        raise Differs('%s: the reference refuses (%s), ours says %s' % (where, refused[:200], said))
    check_tip(ours, ref, case['ref'], where)
    return ref.tip() != before


def compact_step(ours, ref, st, case, r):
    """A random compaction; a paged embedding Track, which the reference takes only field by field, is done so."""
    names = [n for n, k in st.kinds.items() if k in cases.SCALARS + ('embedding',)]
    paged = any(isinstance(track_of(ref, b), dict) for b in ref.manifest()['tracks']['active'] if st.kinds.get(b['field']) == 'embedding')
    threshold = r.choice([1, 1, 1, 2, 3])
    if not names:
        return False
    if r.random() < .5 and not paged:
        return compact_both(ours, ref, st, case, None, threshold, 0)
    name = r.choice(names)
    return compact_both(ours, ref, st, case, name, threshold, 0 if paged else r.choice([0, 0, 1, 2, 5]))


def run_compact(case, ours, root):
    a, b = os.path.join(root, 'theirs'), os.path.join(root, 'ours')
    os.makedirs(a)
    os.makedirs(b)
    ref, st, r, g = Reference(a), State(case), random.Random(case['seed'] ^ 0xc0de), case['generator']
    ref.create(case['ref'], case['fields'])
    ours.store(b)
    addresses = {n: None for n in ref.indexes}
    for f in case['fields']:
        if f['name'] in ref.indexes:                              # the index objects are copied
            addresses[f['name']] = copy_index(ref, f['name'], a, b)
    m = ref.manifest()
    ours.begin(m['ts'], m['writer'], identical=True)
    ours.create(case['ref'], case['fields'], ref.nonce(), addresses)
    more = [] if case['kind'] in cases.BIG else [g.batch(r.choice([3, 20, 40])) for _ in range(3)]
    for op in case['ops'] + more:
        ref.run(op)
        st.note(op)
        m = ref.manifest()
        ours.begin(m['ts'], m['writer'], identical=True)
        ours.open(case['ref'])
        ours.run(dict(op, stamp=ref.tombstones(m)['issued_at']) if op['op'] == 'delete' else op, st.kinds)
        if r.random() < .45:
            compact_step(ours, ref, st, case, r)
    for _ in range(2):
        compact_step(ours, ref, st, case, r)
    equal = compare_trees(a, b)
    ours.begin(threads=1 + case['seed'] % 3)
    ours.open(case['ref'])
    compare_reads(ours, ref, st, 'after compactions')
    compact_ours(ours, case, b, st, g, r)
    return equal


def plain(table):
    """Rows as texts; of media without the address: a pack that is written anew has another."""
    return {a: str({n: (v[1], v[3]) if isinstance(v, tuple) else v for n, v in row.items()}) for a, row in table.items()}


def compact_ours(ours, case, d, st, g, r):
    """With our defaults on top: every row reads as before, searches of anchors with one row too, and the reference goes on from there."""
    columns = st.columns()
    for turn in range(2):
        if turn:                                                  # again on what the reference has made of it
            op = g.batch(6, g.fresh(6))
            ref = Reference(d)
            ref.open(case['ref'])
            ref.ds.branch('after-compact')
            ref.append(op)
            st.note(op)
            ref.open('after-compact')
            op = g.batch(4, g.fresh(4))
            ref.append(op)
            st.note(op)
            ref.open(case['ref'])
            ref.ds.merge('after-compact', 'union-tracks')
            ref.ds.delete_ref('after-compact')
            ours.open(case['ref'])
        mine = plain(ours.table(columns))
        most = r.choice([0, 0, 1, 3]) if case['kind'] not in cases.BIG else 900
        for _ in range(1000):
            said = ours.send('compact - %d %d' % (r.choice([0, 1, 2]), most))[0].split(' ')
            if said[7] == '0':
                break
        now = plain(ours.table(columns))
        if mine != now:
            raise Differs('ours: get differs after a compaction: %s' % [a for a in mine if mine[a] != now.get(a)][:4])
        st.compacted = True
        step_reads(ours, d, case, st, 'after our compaction')
        faults = ours.verify(0)
        if faults:
            raise Differs('verify after our compaction: ' + faults[0])
    ref = Reference(d)
    ref.open(case['ref'])
    with contextlib.suppress(RuntimeError, ValueError):
        ref.ds.compact(None, 1)
    step_reads(ours, d, case, st, 'the reference compacted after us')


def compact(case, d, r):
    """The reference compacts what it can; it refuses anchors with two vectors and paged embedding Tracks."""
    ref = Reference(d)
    ref.open(case['ref'])
    with contextlib.suppress(RuntimeError, ValueError):
        ref.ds.compact(None, r.choice([1, 2]))


# ---- running them
def one(job):
    kind, seed, how, options = job
    work = tempfile.mkdtemp(prefix='interop-')
    ours = None
    try:
        case = cases.case(seed) if kind == 'plain' else cases.coded(seed) if kind == 'coded' else cases.big(seed, kind)
        ours = Ours(options.driver)
        equal = {'identical': run_identical, 'mixed': run_mixed, 'merge': run_merge, 'compact': run_compact, 'hot': run_hot}[how](case, ours, work)
        code = ours.close()
        ours = None
        if code != 0:
            raise Differs('the driver ended with exit code %d' % code)
        return job, None, equal
    except (Differs, DriverError, RuntimeError, ValueError, AssertionError, OSError, IndexError, KeyError, BaseException) as e:
        message = '%s: %s' % (type(e).__name__, e)
        if not isinstance(e, (Differs, DriverError)):
            last = traceback.extract_tb(e.__traceback__)[-1]
            message += '  (%s:%d)' % (os.path.basename(last.filename), last.lineno)
        if options.keep:
            shutil.copytree(work, os.path.join(options.keep, '%s-%s-%d' % (how, kind.replace(' ', '_'), seed)), dirs_exist_ok=True)
        return job, message, 0
    finally:
        if ours:
            with contextlib.suppress(Exception):
                ours.process.kill()
                ours.process.wait()
        shutil.rmtree(work, ignore_errors=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--driver', default=os.path.join(HERE, '..', '..', 'build', 'driver'))
    p.add_argument('--cases', type=int, default=520)
    p.add_argument('--coded', type=int, default=200, help='cases with compressors, multi-indexes and embedding layers')
    p.add_argument('--first', type=int, default=1)
    p.add_argument('--jobs', type=int, default=2)
    p.add_argument('--no-big', action='store_true')
    p.add_argument('--only', choices=['identical', 'mixed', 'merge', 'compact', 'hot'])
    p.add_argument('--keep')
    p.add_argument('--show', type=int, default=12)
    o = p.parse_args()
    start = time.time()
    jobs = []
    for i in range(o.cases):
        jobs.append(('plain', o.first + i, 'identical' if (o.first + i - 1) % 5 < 3 else 'mixed', o))
    jobs += [('coded', o.first + i, 'identical' if (o.first + i) % 2 else 'mixed', o) for i in range(o.coded)]
    if not o.no_big:
        jobs += [(k, 1, how, o) for k in cases.BIG for how in ('identical', 'mixed', 'merge', 'compact')]
    jobs += [(kind, o.first + i, 'merge', o) for kind, n in (('plain', o.cases // 2), ('coded', o.coded // 2)) for i in range(n)]
    for how in ('compact', 'hot'):
        jobs += [(kind, o.first + i, how, o) for kind, n in (('plain', o.cases // 4), ('coded', o.coded // 4)) for i in range(n)]
    jobs = [j for j in jobs if not o.only or j[2] == o.only]
    passed = failed = objects = 0
    context = multiprocessing.get_context('fork')
    with context.Pool(o.jobs, maxtasksperchild=50) as pool:
        for job, message, equal in pool.imap_unordered(one, jobs):
            objects += equal
            if message is None:
                passed += 1
            else:
                failed += 1
                if failed <= o.show:
                    print('FAILED %s, %s, seed %d: %s' % (job[2], job[0], job[1], message), flush=True)
    print('interop: %d cases in %.0f s; %d object files compared byte for byte, each equal in the cases that passed' % (len(jobs), time.time() - start, objects))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
