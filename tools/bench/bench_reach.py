"""bench_reach.py [--base OLD.so] [--work DIR] [--data DIR] [--sets a,b] [--only filter,one,batch] - the reach of a search: predicates of .1 to 100%,
one query on several threads, batches.  Times are the least of several rounds, mean of the queries, nprobe 16 / 4 / 48 as of recall .95;
--base names a libbench.so of an older commit, asked in turn with this one, query by query, in the same process."""
import argparse, os, time
import numpy as np
import bench, bench_query

PROBES = {"glove": 16, "fashion": 4, "mix384": 48}
SHARES = (.001, .003, .01, .03, .1, .3, 1)


def turns(calls, count, rounds):
    """least[who][i] of each call f(i), asked in turn."""
    best = {who: np.full(count, 1e9) for who in calls}
    for _ in range(rounds):
        for i in range(count):
            for who, f in calls.items():
                t = time.perf_counter()
                f(i)
                best[who][i] = min(best[who][i], time.perf_counter() - t)
    return {who: t.mean() * 1e6 for who, t in best.items()}


def told(name, what, got):
    old = got.get("old")
    print("%-8s %-34s %9.1f us%s" % (name, what, got["new"], "   before %9.1f   ratio %.2f" % (old, got["new"] / old) if old else ""), flush=True)


def fresh(name, share, base, ours, at, d, rounds):
    """A predicate that nobody asked before, each time."""
    turn = {who: 0 for who in ours}
    def one(who, o, i):
        turn[who] += 1
        o.call(at + i * d * 4, 1, 0, 0, int(len(base) * share) + turn[who] % 97)
    told(name, "keeps %.1f%%, a new predicate each" % (share * 100), turns({who: lambda i, w=who, o=o: one(w, o, i) for who, o in ours.items()}, 19, rounds))


def right(name, share, base, ours, at, d):
    """How many of the ten nearest rows that the predicate keeps are found."""
    end, o = int(len(base) * share), ours["new"]
    want = [set(o.call(at + i * d * 4, 1, 0, 1, end)[0]) for i in range(100)]
    text = ""
    for what, nprobe in (("not given", 0), ("auto", 0xffffffff), ("%d" % PROBES[name], PROBES[name])):
        got = [set(o.call(at + i * d * 4, 1, nprobe, 0, end)[0]) for i in range(100)]
        text += "  nprobe %s %.3f" % (what, np.mean([len(a & b) / 10 for a, b in zip(want, got)]))
    print("%-8s keeps %.1f%%: recall%s" % (name, share * 100, text), flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--data", default=os.path.join(bench.BUILD, "bench-data"))
    ap.add_argument("--work", default=os.path.join(bench.BUILD, "bench-work"))
    ap.add_argument("--sets", default="glove,fashion,mix384")
    ap.add_argument("--only", default="filter,one,batch")
    ap.add_argument("--rounds", type=int, default=5)
    ap.add_argument("--base")
    args = ap.parse_args()
    lib, exe = bench.build()
    libs = {"new": lib}
    if args.base:
        libs["old"] = args.base
    for name in args.sets.split(","):
        base, query, _ = bench_query.load(args, name)
        d, at, store, nprobe = base.shape[1], query.ctypes.data, bench_query.store_of(args, exe, name, base, bench_query.SETS[name]), PROBES[name]
        for threads in (1, 2):
            ours = {who: bench_query.Ours(path, store, d, threads) for who, path in libs.items()}
            def ask(what, count, rounds, *given, many=1):
                told(name, what, turns({who: lambda i, o=o: o.call(at + i * d * 4, many, *given) for who, o in ours.items()}, count, rounds))
                first = [o.call(at, len(query) // 4, *given).copy() for o in ours.values()]
                if len(first) == 2 and (first[0] != first[1]).any():
                    print("    lists that differ: %d" % (first[0] != first[1]).any(1).sum())
            if "filter" in args.only and threads == 1:
                ask("no predicate", 60, args.rounds, nprobe)
                for share in SHARES:
                    ask("keeps %.1f%%" % (share * 100), 60, args.rounds, nprobe, 0, int(len(base) * share))
                for share in SHARES[:3]:
                    ask("keeps %.1f%%, nprobe not given" % (share * 100), 30, args.rounds, 0, 0, int(len(base) * share))
                for share in SHARES[:3]:
                    fresh(name, share, base, ours, at, d, args.rounds)
                for share in SHARES:
                    right(name, share, base, ours, at, d)
            if "one" in args.only:
                ask("one query, %d threads" % threads, 100, args.rounds, nprobe)
                ask("one query, 8 x the cells, %d threads" % threads, 40, args.rounds, nprobe * 8 if name != "mix384" else 223)
                ask("one exact query, %d threads" % threads, 20, args.rounds, 0, 1)
            if "batch" in args.only:
                ask("1,000 at once, %d threads" % threads, 1, args.rounds, nprobe, many=1000)


if __name__ == "__main__":
    main()
