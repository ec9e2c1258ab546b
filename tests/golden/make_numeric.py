#!/usr/bin/env python3
"""make_numeric.py SHARED: writes tests/golden/numeric/*.bin, what test_exact, test_kmeans and test_index compare with.
Sources: SHARED/fixtures/spatial-* (written by the reference 0.0.16), SHARED/format/py/spatial_core.py (the verified model) and, for training,
the live reference (pip install dreamdb).  A file is a row of blocks: u32 size, then bytes; all little endian."""
import glob, itertools, json, math, os, struct, sys, tempfile
import numpy as np, cbor2
shared = sys.argv[1]; sys.path.insert(0, shared + '/format/py')
from spatial_core import *
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'numeric'); os.makedirs(here, exist_ok=True)
class Out:
    def __init__(self, name): self.name, self.b = name, b''
    def put(self, data): data = bytes(data); self.b += struct.pack('<I', len(data)) + data; return self
    def ints(self, *v): return self.put(struct.pack('<%dQ' % len(v), *v))
    def floats(self, a): return self.put(np.ascontiguousarray(a, '<f4').tobytes())
    def close(self): open(os.path.join(here, self.name + '.bin'), 'wb').write(self.b); print(self.name, len(self.b))
f4 = np.float32; rng = np.random.default_rng(20260101)

# fixtures: object, vectors, keys, probes of the fixture's queries at several nprobe
for name in ['spatial-ivf', 'spatial-lsh', 'spatial-lsh20', 'spatial-l2', 'spatial-raw-rerank']:
    base = os.path.join(shared, 'fixtures', name); m = json.load(open(base + '/case.json'))
    obj, = [open(p, 'rb').read() for p in glob.glob(base + '/data/spatial-index/*')]; o = cbor2.loads(obj)
    X = np.array([np.frombuffer(bytes.fromhex(x), '<f4') for x in m['vectors_f32le']]); alg = m['algorithm']; dim = m['dim']; bits = o['bits']
    Q = np.array([np.frombuffer(bytes.fromhex(t['query_f32le']), '<f4') for t in m['queries']])[:8]
    out = Out(name).put(obj).ints(dim, bits, len(X), len(Q), m['train_rows'] or 0, (m.get('train') or {}).get('k', 0), (m.get('train') or {}).get('iterations', 0))
    out.floats(X).put(''.join(m['keys']).encode()).floats(Q)
    for n in (1, 5, 32, 1000 if bits < 64 else 33):
        for q in Q:
            if alg.endswith('lsh-cosine'): p = lsh_probes(lsh_planes(o['params']['seed'], dim, bits), q, n)
            elif alg.endswith('ivf-cosine'): p = [format(i, '0%db' % bits) for i in centroid_rank(np.frombuffer(o['params']['centroids'], '<f4').reshape(-1, dim), q)[:n]]
            else:
                a, b = l2_params(o['params']['seed'], dim); w, = struct.unpack('<d', o['params']['bucket_width_f64le']); t = l2_t(a, b, w, q); fl = math.floor(t); fr = t - fl; p = [fl]; s = 1
                while len(p) < n: p += [fl + s, fl - s] if fr >= .5 else [fl - s, fl + s]; s += 1
                p = [format(v + (1 << 63), '064b') for v in p[:n]]
            out.put(''.join(p).encode())
    out.put(bytes.fromhex(m['seed'])); out.close()

# probes: ties of lsh (costs are f32 sums, ties in the order of the flipped digits' lists; tried with the live reference) and of lsh-l2 (the lower bin)
def probes32(P, q):
    m = lsh_margins(P, np.asarray([q], f4))[0]; B = len(m); subs = sorted(s for r in range(3) for s in itertools.combinations(range(B), r))
    cost = [f4(0) if not s else np.abs(m[s[0]]) if len(s) == 1 else f4(np.abs(m[s[0]]) + np.abs(m[s[1]])) for s in subs]
    return [''.join('1' if (v >= 0) ^ (j in subs[i]) else '0' for j, v in enumerate(m)) for i in np.argsort(cost, kind='stable')]
seed = lsh_seed('ex', 'emb'); P = lsh_planes(seed, 24, 20); Q = []
pairs = np.array([(i, j) for i in range(20) for j in range(i, 20)])
while len(Q) < 10:
    X = rng.standard_normal((4000, 24)).astype(f4); M = np.abs(lsh_margins(P, X))
    c = np.sort(np.where(pairs[:, 0] == pairs[:, 1], M[:, pairs[:, 0]], M[:, pairs[:, 0]] + M[:, pairs[:, 1]]), 1)
    Q += [X[i] for i in np.where((c[:, 1:] == c[:, :-1]).any(1))[0]][:10 - len(Q)]
Q += [np.eye(24, dtype='f4')[3], np.full(24, -2, 'f4')]
obj = cbor2.dumps({'algorithm': 'dreamdb.lsh-cosine', 'bits': 20, 'dim': 24, 'metric': 'cosine', 'params': {'seed': seed, 'version': 1}}, canonical=True)
out = Out('ties').put(obj).floats(Q)
for q in Q: out.put(''.join(probes32(P, q)).encode())
l2 = []
for t in range(100000):
    sd = lsh_seed('n%d' % t, 'v'); a, b = l2_params(sd, 1)
    for part in (.5, 1.0):
        q = f4((part - b) * a[0]); at = l2_t(a, b, 1.0, [float(q)]); fr = at - math.floor(at)
        if fr == part % 1 and len(l2) < 6: l2.append((sd, q, [math.floor(at) + v for v in ([0, -1, 1, -2, 2] if part == .5 else [0, -1, -2, 1, -3])]))
    if len(l2) == 6: break
out.ints(len(l2))
for sd, q, bins in l2:
    out.put(cbor2.dumps({'algorithm': 'dreamdb.lsh-l2', 'bits': 64, 'dim': 1, 'metric': 'l2', 'params': {'seed': sd, 'version': 1, 'bucket_width_f64le': struct.pack('<d', 1.0)}}, canonical=True))
    out.floats([q]).put(''.join(format(v + (1 << 63), '064b') for v in bins).encode())
out.close()

# exact: folds, units, planes, words on nasty values
out = Out('exact')
seed = bytes(range(32)); w = Words(seed); out.put(seed).put(struct.pack('<100I', *[w.u32() for _ in range(100)])).floats(lsh_planes(seed, 37, 40))
a, b = l2_params(seed, 37); out.put(struct.pack('<38d', *a, b))
def fold(a, b):
    s = f4(0)
    with np.errstate(all='ignore'):
        for x, y in zip(a, b): s = f4(s + f4(x * y))
    return s
def dist(a, b):
    s = f4(0)
    with np.errstate(all='ignore'):
        for x, y in zip(a, b): t = f4(x - y); s = f4(s + f4(t * t))
    return s
cases = []
for i in range(300):
    n = int(rng.integers(1, 100)); kind = i % 6
    a = rng.standard_normal(n).astype(f4); b = rng.standard_normal(n).astype(f4)
    if kind == 1: a *= f4(1e-20); b *= f4(1e-20)                       # products are subnormal
    if kind == 2: a = (a * f4(10) ** rng.integers(-38, 18, n).astype(f4)).astype(f4); b = (b * f4(10) ** rng.integers(-38, 18, n).astype(f4)).astype(f4)
    if kind == 3: a[::3] = f4(-0.0); b[1::3] = 0
    if kind == 4: b = a + a * f4(6e-8) * rng.integers(-1, 2, n)        # a few ulps apart
    if kind == 5: a *= f4(1e-41)                                       # subnormal inputs
    cases.append((a.astype(f4), b.astype(f4)))
out.ints(len(cases))
for a, b in cases:
    with np.errstate(all='ignore'): nn = np.sqrt(fold(a, a)); un = (a / nn).astype(f4) if np.isfinite(nn) and nn > 0 else np.zeros_like(a)
    out.floats(a).floats(b).floats([fold(a, b), dist(a, b), nn]).floats(un)
out.close()

# k-means: by the live reference
import dreamdb
def trained(X, k, it, seed):
    d = tempfile.mkdtemp(); h = dreamdb.train_and_publish_ivf_centroids('file://' + d, X, X.shape[1], k, it, seed)
    o, = [open(p, 'rb').read() for p in glob.glob(d + '/spatial-index/*')]; o = cbor2.loads(o); assert o['params']['k'] == k
    return np.frombuffer(o['params']['centroids'], '<f4').reshape(k, -1)
out = Out('kmeans'); sets = []
g = rng.standard_normal((600, 13)).astype(f4); sets.append((g, 24, 10, b'\1\2\3\4\5\6\7\x88' + bytes(24)))
c = rng.standard_normal((9, 24)).astype(f4) * 3; x = (c[rng.integers(0, 9, 500)] + .3 * rng.standard_normal((500, 24))).astype(f4); sets.append((x, 40, 5, b'\xff' * 32))
sets.append((np.repeat(g[:40, :5], 5, 0).copy(), 60, 4, b'\x11' * 32))                                  # duplicates: ties, empty clusters
sets.append((np.sign(g[:300, :6]).astype(f4), 16, 6, b'\x77' * 32))                                     # a lattice: many exact ties
sets.append((g[:200, :7].copy(), 12, 6, bytes(32)))                                                    # zero seed: sample 0 every time
sets.append(((g[:200, :7] * f4(1e-22)).astype(f4), 12, 6, b'\x22' * 32))                                # squares underflow
sets.append(((g[:200, :7] * f4(3e18)).astype(f4), 12, 6, b'\x23' * 32))                                 # near overflow
sets.append(((g[:200, :7] * f4(3e20)).astype(f4), 12, 3, b'\x24' * 32))                                 # squares overflow
z = g[:100, :4].copy(); z[:50] = 0; z[10:20] = f4(-0.0); sets.append((z, 8, 5, b'\x31' * 32))
sets.append((g[:100, :5].copy(), 20, 0, b'\x35' * 32)); sets.append((g[:30, :3].copy(), 30, 7, b'\x36' * 32)); sets.append((g[:64, :1].copy(), 5, 9, b'\x38' * 32))
v = (1 + np.arange(9000) * 2e-5).astype(f4); rng.shuffle(v); v[0] = 0; sets.append((v[:, None].copy(), 150, 1, b'\x41' * 32))   # f32 and f64 sums of squares give other picks here
out.ints(len(sets))
def start(X, k, seed):                               # the k-means++ picks: all sums in f32 (sums in f64 would pick others; 0.0.16 does not)
    st, = struct.unpack('<Q', seed[:8]); picks = [0]; d = d2_rows(X, X[0])
    for _ in range(1, k):
        r = f4(f4(st) * f4(2.0**-64)) * np.cumsum(d, dtype='f4')[-1]; st = xorshift(st)
        t = np.concatenate([[r], -d]).cumsum(dtype='f4')[1:] <= 0; i = int(t.argmax()) if t.any() else 0; picks.append(i); d = np.minimum(d, d2_rows(X, X[i]))
    return X[picks]
for X, k, it, seed in sets:
    C = trained(X, k, it, seed)
    with np.errstate(all='ignore'):
        S = start(X, k, seed); assert trained(X, k, 0, seed).tobytes() == S.tobytes()
        if kmeans(X, k, 0, seed).tobytes() != S.tobytes(): print('f64 sums would pick others', X.shape, k)
    out.ints(len(X), X.shape[1], k, it, struct.unpack('<Q', seed[:8])[0]).floats(X).floats(C)
out.close()
