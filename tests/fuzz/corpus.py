#!/usr/bin/env python3
"""corpus.py - fills tests/fuzz/corpus/ from the packs of tests/fixtures: a few small objects of each class a target."""
import glob
import hashlib
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
FIX = os.path.join(HERE, '..', 'fixtures')


def pack(path):
    data, at = open(path, 'rb').read(), 0
    while at < len(data):
        end = data.index(b'\n', at)
        name, size = data[at:end].decode().rsplit(' ', 1)
        yield name, data[end + 1:end + 1 + int(size)]
        at = end + 2 + int(size)


def target(path, data):
    """The targets an object is for."""
    parts = path.split('/')
    if data[:4] in (b'VBUU', b'VSTU'):
        return ['bucket']
    if parts[0] == 'manifests':
        return ['manifest', 'cbor']
    if parts[0] == 'spatial-index':
        return ['index', 'cbor']
    if parts[0] == 'vector-compressor':
        return ['codec', 'cbor']
    if parts[0] in ('scalar-index', 'genesis'):
        return ['cbor']
    if parts[0] == 'tombstones':
        return ['page', 'cbor']
    if parts[-2] == 'track':
        return ['track', 'cbor']
    if parts[-2] == 'index':
        return ['page']
    if parts[-2] == 'items':
        return ['item', 'cbor']
    if parts[-2] == 'bucket' and data[:1] == b'\x01':
        return ['roaring']
    return []


def main():
    found = {}
    for p in sorted(glob.glob(os.path.join(FIX, '*.pack'))):
        taken = {}
        for name, data in pack(p):
            for t in target(name, data):
                if len(data) <= 70000 and taken.get(t, 0) < 4:
                    taken[t] = taken.get(t, 0) + 1
                    found.setdefault(t, []).append(data)
    group = lambda high, containers: struct.pack('<I', high) + struct.pack('<II', 12346, len(containers)) + b''.join(struct.pack('<HH', k, n - 1) for k, n, _ in containers) \
        + b''.join(struct.pack('<I', 8 + 8 * len(containers) + sum(len(c[2]) for c in containers[:i])) for i in range(len(containers))) + b''.join(c[2] for c in containers)
    array = lambda *v: struct.pack('<%dH' % len(v), *v)
    found['roaring'] = found.get('roaring', [])[:8] + [
        b'\x01' + struct.pack('<Q', 0), b'\x01' + struct.pack('<Q', 2) + group(0, [(0, 3, array(1, 5, 9)), (7, 1, array(0))]) + group(3, [(65535, 2, array(0, 65535))]),
        b'\x01' + struct.pack('<Q', 1) + group(0, [(0, 5000, bytes([255] * 625 + [0] * 7567))])]
    subject = bytes(i % 251 for i in range(5000))
    found['outboard'] = outboards(subject)
    for t, objects in found.items():
        folder = os.path.join(HERE, 'corpus', t)
        os.makedirs(folder, exist_ok=True)
        for old in os.listdir(folder):
            os.unlink(os.path.join(folder, old))
        limit = 60000 if t == 'page' else 9000
        small = sorted({o for o in objects if len(o) <= limit}, key=lambda o: (len(o), o))
        step = max(1, len(small) // 14)
        for o in small[::step][:15]:
            open(os.path.join(folder, hashlib.sha256(o).hexdigest()[:12]), 'wb').write(o)
        print(t, len(os.listdir(folder)))


def outboards(subject):
    """Right outboards of the target's subject, looked at in several places; a bent one."""
    import blake3

    def chunk(data, index):
        return blake3_chunk(data, index)
    tree = struct.pack('<Q', len(subject)) + node(subject, 0, chunk)[1]
    assert blake3.blake3(subject).digest()
    bent = bytearray(tree)
    bent[100] ^= 1
    return [bytes([look, 0]) + tree for look in (0, 1, 4, 5, 20)] + [bytes([0, 0]) + bytes(bent), bytes([3, 9]) + tree, bytes([2, 0]) + tree[:8]]


IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]


def compress(cv, block, counter, size, flags):
    m = list(struct.unpack('<16I', block.ljust(64, b'\0')))
    v = list(cv) + IV[:4] + [counter & 0xffffffff, counter >> 32, size, flags]
    r = lambda x, n: (x >> n | x << (32 - n)) & 0xffffffff

    def g(a, b, c, d, x, y):
        v[a] = (v[a] + v[b] + x) & 0xffffffff
        v[d] = r(v[d] ^ v[a], 16)
        v[c] = (v[c] + v[d]) & 0xffffffff
        v[b] = r(v[b] ^ v[c], 12)
        v[a] = (v[a] + v[b] + y) & 0xffffffff
        v[d] = r(v[d] ^ v[a], 8)
        v[c] = (v[c] + v[d]) & 0xffffffff
        v[b] = r(v[b] ^ v[c], 7)
    for i in range(7):
        for j, (a, b, c, d) in enumerate([(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]):
            g(a, b, c, d, m[2 * j], m[2 * j + 1])
        m = [m[k] for k in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3_chunk(data, index):
    cv, blocks = IV, [data[i:i + 64] for i in range(0, len(data), 64)] or [b'']
    for i, b in enumerate(blocks):
        cv = compress(cv, b, index, len(b), (1 if i == 0 else 0) | (2 if i == len(blocks) - 1 else 0))
    return struct.pack('<8I', *cv)


def node(data, index, chunk):
    """(chaining value, pre-order parents) of a subtree that is not the root's own value."""
    if len(data) <= 1024:
        return chunk(data, index), b''
    half = 1024
    while half * 2 < len(data):
        half *= 2
    left, a = node(data[:half], index, chunk)
    right, b = node(data[half:], index + half // 1024, chunk)
    return struct.pack('<8I', *compress(IV, left + right, 0, 64, 4)), left + right + a + b


if __name__ == '__main__':
    main()
