#!/usr/bin/env python3
"""bench.py [--data DIR] [--work DIR] [--only a,b] : the figures of the README, remade.

Parts: kernels hash ingest coded append small retry compact query reach memory gc scan size, and when they are named drift (minutes), shard and versions: the
lines that deletes, merges, compaction and gc must reach, each beside what was asked.  Peers (faiss-cpu, the reference wheel, BLAKE3's C library) are
installed by tools/bench/peers.sh; a part whose peer is missing says so and is left out.  Query ratios are interleaved: query by query, peer after peer in one
process, best of several rounds (bench_query.py); the others run one after the other and take the minimum of several runs.  One thread unless a line says otherwise."""
import argparse, os, shutil, subprocess, sys, tempfile, time
for k in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(k, "1")
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TOP, "build")


def line(part, what, value, note=""):
    print("%-8s %-44s %14s  %s" % (part, what, value, note), flush=True)


def run(*args, env=None):
    return subprocess.run(args, capture_output=True, text=True, check=True, env=env).stdout


def values(text):
    out = {}
    for row in text.splitlines():
        words = row.split()
        if len(words) >= 2:
            out.setdefault(words[0], float(words[1]))
    return out


def build():
    os.makedirs(BUILD, exist_ok=True)
    cc = os.environ.get("CC", "cc")
    flags = ["-O2", "-std=c99"]
    lib, exe = os.path.join(BUILD, "libbench.so"), os.path.join(BUILD, "bench")
    impl = os.path.join(TOP, "examples", "dreamdb.c")
    subprocess.run([cc, *flags, "-shared", "-fPIC", "-o", lib, impl, os.path.join(HERE, "bench_lib.c"), "-lpthread"], check=True)
    subprocess.run([cc, *flags, "-o", exe, os.path.join(HERE, "bench.c"), impl, "-lpthread"], check=True)
    return lib, exe


def data_set(data, name):
    import numpy as np
    base = np.ascontiguousarray(np.load(os.path.join(data, name, "base.npy")), "f4")
    query = np.ascontiguousarray(np.load(os.path.join(data, name, "query.npy")), "f4")
    if name == "glove":
        base = base[:99010]
    raw = os.path.join(data, name, "base.%d.f32" % len(base))
    if not os.path.exists(raw):
        base.tofile(raw)
    return base, query, raw


def part_ingest(args, lib, exe):
    for name, k in (("glove", 314), ("fashion", 244)):
        base, _, raw = data_set(args.data, name)
        store = os.path.join(args.work, name)
        best = None
        for _ in range(2 if name == "glove" else 1):
            shutil.rmtree(store, ignore_errors=True)
            got = values(run(exe, "ingest", store, raw, str(len(base)), str(base.shape[1]), str(k), "20000", "2"))
            best = got if best is None or got["cpu"] < best["cpu"] else best
        line("ingest", "%s %d x %d, k=%d, batches of 20,000" % (name, *base.shape, k), "%.2f CPU-s" % best["cpu"], "wall %.2f s, train %.2f, peak %.0f MB" % (best["wall"], best["train_cpu"], best["peak"] / 1024))
        if name == "glove":
            try:
                took = reference_ingest(args, base, k)
                line("ingest", "the same by the reference 0.0.16", "%.2f CPU-s" % took, "ours / reference %.3f" % (best["cpu"] / took))
            except ImportError as e:
                line("ingest", "reference", "left out", str(e))


def reference_ingest(args, base, k):
    import dreamdb  # noqa: F401
    code = os.path.join(HERE, "reference_ingest.py")
    store = os.path.join(args.work, "ref")
    shutil.rmtree(store, ignore_errors=True)
    raw = os.path.join(args.data, "glove", "base.%d.f32" % len(base))
    return values(run(sys.executable, code, store, raw, str(len(base)), str(base.shape[1]), str(k)))["cpu"]


def fresh_folders(args, name):
    """A folder, and a maker of names in it: a run has one of its own, and all are removed in the end.  For seconds after many files were removed
    ext4 makes new ones slowly (it passes over inodes lately freed): in the next run half of the time would be that."""
    folder = os.path.join(args.work, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    made = iter(range(1000000))
    return folder, lambda: os.path.join(folder, str(next(made)))


CODED = '''
import sys, time, numpy as np, faiss
raw, rows, dim, k, code, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
faiss.omp_set_num_threads(1)
base = np.fromfile(raw, "f4").reshape(rows, dim)
start = time.process_time()
base /= np.linalg.norm(base, axis=1, keepdims=True)
index = faiss.index_factory(dim, "IVF%d,%s" % (k, "RaBitQ%d" % code if code > 0 else "PQ%d" % -code), faiss.METRIC_INNER_PRODUCT)
index.cp.niter = 10
if code < 0:
    index.pq.cp.niter = 10
index.train(base[:40 * k])
index.add(base)
faiss.write_index(index, out)
print("cpu %.4f s" % (time.process_time() - start))
'''


def part_coded(args, lib, exe):
    """Train k-means (and codebooks) on 40*k rows in 10 rounds, encode, write; the same k and bits by faiss and by the reference."""
    folder, fresh = fresh_folders(args, "coded")

    def least(count, *command):
        try:
            return min(values(run(*command, *([fresh()] if command[0] == sys.executable and command[1] == "-c" else [])))["cpu"] for _ in range(count))
        except subprocess.CalledProcessError:
            return 0

    for name, k, codes in (("glove", 314, (4, 1, -25)), ("fashion", 244, (4, 1, -49))):
        base, _, raw = data_set(args.data, name)
        job = [raw, str(len(base)), str(base.shape[1]), str(k)]
        for code in codes:
            ours = min(least(1, exe, "coded", str(code), fresh(), *job, "20000", "2") for _ in range(3))
            peer = least(2 if code > 0 else 1, sys.executable, "-c", CODED, *job, str(code))
            theirs = least(1, sys.executable, os.path.join(HERE, "reference_ingest.py"), fresh(), *job, str(code)) if name == "glove" else 0
            shown = ["%s %.2f CPU-s, ratio %.2f" % (who, took, ours / took) for who, took in (("faiss", peer), ("reference", theirs)) if took > 0]
            line("coded", "%s, %s, k=%d" % (name, "RaBitQ %d bits" % code if code > 0 else "PQ m=%d" % -code, k), "%.2f CPU-s" % ours, "; ".join(shown) or "no peer")
    shutil.rmtree(folder, ignore_errors=True)


def part_append(args, lib, exe):
    base, _, raw = data_set(args.data, "glove")
    for name, durability in (("NONE", 2), ("FULL", 0)):
        store = os.path.join(args.work, "append")
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(os.path.join(args.work, "glove"), store)
        got = values(run(exe, "append", store, raw, str(len(base)), "50", "12", str(durability)))
        line("append", "100 rows at N=99,010, durability %s" % name, "%.2f ms" % got["append_min"], "median %.2f, %.0f objects" % (got["append_median"], got["objects_each"]))


def part_small(args, lib, exe):
    base, _, raw = data_set(args.data, "glove")
    store = os.path.join(args.work, "small")
    shutil.rmtree(store, ignore_errors=True)
    got = values(run(exe, "small", store, raw, str(len(base)), "50", "20000"))
    line("small", "20,000 appends of 20 rows: last 1,000 / third 1,000", "%.2f x" % got["time_ratio"], "bytes %.2f x; %.2f s the last 1,000" % (got["bytes_ratio"], got["last_1000"]))
    shutil.rmtree(store, ignore_errors=True)


def part_retry(args, lib, exe, writers=16, count=100):
    """So many processes append to one Ref, each append with retry: all land, none twice, by the rows and by the states."""
    import json
    store, command = os.path.join(args.work, "retry"), os.path.join(BUILD, "dreamdb")
    shutil.rmtree(store, ignore_errors=True)
    on = ["--store", store, "--durability", "none"]
    run(command, "create", "main", *on, "--field", "emb:embedding,dim=8,index=lsh,bits=4", "--field", "tag:int")
    began = time.time()
    running = [subprocess.Popen([exe, "writer", store, str(w + 1), str(count)], stdout=subprocess.PIPE, text=True) for w in range(writers)]
    got = [values(p.communicate()[0]) for p in running]
    took = time.time() - began
    want = writers * count
    live = json.loads(run(command, "count", "main", *on, "--json"))["count"]
    stored = json.loads(run(command, "count", "main", "emb", "--estimate", *on, "--json"))["count"]
    states = len(run(command, "log", "main", *on, "--json").splitlines()) - 1
    replays = sum(g.get("replays", 0) for g in got)
    note = "%.1f s, %.1f appends/s, %.2f replays an append (at most %d), longest %.0f ms" % (
        took, want / took, replays / want, max(g.get("most", 0) for g in got), max(g.get("longest", 0) for g in got))
    line("retry", "%d writers x %d appends to one Ref" % (writers, count), "%d of %d" % (live, want), "%d stored, %d states; %s" % (stored, states, note))
    if not live == stored == states == want:
        raise SystemExit("bench retry: rows were lost or landed twice")
    run(command, "verify", "main", *on, "--history", "all")


def compacted(args, exe, fresh, name, k, batches, threads, runs=3):
    base, _, raw = data_set(args.data, name)
    got = [values(run(exe, "compact", fresh(), raw, str(len(base)), str(base.shape[1]), str(k), str(batches), threads)) for _ in range(runs)]
    return dict(max(got, key=lambda g: g["mb_s"]), mb_cpu_s=max(g["mb_cpu_s"] for g in got))


def part_compact(args, lib, exe):
    folder, fresh = fresh_folders(args, "compact")
    for name, k, batches in (("glove", 314, 50), ("fashion", 244, 50)):
        for threads in ("1", "2"):
            best = compacted(args, exe, fresh, name, k, batches, threads)
            line("compact", "%s, %d appends, k=%d, %s thread%s" % (name, batches, k, threads, "s" * (threads != "1")), "%.0f MB/s" % best["mb_s"],
                 "of cell bytes: %.0f fragments, %.1f MB, into %.0f cells in %.0f ms" % (best["fragments"], best["bytes"] * 1e-6, best["cells"], best["compact_s"] * 1e3))
    shutil.rmtree(folder, ignore_errors=True)


def part_versions(args, lib, exe):
    """Deletes, merges, compaction, gc, many commits: what was asked stands at the end of each line."""
    def say(what, value, note, asked):
        line("versions", what, value, "%s; asked %s" % (note, asked))

    base, _, raw = data_set(args.data, "glove")
    folder, fresh = fresh_folders(args, "versions")

    def measure(verb, *more):
        return values(run(exe, verb, fresh(), raw, str(len(base)), str(base.shape[1]), *more))

    few, many = measure("verbs", "314", "1000"), measure("verbs", "314", "100000")
    say("delete 1% of 100,000 rows, no sync", "%.2f ms" % many["delete_ms"], "minimum of 10; %.2f ms where some are deleted already" % many["delete_later_ms"], "<= 5 ms")
    say("branch", "%d put" % many["branch_puts"], "%d operations of the store in all" % many["branch_operations"], "1 put")
    say("union merge of 2 x 100 rows at 1,000", "%d waves" % few["merge_warm_waves"], "%d by a handle just opened" % few["merge_cold_waves"], "<= 6")
    say("the same at 100,000 rows", "%d waves" % many["merge_warm_waves"], "%d by a handle just opened; %d gets (%d at 1,000), %.1f MB read and written" % (
        many["merge_cold_waves"], many["merge_warm_gets"], few["merge_warm_gets"], many["merge_warm_bytes"] * 1e-6), "<= 6")
    program = os.path.join(BUILD, "bench_merge")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=c99", "-o", program, os.path.join(HERE, "bench_merge.c"), "-lpthread", "-lm"], check=True)
    for rows in ("1000", "100000"):
        for row in run(program, rows, "1000").splitlines():
            line("versions", "union merge, seven fields of all kinds", "", row)
    for name, k, batches in (("glove", 314, 50), ("glove", 314, 5), ("fashion", 244, 50)):
        got = compacted(args, exe, fresh, name, k, batches, "1")
        say("compact %s after %d appends, one thread" % (name, batches), "%.0f MB/s" % got["mb_s"], "%.0f of CPU time; %.0f fragments of %.1f KB in %.0f ms" % (
            got["mb_cpu_s"], got["fragments"], got["bytes"] / got["fragments"] * 1e-3, got["compact_s"] * 1e3), ">= 300 MB/s of cell bytes")
    got = measure("space", "314", "50")
    say("a tenth deleted, compact, gc with keep 1", "%.2f %%" % got["freed"], "of the superseded bytes freed: %.1f MB, %.1f after, %.1f reached by the tip" % (
        got["before"] * 1e-6, got["after"] * 1e-6, got["needed"] * 1e-6), ">= 95 %")
    got = measure("commits", "20000")
    say("20,000 commits, two embeddings and a label", "%.2f x" % got["time_ratio"], "last 1,000 / third 1,000; CPU %.2f x, bytes %.2f x; %.2f s the last; label compacted %d times" % (
        got["cpu_ratio"], got["bytes_ratio"], got["last_1000"], got["folds"]), "that all land")
    got = collected(args)
    say("gc, a directory of %s objects" % format(int(got["objects"]), ","), "%.1f s" % got["seconds"], "%s removed; peak %.1f MB" % (format(int(got["deleted"]), ","), got["peak_mb"]), "<= 60 s")
    shutil.rmtree(folder, ignore_errors=True)


def part_query(args, lib, exe):
    import bench_query
    bench_query.part(args, lib, exe, line)


def part_reach(args, lib, exe):
    subprocess.run([sys.executable, os.path.join(HERE, "bench_reach.py"), "--only", "filter", "--data", args.data, "--work", args.work], check=True)


def part_memory(args, lib, exe):
    program = os.path.join(BUILD, "bench_memory")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=c99", "-o", program, os.path.join(HERE, "bench_memory.c"), os.path.join(TOP, "examples", "dreamdb.c"), "-lpthread"], check=True)
    for name, nprobe in (("glove", 16), ("fashion", 4)):
        base, query, _ = data_set(args.data, name)
        raw = os.path.join(args.work, name + ".queries.f32")
        query[:200].tofile(raw)
        for row in run(program, os.path.join(args.work, name), raw, "200", str(base.shape[1]), str(nprobe), "4000000000", "16000000", "4000000").splitlines():
            line("memory", name, "", row)


def collected(args):
    """A directory of so many objects, half of them garbage, collected."""
    program = os.path.join(BUILD, "bench_gc")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=c11", "-o", program, os.path.join(HERE, "bench_gc.c"), os.path.join(TOP, "examples", "dreamdb.c"), "-lpthread"], check=True)
    folder = os.path.join(args.gc_folder, "ddb_bench_gc")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        return values(run(program, "directory", folder, str(args.gc_objects)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def part_gc(args, lib, exe):
    got = collected(args)
    line("gc", "directory of %s objects, half of them garbage" % format(int(got["objects"]), ","), "%.1f s" % got["seconds"],
         "%s removed; peak %.1f MB; one thread" % (format(int(got["deleted"]), ","), got["peak_mb"]))
    got = values(run(os.path.join(BUILD, "bench_gc"), "memory", "10000000"))
    line("gc", "10,000,000 live objects (made-up store)", "%.1f MB" % got["peak_mb"],
         "%.1f s; %.2f%% of the garbage taken for marked" % (got["seconds"], 100 * got["garbage_left"]))


def part_drift(args, lib, exe):
    """Ada-IVF while the data drifts: 200,000 rows in the order of a principal direction, a step each 2,000 (see bench_drift.c)."""
    import numpy as np
    program, folder = os.path.join(BUILD, "bench_drift"), os.path.join(args.work, "drift")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=c99", "-o", program, os.path.join(HERE, "bench_drift.c"), os.path.join(TOP, "examples", "dreamdb.c"), "-lpthread", "-lm"], check=True)
    raw = os.path.join(args.data, "drift.200000.f32")
    if not os.path.exists(raw):
        more = os.path.join(args.data, "drift")
        subprocess.run([sys.executable, os.path.join(HERE, "bench_data.py"), more, "--sets", "glove", "--n", "200000", "--cache", os.path.join(args.data, "cache")], check=True)
        np.ascontiguousarray(np.load(os.path.join(more, "glove", "base.npy"))[:200000], "f4").tofile(raw)
    for where in (folder, "memory"):
        shutil.rmtree(folder, ignore_errors=True)
        for row in run(program, raw, "50", "200000", where, "2000").splitlines():
            line("drift", "glove", "", row)
    shutil.rmtree(folder, ignore_errors=True)


def part_shard(args, lib, exe):
    """A step by one share and by four (see bench_shard.c)."""
    program = os.path.join(BUILD, "bench_shard")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=c99", "-o", program, os.path.join(HERE, "bench_shard.c"), os.path.join(TOP, "examples", "dreamdb.c"), "-lpthread", "-lm"], check=True)
    for name in ("glove", "fashion"):
        base, _, raw = data_set(args.data, name)
        words = run(program, raw, str(base.shape[1]), str(len(base))).split()
        got = {key: float(value) for key, value in zip(words[::2], words[1::2])}
        line("shard", "%s, a step of %d cells: CPU of each of 4 shares / of 1" % (name, got["cells"]), "%.2f (%.2f s)" % (got["ratio"], got["share4"]),
             "wanted: at most .30; of its 2-means %.2f (%.2f s); plan %.2f s, end %.2f s; the whole step in one call %.2f s" % (
                 got["split_ratio"], got["split4"], got["plan"], got["end"], got["step"]))


def part_step(args, lib, exe):
    """400 steps beside cells that nobody touches, and appends beside a thread that steps (see bench_step.c)."""
    program = os.path.join(BUILD, "bench_step")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=gnu99", "-o", program, os.path.join(HERE, "bench_step.c"), os.path.join(TOP, "examples", "dreamdb.c"), "-lpthread", "-lm"], check=True)
    base, _, raw = data_set(args.data, "glove")
    words = run(program, raw, str(base.shape[1]), str(len(base))).split()
    got = {key: float(value) for key, value in zip(words[::2], words[1::2])}
    line("step", "CPU of steps 380 to 400 of 400 / of steps 40 to 60", "%.2f x" % got["ratio"], "wanted: at most 1.2; %.2f and %.2f ms; records they read: %.2f x" % (1e3 * got["late"], 1e3 * got["early"], got["read"]))
    line("step", "p99 of an append of 20 rows beside steps / alone", "%.2f x" % got["slower"], "wanted: at most 1.5 (two free cores); %.2f and %.2f ms, %d steps, %d lost" % (
        1e3 * got["beside"], 1e3 * got["alone"], got["steps"], got["lost"]))


def part_scan(args, lib, exe):
    for name, nprobe in (("glove", 16), ("fashion", 4)):        # recall@10 >= .95, see part query
        base, _, raw = data_set(args.data, name)
        rates = [float(r.split()[3]) for r in run(exe, "scan", os.path.join(args.work, name)).splitlines()]
        line("scan", "%s, cursor, fresh handle each time" % name, "%.2f GB/s" % max(rates), "verified bytes, page cache")
        first = min(values(run(exe, "first", os.path.join(args.work, name), raw, "1", str(base.shape[1]), str(nprobe)))["first"] for _ in range(5))
        line("scan", "%s, open to first answer, nprobe %d" % (name, nprobe), "%.2f ms" % first)
        out = os.path.join(args.work, "export.npy")
        best = 1e9
        for _ in range(3):
            t = time.perf_counter()
            run(os.path.join(BUILD, "dreamdb"), "--store", os.path.join(args.work, name), "export", "main", "--column", "emb=" + out)
            best = min(best, time.perf_counter() - t)
        line("scan", "%s, dreamdb export to .npy (process)" % name, "%.2f GB/s" % (base.nbytes / best * 1e-9))
        os.remove(out)


def part_hash(args, lib, exe):
    script = os.path.join(TOP, "tools", "bench_hash.sh")
    if os.path.exists(script):
        print(run("bash", script), end="", flush=True)


def part_kernels(args, lib, exe):
    source = os.path.join(TOP, "tools", "bench_kern.c")
    if os.path.exists(source):
        out = os.path.join(BUILD, "bench_kern")
        subprocess.run([os.environ.get("CC", "cc"), "-O2", "-std=c99", "-o", out, source, "-lpthread"], check=True)
        print(run(out, args.data), end="", flush=True)


def part_size(args, lib, exe):
    print(run("sh", os.path.join(TOP, "tools", "size.sh")), end="", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", default=os.path.join(BUILD, "bench-data"))
    ap.add_argument("--work", default=os.path.join(BUILD, "bench-work"))
    ap.add_argument("--only", default="hash,kernels,ingest,coded,append,small,retry,compact,query,reach,memory,gc,scan,size")
    ap.add_argument("--gc-objects", type=int, default=1000000, help="of parts gc and versions")
    ap.add_argument("--gc-folder", default=tempfile.gettempdir(), help="where these are made")
    ap.add_argument("--sets", default="glove,fashion,mix384", help="of part query")
    ap.add_argument("--cells", default="1", help="of part query: multiples of the sets' numbers of cells that we and the peers may use, as 1,2,4")
    ap.add_argument("--quick", action="store_true", help="part query: only the table beside the peers")
    args = ap.parse_args()
    for part in args.only.split(","):
        if "part_" + part not in globals():
            ap.error("--only: there is no part %s" % part)
    lib, exe = build()
    os.makedirs(args.work, exist_ok=True)
    if not os.path.exists(os.path.join(args.data, "fashion", "base.npy")):
        subprocess.run([sys.executable, os.path.join(HERE, "bench_data.py"), args.data, "--sets", "fashion,glove"], check=True)
    for part in args.only.split(","):
        try:
            globals()["part_" + part](args, lib, exe)
        except (ImportError, subprocess.CalledProcessError, FileNotFoundError) as e:
            line(part, "left out", "-", "%s %s" % (e, getattr(e, "stderr", "") or ""))


if __name__ == "__main__":
    main()
