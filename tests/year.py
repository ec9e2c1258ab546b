#!/usr/bin/env python3
"""year.py [--short] - the year of tests/year.c: with rows that come and go, with growth, in commits of one row; then the reference package (where
it is installed) opens the year's tip and reads every row.  --short is what the gate runs: about two months, and 3,000 commits."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('BUILD', os.path.join(TOP, 'build'))
FIELDS = ['day', 'emb', 'label', 'name', 'ok', 'score']
COUNT = re.compile(r'(\d+) passed, (\d+) failed$')


def run(name, *options):
    """Runs build/year, prints what it says, and gives its counts."""
    print('---- %s: year %s' % (name, ' '.join(options)), flush=True)
    p = subprocess.Popen([os.path.join(BUILD, 'year'), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = None
    for line in p.stdout:
        found = COUNT.search(line)
        if not found:
            print(line, end='', flush=True)
    code = p.wait()
    passed, failed = (int(x) for x in found.groups()) if found else (0, 1)
    if code and not failed:
        failed = 1
    print('%s: %d passed, %d failed' % (name, passed, failed), flush=True)
    return passed, failed


def reference(store, dump):
    """The tip as the reference reads it, beside what the model dumped."""
    try:
        import dreamdb
    except ImportError:
        print('skip the reference: it is not installed')
        return 0, 0
    data = dreamdb.Dataset.open('main', backend='file://' + store)
    got = {}
    for batch in data.iter_all_batches(batch_size=4096, fields=FIELDS):
        for i, anchor in enumerate(batch['_time_anchors']):
            got[anchor] = [batch[f][i] if f in batch else None for f in FIELDS]
    wrong, want = 0, 0
    for line in open(dump):
        anchor, day, label, name, score, ok, _, first = line.rstrip('\n').split('\t')
        want += 1
        row = got.get(int(anchor))
        same = row is not None and row[0] == int(day) and row[2] == label and (row[3] or '') == name and bool(row[4]) == (ok == '1') and row[5] == float(score)
        wrong += not (same and (row[1][0] > 0) == (float(first) > 0))
    print('the reference reads %d rows, the model has %d, %d are wrong' % (len(got), want, wrong))
    return int(wrong == 0 and len(got) == want), int(wrong != 0 or len(got) != want)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--short', action='store_true')
    o = p.parse_args()
    folder = tempfile.mkdtemp(prefix='dreamdb-year-')
    store, dump = os.path.join(folder, 'store'), os.path.join(folder, 'rows')
    try:
        total = [run('year', '--store', store, '--dump', dump, *(['--days', '61', '--rows', '20', '--steady', '20'] if o.short else ['--ratio', '150']))]
        total.append(reference(store, dump))
        shutil.rmtree(store, ignore_errors=True)
        if not o.short:
            total.append(run('growth', '--growth', '--rows', '15'))
        total.append(run('commits', '--commits', '3000' if o.short else '100000'))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    passed, failed = (sum(x) for x in zip(*total))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
