"""reference_ingest.py STORE base.f32 ROWS DIM K [CODE as `bench coded`]: the job of `bench ingest` done by the reference package, in its own process; prints CPU seconds."""
import resource, sys, time
import numpy as np
import dreamdb

store, raw, rows, dim, k = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
base = np.fromfile(raw, "f4").reshape(rows, dim)
start, wall = time.process_time(), time.perf_counter()
index = dreamdb.train_and_publish_ivf_centroids("file://" + store, np.ascontiguousarray(base[: 40 * k]), dim, k, iterations=10)
code, more = int(sys.argv[6]) if len(sys.argv) > 6 else 0, {}
if code > 0:
    more["compressor"] = dreamdb.publish_rabitq_compressor("file://" + store, dim, bits_per_dim=code, with_correction_factors=code == 1)
elif code < 0:
    more["compressor"] = dreamdb.train_and_publish_pq_compressor("file://" + store, np.ascontiguousarray(base[: 40 * k]), dim, -code, 256, iterations=10)
schema = dreamdb.Schema().add_embedding("emb", dim=dim, algorithm="dreamdb.ivf-cosine", spatial_index=index, **more)
ds = dreamdb.Dataset.create("main", schema, backend="file://" + store)
for i in range(0, rows, 20000):
    ds.append_many([{"_anchor": i + j, "emb": v} for j, v in enumerate(base[i:i + 20000])])
print("cpu %.4f s" % (time.process_time() - start))
print("wall %.4f s" % (time.perf_counter() - wall))
print("peak %d kB" % resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
