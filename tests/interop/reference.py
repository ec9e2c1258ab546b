"""The reference package (dreamdb 0.0.16), as a black box: runs the operations of a case and reads a dataset back."""
import base64
import os
import cbor2
import numpy as np
import dreamdb

TOP = 2**63 - 1            # the package's own windows end here: anchors above are stored but not listed


def b32(raw):
    return base64.b32encode(raw).decode().lower().rstrip('=')


def python_value(v):
    return v.tolist() if isinstance(v, np.ndarray) else v


class Reference:
    def __init__(self, root):
        self.root, self.backend, self.ds, self.ref = root, 'file://' + root, None, None

    # ---- what stands in the files
    def tip(self, ref=None):
        return b32(open(os.path.join(self.root, 'refs', ref or self.ref), 'rb').read())

    def manifest(self, address=None):
        return cbor2.loads(open(os.path.join(self.root, 'manifests', address or self.tip()), 'rb').read())

    def nonce(self):
        timeline = b32(self.manifest()['timelines'][0])
        return cbor2.loads(open(os.path.join(self.root, 'genesis', timeline), 'rb').read())['nonce']

    # ---- writing
    def train(self, f):
        seed = int(f['seed']).to_bytes(8, 'little') + bytes(24)
        fn = dreamdb.train_and_publish_imi_centroids if f['index'] == 'imi' else dreamdb.train_and_publish_ivf_centroids
        return fn(self.backend, f['sample'], f['dim'], f['k'], iterations=f['iterations'], seed=seed)

    def compressor(self, f):
        if not f.get('compressor'):
            return None
        if f['compressor'] == 'pq':
            return dreamdb.train_and_publish_pq_compressor(self.backend, f['sample'], f['dim'], f['m'], f['pq_k'], iterations=f['iterations'], seed=f['cseed'])
        return dreamdb.publish_rabitq_compressor(self.backend, f['dim'], seed=f['cseed'], bits_per_dim=f['bpd'], with_correction_factors=bool(f['factors']))

    def create(self, ref, fields):
        s = dreamdb.Schema()
        self.indexes, self.compressors = {}, {}
        for f in fields:
            k, n, req = f['kind'], f['name'], f['required']
            if k == 'embedding':
                o = {'rerank': bool(f.get('rerank')), 'bucket_max_bytes': f.get('cap')}
                if f.get('compressor'):
                    o['compressor'] = self.compressors[n] = self.compressor(f)
                if f['index'] == 'lsh':
                    o.update(algorithm='dreamdb.lsh-cosine', lsh_bits=f.get('bits'))
                elif f['index'] == 'lsh-l2':
                    o.update(algorithm='dreamdb.lsh-l2')
                else:
                    self.indexes[n] = self.train(f)
                    o.update(algorithm='dreamdb.%s-cosine' % f['index'], spatial_index=self.indexes[n])
                s.add_embedding(n, dim=f['dim'], required=req, **o)
            elif k in ('image', 'audio', 'video'):
                o = {'mime': f['mime']} if 'mime' in f else {}
                getattr(s, 'add_' + k)(n, required=req, chunk_size=f.get('chunk'), pack_items=f.get('pack'), **o)
            else:
                getattr(s, 'add_scalar_' + k)(n, required=req)
        self.ds, self.ref = dreamdb.Dataset.create(ref, s, backend=self.backend), ref

    def open(self, ref):
        self.ds, self.ref = dreamdb.Dataset.open(ref, backend=self.backend), ref

    def append(self, op):
        samples = [{'_anchor': a} for a in op['anchors']]
        for name, values in op['columns'].items():
            for s, v in zip(samples, values):
                if v is not None:
                    s[name] = python_value(v)
        self.ds.append_many(samples)

    def hot(self, op):
        samples = [{'_anchor': a} for a in op['anchors']]
        for name, values in op['columns'].items():
            for s, v in zip(samples, values):
                if v is not None:
                    s[name] = python_value(v)
        self.ds.configure_hot_shard(op['items'], op['seconds'])
        self.ds.append_many(samples, hot=True)

    def shards(self, manifest):
        """{modality: hot shard} that the Manifest names."""
        out = {}
        for key, entry in manifest['registry'].items():
            if isinstance(entry, dict) and 'hot_shard' in entry:
                folder = os.path.join(self.root, b32(manifest['timelines'][0]), key, 'hot-shard')
                with open(os.path.join(folder, b32(entry['hot_shard'])), 'rb') as f:
                    out[key] = cbor2.loads(f.read())
        return out

    def tombstones(self, manifest):
        with open(os.path.join(self.root, 'tombstones', b32(manifest['registry']['dreamdb.tombstones']['head'])), 'rb') as f:
            return cbor2.loads(f.read())

    def run(self, op):
        k = op['op']
        if k == 'append':
            self.append(op)
        elif k == 'hot':
            self.hot(op)
        elif k == 'flush':
            self.ds.flush_hot()
        elif k == 'add_field':
            f = op['field']
            if f['kind'] in ('image', 'video'):
                getattr(self.ds, 'add_' + f['kind'])(f['name'], mime=f['mime'])
            else:
                getattr(self.ds, 'add_scalar_' + f['kind'])(f['name'])
        elif k == 'add_constant':
            self.ds.add_constant(op['name'], op['modality'], op['value'])
        elif k == 'add_scalar_layer':
            self.ds.add_scalar_layer(op['name'], op['parent'], op['kind'], op['samples'])
        elif k == 'add_image_layer':
            self.ds.add_image_layer(op['name'], op['parent'], op['samples'], mime=op['mime'])
        elif k == 'add_embedding_layer':
            f = op['field']
            self.ds.add_embedding_layer(f['name'], op['parent'], f['dim'], 'dreamdb.%s-cosine' % f['index'], self.train(f), self.compressor(f),
                                        bool(f.get('rerank')), [(a, v.tolist()) for a, v in op['samples']], None, f.get('cap'))
        elif k == 'append_embedding_layer':
            self.ds.append_embedding_layer(op['name'], [(a, v.tolist()) for a, v in op['samples']])
        elif k == 'append_image_layer':
            self.ds.append_image_layer(op['name'], op['samples'])
        elif k == 'delete':
            self.ds.delete(op['anchors'], op['reason'])
        elif k == 'set_meta':
            self.ds.set_meta(op['key'], op['value'])
        elif k == 'keep':
            self.ds.snapshot(op['label'])
        elif k == 'branch':
            self.ds.branch(op['name'])
        else:
            raise ValueError(k)

    # ---- reading
    def table(self, fields):
        """{anchor: {field: value}} of the listed fields, below the package's own bound."""
        out = {}
        if not fields:
            return out
        for b in self.ds.iter_all_batches(batch_size=4096, fields=sorted(fields)):
            for i, a in enumerate(b['_time_anchors']):
                out[a] = {f: b[f][i] if f in b else None for f in fields}
        return out

    def search(self, field, query, top_k, nprobe, where, **how):
        rows = self.ds.iter_vector(field, query, top_k=top_k, batch_size=max(1, top_k), nprobe=nprobe, where=where or None, fields=[], **how)
        return [(a, np.array(v, '<f4')) for b in rows for a, v in zip(b['_time_anchors'], b[field])]
