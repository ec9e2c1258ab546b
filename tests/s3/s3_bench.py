#!/usr/bin/env python3
"""s3_bench.py - requests and waves of each verb on a real server behind a proxy that adds 20 ms to every request, beside the reference's
figures of the same work (measured once: versitygw, inline Tracks, LSH of 4 bits); appends of four processes to one Ref; then ingest of
100,000 x 128 beside puts of the same objects bare, 64 connections."""
import os
import subprocess
import sys
import shutil

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3_test as t  # noqa: E402

# operation: requests / waves / seconds of the reference, and what was asked for
REFERENCE = {'create': ((9, 4, 0.23), (8, 2)), 'append 1,000 rows, first': ((2048, 18, 3.33), None), 'append 1,000 rows, warm handle': ((2047, 17, 3.32), (1022, 2)),
             'append 1 row, warm handle': ((19, 19, 0.44), (8, 2)), 'open, first query of top 10 with images': ((44, 22, 0.96), (41, 5)),
             'query again, images': ((37, 15, 0.40), (11, 2)), 'query again, handle, no images': ((27, 5, 0.16), (1, 1)),
             'query again, snapshot, no images': (None, (0, 0)), 'union merge 2 x 100': ((25, 23, 1.14), (16, 6)),
             'compact': ((288, 19, 1.63), None), 'the same after compact': (None, (24, 5)), 'gc': ((345, 209, 7.9), (60, 12))}
INGEST = ((100000, .9, .8), (10000, None, None))     # rows of an append; least part of the bare loop's speed, without and with 20 ms


def together(env):
    """Four processes, five appends of a row each, to one Ref."""
    t.dream('s3://bucket/four', env, 'create', 'main', '--field', 'emb:embedding,dim=8,index=lsh,bits=2')
    all_of = [subprocess.Popen([t.RACE, 's3://bucket/four', 'append', 'main', '5'], env=env, stdout=subprocess.DEVNULL) for _ in range(4)]
    for p in all_of:
        p.wait(timeout=200)
    landed = t.dream('s3://bucket/four', env, 'count', 'main').strip()
    print('| 4 processes x 5 appends to one Ref | 5 of 20 land | %s of 20 land | | 20: %s |' % (landed, 'yes' if landed == '20' else 'NO'))


def ingest(server, proxy):
    for per, least, least_far in INGEST:
        for name, port, asked in (('no delay', server.port, least), ('20 ms', proxy.port, least_far)):
            best = None
            for _ in range(3):
                q = subprocess.run([t.RACE, 's3://bucket/ingest', 'ingest', '100000', '128', str(per)], env=t.environment('http://127.0.0.1:%d' % port),
                                   stdout=subprocess.PIPE, timeout=500)
                ours, bare, objects, cpu, cpu_bare = [float(x) for x in q.stdout.decode().split('ingest ')[1].split()[:5]]
                best = max(best or (0,), (bare / ours, ours, bare, int(objects), cpu, cpu_bare))
            print('ingest of 100,000 x 128 in appends of %d, %s: %.2f s (%.2f s of our processor); its %d objects bare: %.2f s (%.2f s); ratio %.2f%s'
                  % (per, name, best[1], best[4], best[3], best[2], best[5], best[0], '' if not asked else ' (asked %.1f: %s)' % (asked, 'yes' if best[0] >= asked else 'NO')))


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else 'versitygw'
    path = t.find(kind)
    if not path:
        print('skip bench-s3: %s is not installed (go install %s, or S3_INSTALL=1)' % (kind, t.PINNED[kind]))
        return 0
    server = t.start(kind, path)
    proxy = t.Proxy(server.port, delay=20)
    try:
        p = subprocess.run([t.RACE, 's3://bucket/bench', 'phases'], env=t.environment('http://127.0.0.1:%d' % proxy.port), stdout=subprocess.PIPE, timeout=300)
        print('%s on loopback, every request 20 ms later; requests / waves / seconds' % kind)
        print('| operation | reference | ours | GET, PUT | asked for |\n|---|---|---|---|---|')
        for line in p.stdout.decode().splitlines():
            if line.startswith('failed'):
                print(line)
            if not line.startswith('phase '):
                continue
            name, requests, waves, seconds, gets, puts = line[6:].split('|')[:6]
            theirs, asked = REFERENCE.get(name, (None, None))
            met = asked and int(requests) <= asked[0] and int(waves) <= asked[1]
            print('| %s | %s | %s / %s / %s | %s, %s | %s |' % (name, '%d / %d / %.2f' % theirs if theirs else '', requests, waves, seconds, gets, puts,
                  '%d / %d: %s' % (asked[0], asked[1], 'yes' if met else 'NO') if asked else ''))
        together(t.environment('http://127.0.0.1:%d' % proxy.port))
        ingest(server, proxy)
        for name, port in (('no delay', server.port), ('20 ms', proxy.port)):
            for size in (1011, 65536):
                q = subprocess.run([t.RACE, 's3://bucket/bare', 'bare', '2000', str(size)], env=t.environment('http://127.0.0.1:%d' % port), stdout=subprocess.PIPE, timeout=300)
                seconds = float(q.stdout.decode().split()[1])
                print('2,000 puts of %d bytes, %s: %.2f s, %.0f a second, %.1f MB/s' % (size, name, seconds, 2000 / seconds, 2000 * size / seconds / 1e6))
        return p.returncode
    finally:
        proxy.server.stop()
        server.stop()
        shutil.rmtree(t.work, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
