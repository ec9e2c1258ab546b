"""make_tomb.py - tests/golden/tomb/deletes.txt: deletions and the heads they give, by a model that was compared with dreamdb 0.0.16.
Needs: pip install blake3 cbor2.  A line: ms reason(hex, - none) seed shift count head(hex); anchor i is splitmix64(seed + i) >> shift."""
import os
import cbor2
from blake3 import blake3

MASK = 2**64 - 1
TIMELINE = b'\x1e' + bytes(range(32))


def splitmix(x):
    x = (x + 0x9e3779b97f4a7c15) & MASK
    x = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & MASK
    x = ((x ^ x >> 27) * 0x94d049bb133111eb) & MASK
    return x ^ x >> 31


class Pages(dict):
    def put(self, page):
        data = cbor2.dumps(page, canonical=True)
        name = b'\x1e' + blake3(data).digest()
        self[name] = page
        return name

    def wrap(self, level, entries):
        """Entries cut into even pages; what a parent says of each."""
        n, out, at = -(-len(entries) // 128), [], 0
        for i in range(n):
            size = len(entries) // n + (i < len(entries) % n)
            part, at = entries[at:at + size], at + size
            name = self.put({'kind': 'dreamdb.tombstone-page.v1', 'level': level, 'children' if level else 'entries': part})
            low, high = (part[0]['min'], part[-1]['max']) if level else (part[0]['anchor'], part[-1]['anchor'])
            out.append({'min': low, 'max': high, 'hash': name, 'count': sum(p['count'] for p in part) if level else len(part), 'level': level})
        return out

    def insert(self, node, new):
        page = self[node['hash']]
        if node['level'] == 0:
            merged = {e['anchor']: e for e in page['entries']}
            merged.update((e['anchor'], e) for e in new)
            return self.wrap(0, [merged[a] for a in sorted(merged)])
        out, at = [], 0
        for i, child in enumerate(page['children']):
            to = at
            while to < len(new) and (new[to]['anchor'] <= child['max'] or i + 1 == len(page['children'])):
                to += 1
            out += self.insert(child, new[at:to]) if to > at else [child]
            at = to
        return self.wrap(node['level'], out)

    def delete(self, root, anchors, ms, reason):
        new = [{'anchor': a, 'deleted_at': ms, **({} if reason is None else {'reason': reason})} for a in sorted(set(anchors))]
        nodes = self.wrap(0, new) if root is None else self.insert(root, new)
        while len(nodes) > 1:
            nodes = self.wrap(nodes[0]['level'] + 1, nodes)
        return nodes[0]


steps = [(1, 64 - 3, 3, 'gdpr'), (2, 60, 1, None), (1, 61, 3, ''), (9, 50, 128, None), (10, 50, 129, 'é'), (11, 0, 1, None), (12, 56, 700, 'x' * 256)]
steps += [(100 + i, (0, 1, 20, 44, 54)[i % 5], (1, 3, 130, 700, 3000)[i * 7 % 5], (None, '', 'again')[i % 3]) for i in range(20)]
steps += [(1000, 0, 17000, None), (1000, 0, 1, 'last')]
pages, root = Pages(), None
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'tomb', 'deletes.txt'), 'w') as f:
    for number, (seed, shift, count, reason) in enumerate(steps):
        ms = 1700000000000 + number
        root = pages.delete(root, [splitmix(seed + i) >> shift for i in range(count)], ms, reason)
        head = cbor2.dumps({'kind': 'dreamdb.tombstone-index.v1', 'root': root, 'parents': [], 'timeline': TIMELINE, 'issued_at': ms}, canonical=True)
        shown = '-' if reason is None else reason.encode().hex() or '.'
        f.write('%d %s %d %d %d %s\n' % (ms, shown, seed, shift, count, (b'\x1e' + blake3(head).digest()).hex()))
