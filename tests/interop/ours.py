"""Our side: speaks to the driver (driver.c) over its standard input and output."""
import os
import struct
import subprocess
import numpy as np


class DriverError(Exception):
    def __init__(self, line):
        super().__init__(line)
        self.line = line
        self.status = line.split(' ')[1] if ' ' in line else ''


def text(s):
    return 'x' + (s if isinstance(s, bytes) else s.encode()).hex()


def floats(x):
    return 'v' + np.asarray(x, '<f4').tobytes().hex()


def token(kind, v):
    if v is None:
        return '-'
    if kind == 'embedding':
        return floats(v)
    if kind in ('int', 'timestamp'):
        return 'i%d' % v
    if kind == 'bool':
        return 'b%d' % v
    if kind == 'float':
        return 'f%016x' % struct.unpack('<Q', struct.pack('<d', v))[0]
    return text(v)


def value(t):
    """A token of an answer as Python's value; media as ('m', size, address, bytes or None)."""
    if t == '-':
        return None
    form, rest = t[0], t[1:]
    if form == 'x':
        return bytes.fromhex(rest)
    if form == 'v':
        return np.frombuffer(bytes.fromhex(rest), '<f4')
    if form == 'i':
        return int(rest)
    if form == 'b':
        return bool(int(rest))
    if form == 'f':
        return struct.unpack('<d', struct.pack('<Q', int(rest, 16)))[0]
    parts = rest.split(':')
    return ('m', int(parts[0]), parts[1], bytes.fromhex(parts[2]) if len(parts) > 2 else None)


class Ours:
    def __init__(self, program):
        self.process = subprocess.Popen(program.split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1 << 16)
        self.last = []

    def send(self, line):
        try:
            self.process.stdin.write(line + '\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        out = []
        while True:
            got = self.process.stdout.readline()
            if not got:
                raise RuntimeError('the driver ended (exit %s) at: %s' % (self.process.wait(), line[:200]))
            got = got.rstrip('\n')
            if got.startswith('ok'):
                self.last = out
                return out
            if got.startswith('err'):
                raise DriverError('%s   [%s]' % (got, line[:160]))
            out.append(got)

    def close(self):
        self.process.stdin.close()
        return self.process.wait()

    # ---- a dataset
    def store(self, root):
        self.root = root
        self.send('store ' + text(root))

    def begin(self, ts=None, writer=None, identical=False, threads=1):
        self.send('set identical %d' % identical)
        self.send('set now %d' % (ts or 0))
        self.send('set writer ' + (text(writer) if writer is not None else '-'))
        self.send('set threads %d' % threads)

    def tip(self, ref):
        import base64
        return base64.b32encode(open(os.path.join(self.root, 'refs', ref), 'rb').read()).decode().lower().rstrip('=')

    def field(self, f, address=None, auto_bits=False):
        k = f['kind']
        o = ['required'] if f.get('required') else []
        if k == 'embedding':
            o += ['dim=%d' % f['dim'], 'index=' + f['index']]
            if f.get('bits'):
                o.append('bits=%d' % f['bits'])
            if f.get('rerank'):
                o.append('rerank=1')
            if f.get('cap'):
                o.append('cap=%d' % f['cap'])
            address, compressor = address if isinstance(address, tuple) else (address, None)
            trained = f['index'] in ('ivf', 'imi')
            if trained and address:
                o.append('address=' + address)
            elif trained:
                o += ['%s=%d' % ('k' if f['index'] == 'ivf' else 'k_sub', f['k']), 'seed=%d' % f['seed']]
                if auto_bits:
                    o.append('key_bits=auto')
            if trained and not address or f.get('compressor') == 'pq':
                o += ['iterations=%d' % f['iterations'], 'train=' + floats(f['sample'])]
            if compressor:
                o.append('caddress=' + compressor)
            elif f.get('compressor'):
                o += ['compressor=' + f['compressor'], 'cseed=' + text(f['cseed'])]
                o += ['pq_m=%d' % f['m'], 'pq_k=%d' % f['pq_k']] if f['compressor'] == 'pq' else ['bpd=%d' % f['bpd'], 'factors=%d' % (f['factors'] or -1)]
        elif k == 'constant':
            o += ['modality=' + text(f['modality']), 'value=' + text(f['value'])]
        elif k in ('image', 'audio', 'video'):
            if 'mime' in f:
                o.append('mime=' + text(f['mime']))
            if f.get('chunk'):
                o.append('chunk=%d' % f['chunk'])
            if f.get('pack') is not None:
                o.append('pack=%d' % f['pack'])
        self.send(' '.join(['field', text(f['name']), k] + o))

    def create(self, ref, fields, nonce=None, addresses=None, auto_bits=False):
        for f in fields:
            self.field(f, (addresses or {}).get(f['name']), auto_bits)
        self.send('create ' + text(ref) + (' nonce ' + text(nonce) if nonce else ''))

    def open(self, ref):
        self.send('open ' + text(ref))

    def append(self, op, kinds, early=False, layer=False, tombstoned=False, hot=''):
        self.send('batch ' + ' '.join(map(str, op['anchors'])))
        for name, values in op['columns'].items():
            k = kinds[name]
            how = ['@read'] if name in op['reads'] and k in ('image', 'audio', 'video') else []
            how += ['@pad'] if name in op['pads'] and k not in ('image', 'audio', 'video', 'categorical', 'string') else []
            self.send(' '.join(['col', text(name)] + how + [token(k, v) for v in values]))
        self.send('append' + ' early' * early + ' layer' * layer + ' tombstoned' * tombstoned + hot)

    def samples(self, name, kind, samples):
        self.send('batch' + ''.join(' %d' % a for a, _ in samples))
        self.send(' '.join(['col', text(name)] + [token(kind, v) for _, v in samples]))

    def run(self, op, kinds):
        k = op['op']
        if k == 'append':
            self.append(op, kinds, early=op['early'], tombstoned=True)
        elif k == 'hot':
            self.append(op, kinds, tombstoned=True, hot=' hot items=%d seconds=%d' % (op['items'], op['seconds']))
        elif k == 'flush':
            self.send('flush')
        elif k == 'add_field':
            self.field(op['field'])
            self.send('addfield')
        elif k == 'add_constant':
            self.field({'name': op['name'], 'kind': 'constant', 'modality': op['modality'], 'value': op['value']})
            self.send('addfield')
        elif k in ('add_scalar_layer', 'add_image_layer'):
            f = {'name': op['name'], 'kind': op.get('kind', 'image')}
            if 'mime' in op:
                f['mime'] = op['mime']
            self.field(f)
            if op['samples']:
                self.samples(op['name'], f['kind'], op['samples'])
            self.send('addfield layer ' + text(op['parent']))
        elif k == 'add_embedding_layer':
            self.field(op['field'])
            if op['samples']:
                self.samples(op['name'], 'embedding', op['samples'])
            self.send('addfield layer ' + text(op['parent']))
        elif k in ('append_image_layer', 'append_embedding_layer'):
            self.samples(op['name'], k.split('_')[1], op['samples'])
            self.send('append tombstoned layer')
        elif k == 'delete':
            if 'stamp' in op:
                self.send('set first %d' % (op['stamp'] * 1000000))
            self.send('delete %s %s' % (text(op['reason']) if op['reason'] is not None else '-', ' '.join(map(str, op['anchors']))))
        elif k == 'set_meta':
            self.send('setmeta %s %s' % (text(op['key']), text(op['value'])))
        elif k == 'keep':
            self.send('keep ' + text(op['label']))
        elif k == 'branch':
            self.send('branch ' + text(op['name']))
        else:
            raise ValueError(k)

    # ---- reading
    def table(self, fields, start=0, end=0, order=2, media=1):
        out = {}
        names = sorted(fields)
        for line in self.send('scan %s %d %d %d %d 0' % (','.join(map(text, names)), start, end, order, media)):
            parts = line.split(' ')
            out[int(parts[1])] = dict(zip(names, map(value, parts[2:])))
        return out

    def anchors(self, where=''):
        line = self.send('select' + (' ' + where if where else ''))[0]
        return [int(a) for a in line.split(' ')[1:]]

    def search(self, field, query, top_k, nprobe, where='', pool=0, mode=0, exact=False):
        lines = self.send('query %s %s 1 %d %d:%d:%d %d - %s' % (text(field), floats(query), top_k, nprobe, pool, mode, exact, where))
        out = []
        for line in lines[1:]:
            parts = line.split(' ')
            out.append((int(parts[1]), np.frombuffer(bytes.fromhex(parts[2])[::-1], '<f4')[0]))
        return out

    def verify(self, depth='all'):
        """The faults, as lines."""
        return [x for x in self.send('verify %s' % depth) if x.startswith('fault')]
