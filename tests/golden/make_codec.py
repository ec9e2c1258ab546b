#!/usr/bin/env python3
"""make_codec.py SHARED: writes tests/golden/numeric/{rabitq,pq,imi}.bin, what test_rabitq, test_pq and test_imi compare with.
Objects and training: the live reference (pip install dreamdb); codes, vectors, scores, cells: SHARED/format/py/spatial_core.py (the
verified model), scores as FORMAT.md 11 has them.  A file is a row of blocks: u32 size, then bytes; all little endian."""
import glob, os, struct, sys, tempfile
import numpy as np, cbor2
shared = sys.argv[1]; sys.path.insert(0, shared + '/format/py')
from spatial_core import *
from evolution_score import rq_scores as lane_scores
import dreamdb
here = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'numeric')
f4 = np.float32; rng = np.random.default_rng(20261123)


class Out:
    def __init__(self, name): self.name, self.b = name, b''
    def put(self, data): data = bytes(data); self.b += struct.pack('<I', len(data)) + data; return self
    def ints(self, *v): return self.put(struct.pack('<%dQ' % len(v), *v))
    def floats(self, a): return self.put(np.ascontiguousarray(a, '<f4').tobytes())
    def close(self): open(os.path.join(here, self.name + '.bin'), 'wb').write(self.b); print(self.name, len(self.b))


def vectors(n, dim):
    x = rng.standard_normal((n, dim)); x /= np.linalg.norm(x, axis=1)[:, None]
    return (x * rng.choice([1, 1, 1, .3, 5, 1e-20], (n, 1))).astype(f4)


def published(call):
    root = tempfile.mkdtemp(); call('file://' + root)
    path, = glob.glob(root + '/vector-compressor/*') + glob.glob(root + '/spatial-index/*')
    return open(path, 'rb').read()


cases = [(1, 1, False), (2, 1, True), (7, 1, True), (8, 1, False), (13, 1, False), (16, 1, True), (22, 1, True), (64, 1, False), (150, 1, True),
         (6, 2, False), (64, 2, False), (11, 4, False), (9, 4, False), (130, 4, False), (23, 8, False), (5, 8, False)]
out = Out('rabitq').ints(len(cases))
for i, (dim, bits, factors) in enumerate(cases):
    seed = [bytes(32), bytes(range(32)), rng.bytes(32)][i % 3]; X = vectors(21, dim); X[3] = 0; X[3, 0] = 1; Qs = vectors(3, dim); R = rotation(seed, dim)
    rec = rq_encode(R, X, bits, factors)
    out.put(published(lambda b: dreamdb.publish_rabitq_compressor(b, dim, seed=seed, bits_per_dim=bits, with_correction_factors=factors)))
    out.ints(dim, bits, factors, len(X), len(Qs)).put(seed).floats(R).floats(X).put(b''.join(rec)).floats(rq_decode(R, rec, bits, factors)).floats(Qs)
    for q in Qs: out.floats(lane_scores(R, rec, q, bits, factors))
out.close()

cases = [(1, 1, 3), (4, 2, 4), (6, 6, 5), (12, 3, 8), (16, 1, 17), (64, 8, 40), (32, 16, 256)]
out = Out('pq').ints(len(cases))
for i, (dim, m, k) in enumerate(cases):
    seed = [bytes(32), bytes([254]) + bytes(31), rng.bytes(32)][i % 3]; X = vectors(k + 25, dim); Qs = vectors(3, dim); iters = 1 + i
    obj = published(lambda b: dreamdb.train_and_publish_pq_compressor(b, X, dim, m, k, iterations=iters, seed=seed))
    cb = np.frombuffer(cbor2.loads(obj)['params']['codebooks'], '<f4').reshape(m, k, dim // m); codes = pq_encode(cb, X)
    out.put(obj).ints(dim, m, k, iters, len(X), len(Qs)).put(seed).floats(X).put(codes.tobytes()).floats(pq_decode(cb, codes)).floats(Qs)
    for q in Qs: out.floats(pq_scores(cb, codes, q))
out.close()

cases = [(2, 1), (2, 3), (8, 3), (8, 4), (6, 5), (32, 7), (64, 16)]
out = Out('imi').ints(len(cases))
for i, (dim, k) in enumerate(cases):
    seed = [bytes(32), bytes(range(32)), rng.bytes(32)][i % 3]; X = vectors(k + 90, dim); X[7, :dim // 2] = 0; Qs = vectors(6, dim); h = dim // 2; iters = 1 + i
    X[np.abs(X) < 1e-15] = 0; X[~X[:, :h].any(1) | ~X[:, h:].any(1)] = 1; X[7, :h] = 0
    T = np.delete(X, 7, 0)                         # a half without length is no sample, but it is a vector
    obj = published(lambda b: dreamdb.train_and_publish_imi_centroids(b, T, dim, k, iterations=iters, seed=seed)); p = cbor2.loads(obj)
    H, L = [np.frombuffer(p['params'][n], '<f4').reshape(k, h) for n in ('centroids_high', 'centroids_low')]; bits = p['bits']
    out.put(obj).ints(dim, k, bits, iters, len(X), len(Qs), struct.unpack('<Q', seed[:8])[0]).floats(T).floats(X)
    out.put(''.join(format(c, '0%db' % bits) for c in imi_ids(H, L, X)).encode()).floats(Qs)
    for q in Qs:
        u = norm_rows([q]); a = np.array([dot_rows(u[:, :h], c)[0] for c in norm_rows(H)]); b = np.array([dot_rows(u[:, h:], c)[0] for c in norm_rows(L)])
        oa, ob = np.argsort(-a, kind='stable'), np.argsort(-b, kind='stable')
        order = sorted((-f4(a[x] + b[y]), i, j) for i, x in enumerate(oa) for j, y in enumerate(ob))
        out.put(''.join(format(int(oa[i] * k + ob[j]), '0%db' % bits) for _, i, j in order).encode())
out.close()
