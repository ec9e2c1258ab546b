#!/usr/bin/env python3
"""test_cli.py: drives build/dreamdb from end to end, as a user would.  Standard library only.

DREAMDB=path of the command (default $BUILD/dreamdb).  Arguments: names of tests to run (default all).
Prints one line a failure and, last, "cli: N passed, N failed"."""
import array
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from script import run_tests

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DREAMDB = os.environ.get('DREAMDB') or os.path.join(TOP, os.environ.get('BUILD', 'build'), 'dreamdb')
DREAMDB = os.path.abspath(DREAMDB)
passed = failed = 0
here = ''
rng = random.Random(3)


# ---- Checks and runs -------------------------------------------------------------------------------------------------

def check(good, what):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        line = sys._getframe(1)
        while line.f_code.co_name in ('ok', 'bad', 'rows_of') and line.f_back:
            line = line.f_back
        print('FAIL %s line %d: %s' % (here, line.f_lineno, what), flush=True)
    return good


class Done:
    def __init__(self, args, code, out, err):
        self.args, self.code, self.raw, self.out, self.err = args, code, out, out.decode(errors='replace'), err.decode(errors='replace')

    def json(self):
        return [json.loads(x) for x in self.out.splitlines() if x]


def run(*args, store='s', env=None):
    full = dict(os.environ, **(env or {}))
    full.pop('DREAMDB_STORE', None)
    command = [DREAMDB] + (['--store', store, '--durability', 'none'] if store else []) + [str(a) for a in args]
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=full, timeout=120)
    return Done(args, p.returncode, p.stdout, p.stderr)


def ok(*args, **more):
    d = run(*args, **more)
    check(d.code == 0, 'dreamdb %s: exit %d: %s' % (' '.join(map(str, d.args)), d.code, d.err.strip()))
    return d


def bad(code, words, *args, **more):
    """Fails with that exit code and one line on stderr that holds the words."""
    d = run(*args, **more)
    what = 'dreamdb %s: exit %d (wanted %d): %s' % (' '.join(map(str, d.args)), d.code, code, d.err.strip())
    lines = [x for x in d.err.splitlines() if not x.startswith('dreamdb: note: ')]
    if check(d.code == code, what) and '--json' in args:
        check(len(lines) == 1 and all(w in json.loads(lines[0])['error'] for w in words.split('|')), what + ' / wanted: ' + words)
    elif d.code == code:
        check(len(lines) == 1 and lines[0].startswith('dreamdb: ') and all(w in lines[0] for w in words.split('|')), what + ' / wanted: ' + words)
    return d


def rows_of(*args, **more):
    return ok(*args, '--json', **more).json()


# ---- Files -----------------------------------------------------------------------------------------------------------

def npy(path, descr, shape, data, fortran=False, version=1):
    head = ("{'descr': %r, 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape)).encode()
    size = 10 if version == 1 else 12
    head += b' ' * (-(size + len(head) + 1) % 64) + b'\n'
    with open(path, 'wb') as f:
        f.write(b'\x93NUMPY' + bytes([version, 0]) + struct.pack('<H' if version == 1 else '<I', len(head)) + head + data)
    return path


def vectors(path, rows, descr='<f4', **more):
    form = {'<f4': '<%df', '>f4': '>%df', '<f8': '<%dd', '<f2': '<%de'}[descr]
    flat = [x for row in rows for x in row]
    return npy(path, descr, (len(rows), len(rows[0]) if rows else 3), struct.pack(form % len(flat), *flat), **more)


def numbers(path, values, descr='<i8', form='q'):
    return npy(path, descr, (len(values),), struct.pack('<%d%s' % (len(values), form), *values))


def words(path, values, descr=None):
    width = max([1] + [len(v) for v in values])
    return npy(path, '<U%d' % width, (len(values),), b''.join((v + '\0' * (width - len(v))).encode('utf-32-le') for v in values))


def text(path, content):
    with open(path, 'wb') as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    return path


def read(path):
    with open(path, 'rb') as f:
        return f.read()


def floats(path):
    """The payload of an .npy of f4."""
    raw = read(path)
    size = struct.unpack('<H', raw[8:10])[0]
    a = array.array('f', raw[10 + size:])
    if sys.byteorder == 'big':
        a.byteswap()
    return list(a), raw[10:10 + size].decode()


def near(a, b):
    return abs(a - b) < 1e-5


def unit(n, dim):
    return [[rng.gauss(0, 1) for _ in range(dim)] for _ in range(n)]


def f32(x):
    return struct.unpack('<f', struct.pack('<f', x))[0]


def tree(folder):
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            found[os.path.relpath(path, folder)] = read(path)
    return found


# ---- Tests: the command line -----------------------------------------------------------------------------------------

VERBS = ('create add-field append train query get scan count delete flush-hot erase-report export log refs branch snapshot merge merge-many compact '
         'ada-ivf-status ada-ivf-step rebuild-ivf recommendations watch diff delete-ref gc set-meta inspect verify stats version help').split()


def test_usage():
    d = run(store=None)
    check(d.code == 2 and 'create' in d.out, 'no argument shows the help and exits 2')
    all_help = ok('help', store=None).out
    for verb in VERBS:
        check(re.search(r'^  %s\b' % verb, all_help, re.M), 'help names ' + verb)
        if verb != 'help':
            page = ok('help', verb, store=None).out
            check(verb in page and ok(verb, '--help', store=None).out == page, 'help of ' + verb)
    check(ok('--help', store=None).out == all_help and ok('-h', store=None).out == all_help, '--help is help')
    for option in ('--pack',):
        bad(2, 'not in this version', 'append', 'main', option)
    bad(2, "did you mean query", 'qurey', 'main', store=None)
    bad(2, "did you mean append", 'apend', 'main', store=None)
    bad(2, "unknown verb 'frobnicate'|dreamdb help", 'frobnicate', store=None)
    bad(2, 'did you mean --column', 'append', 'main', '--colunm', 'a=b')
    bad(2, '--top-k', 'scan', 'main', '--top-k', '3')
    bad(2, 'needs a value', 'scan', 'main', '--limit')
    bad(2, 'takes no value', 'scan', 'main', '--json=1')
    bad(2, 'dreamdb query REF FIELD', 'query', 'main')
    bad(2, 'one word too many', 'log', 'main', 'again')
    bad(2, 'DREAMDB_STORE', 'scan', 'main', store=None)
    for url in ('s3://', 's3://bu cket/x', 'http://', 'http://u:p@h/x', 'https://h:0/x'):
        bad(2, 'store URL', 'scan', 'main', store=url)
    for option, value in (('--threads', '0'), ('--seed', 'x'), ('--now-ns', '-1'), ('--nonce', 'ab'), ('--cache-bytes', '1q'), ('--progress', None),
                          ('--durability', 'some')):
        args = ['scan', 'main', '%s=%s' % (option, value or 'often')]
        bad(2, option, *args)
    d = rows_of('version', store=None)[0]
    check(d['version'] and isinstance(d['features'], list), 'version --json')
    check(d['version'] in ok('--version', store=None).out, '--version')


def test_merge():
    csv('a.csv', ['_anchor,e,label', '1,"[1,2]",cat', '2,"[0,1]",dog'])
    csv('b.csv', ['_anchor,e,label', '3,"[1,3]",cat'])
    csv('c.csv', ['_anchor,e,label', '4,"[-1,3]",emu'])
    ok('create', 'main', '--field', 'e:embedding,dim=2,index=lsh,bits=2', '--field', 'label:categorical')
    ok('append', 'main', '--rows', 'a.csv')
    ok('branch', 'main', 'br')
    ok('branch', 'main', 'two')
    ok('append', 'br', '--rows', 'b.csv')
    moved = ok('merge', 'main', 'br', '--strategy', 'fast-forward', '--dry-run').out
    check('would move' in moved and ok('count', 'main', '--json').json()[0]['count'] == 2, 'a dry run moves nothing')
    check('moved' in ok('merge', 'main', 'br', '--strategy', 'ff').out and ok('count', 'main', '--json').json()[0]['count'] == 3, 'fast-forward')
    check(ok('merge', 'main', 'br', '--json').json()[0]['outcome'] == 'nothing', 'one state')
    ok('append', 'two', '--rows', 'c.csv')
    bad(1, 'fast-forward is not possible', 'merge', 'main', 'two', '--strategy', 'fast-forward')
    d = ok('merge', 'main', 'two', '--dry-run', '--json').json()[0]
    check(d['outcome'] == 'merged' and d['dry_run'] and d['fused'] == 2 and d['objects'] == 0 and d['conflicts'] == [], 'dry run')
    d = ok('merge', 'main', 'two', '--json').json()[0]
    check(d['outcome'] == 'merged' and d['bases'] == 1 and ok('count', 'main', '--json').json()[0]['count'] == 4, 'union')
    check(len(ok('log', 'main', '--json').json()[0]['parents']) == 2, 'two parents')
    ok('merge', 'main', 'two~1')
    for ref, value in (('main', 'x'), ('br', 'y')):
        ok('set-meta', ref, 'dreamdb.a', value)
    d = bad(1, '1 conflict', 'merge', 'main', 'br')
    check('conflict: dreamdb.a' in d.out, 'conflicts are listed')
    d = run('merge', 'main', 'br', '--json')
    check(d.code == 1 and d.json()[0]['outcome'] == 'refused' and d.json()[0]['conflicts'][0]['key'] == 'dreamdb.a', 'conflicts as JSON')
    ok('append', 'two', '--rows', 'b.csv')
    d = run('merge-many', 'main', 'two', 'br')
    check(d.code == 1 and 'dreamdb: note: merge-many: 1 of 2' in d.err and 'go on from br' in d.err and len(ok('log', 'main', '--json').json()[0]['parents']) == 2, 'merge-many stops')
    bad(4, 'no ref', 'merge', 'main', 'nothing')
    bad(2, 'union or fast-forward', 'merge', 'main', 'br', '--strategy', 'theirs')
    bad(2, 'ours or theirs', 'merge', 'main', 'br', '--keep-index', 'mine')
    bad(2, 'does not change', 'merge', 'main~1', 'br')
    check(ok('verify', 'main', '--history', 'all').out.find('no fault') > 0, 'verify')


def age(hours):
    """Makes every object of the store so old."""
    for folder, _, names in os.walk('s'):
        for name in names:
            os.utime(os.path.join(folder, name), (time.time() - 3600 * hours,) * 2)


def test_gc():
    ok('create', 'main', '--field', 'e:embedding,dim=2,index=lsh,bits=2', '--field', 'label:categorical')
    for i in range(4):
        csv('a.csv', ['_anchor,e,label', '%d,"[1,%d]",cat' % (i, i)])
        ok('append', 'main', '--rows', 'a.csv')
    ok('branch', 'main', 'br')
    csv('b.csv', ['_anchor,e,label', '9,"[1,3]",cow'])
    ok('append', 'br', '--rows', 'b.csv')
    ok('delete-ref', 'br')
    before = tree('s')
    d = ok('gc', '--json').json()[0]
    check(d['deleted'] == 0 and d['young'] > 4 and d['manifests'] == 5 and d['refs'] == 1 and tree('s') == before, 'all is young')
    bad(2, 'writers-paused', 'gc', '--keep-since', '59m')
    bad(2, 'no duration', 'gc', '--keep-since', '5y')
    bad(2, 'no number', 'gc', '--keep-manifests', '0')
    bad(2, 'keep-manifests', 'log', 'main', '--keep-manifests', '3')
    age(30)
    dry = ok('gc', '--dry-run', '--json').json()[0]
    listed = ok('gc', '--dry-run', '--list', '--json').json()
    check(dry['dry_run'] and dry['deleted'] == len(listed) - 1 > 4 and tree('s') == before, 'a dry run removes nothing')
    check(sum(row['bytes'] for row in listed[:-1]) == dry['deleted_bytes'], 'what goes is told')
    check('would remove' in ok('gc', '--dry-run').out, 'in words')
    d = ok('gc', '--keep-since', '29h', '--json').json()[0]
    check(d['deleted'] == dry['deleted'] and d['manifests'] == 5, 'the branch that was deleted')
    check(set(before) - set(tree('s')) == set(row['object'] for row in listed[:-1]), 'what was told is gone')
    ok('snapshot', 'main', 'kept')
    check(ok('gc', '--keep-manifests', '1', '--json').json()[0]['manifests'] == 1, 'one state')
    d = ok('gc', '--keep-manifests', '1', '--keep-since', '0', '--writers-paused', '--list')
    check('removed' in d.out and 'kept 1 state of 2 refs' in d.out, 'in words')
    check(ok('count', 'main', '--json').json()[0]['count'] == 4 and len(rows_of('log', 'main')) == 1, 'the rows are there, the older states are not')
    check(ok('verify', 'main', '--history', 'all').out.find('no fault') > 0, 'verify')
    ok('append', 'main', '--rows', 'b.csv')
    with open('s/refs/bad', 'w') as f:
        f.write('?')
    bad(5, 'refs/bad', 'gc')
    ok('delete-ref', 'bad')
    ok('delete-ref', 'main')
    ok('delete-ref', 'main@kept')
    bad(4, 'no ref', 'gc')
def test_compact():
    ok('create', 'main', '--field', 'e:embedding,dim=2,index=lsh,bits=1', '--field', 'label:categorical', '--field', 'im:image,optional')
    for i in range(5):
        csv('a.csv', ['_anchor,e,label'] + ['%d,"[1,0.00%d]",%s' % (10 * i + j, j, 'cat' if j % 2 else 'dog') for j in range(4)])
        ok('append', 'main', '--rows', 'a.csv')
    before = ok('scan', 'main').out
    d = ok('compact', 'main', '--max-cells', '1', '--json').json()[0]
    check(d['cells'] == 1 and d['fragments'] == 5 and d['rows'] == 20 and d['more'] and d['deleted'] == 0 and d['reclaimable'] > 0, 'one cell')
    check('more are left' in ok('compact', 'main', '--max-cells', '1').out, 'more')
    said = ok('compact', 'main').out
    check('compacted 2 of 3 ' in said and '6 fragments, 20 rows' in said, 'the rest: %s' % said)
    tip = ok('refs', '--json').out
    check('nothing to fold' in ok('compact', 'main').out and ok('refs', '--json').out == tip, 'no work, no Manifest')
    check(ok('scan', 'main').out == before, 'scan is the same')
    ok('delete', 'main', '10', '11')
    check('nothing to fold' in ok('compact', 'main').out, 'one fragment with deleted rows stays')
    d = ok('compact', 'main', '--threshold', '1', '--field', 'e', '--json').json()[0]
    check(d['deleted'] == 2 and d['rows'] == 18 and not d['more'], 'threshold 1 takes deleted rows out')
    check(ok('compact', 'main', '--threshold', '1', '--json').json()[0]['cells'] == 2, 'the labels too')
    check(ok('log', 'main', '--json').json()[0]['writer'].endswith('operation=compact'), 'operation')
    bad(2, 'is no size', 'compact', 'main', '--keep-bytes', 'x')
    bad(2, 'needs --keep-bytes', 'compact', 'main', '--keep-dead', '75')
    bad(2, 'at most 100 percent', 'compact', 'main', '--keep-bytes', '4k', '--keep-dead', '101')
    bad(2, 'nothing to compact', 'compact', 'main', '--field', 'im', '--identical')
    bad(4, 'it has:', 'compact', 'main', '--field', 'x')
    bad(2, '--threshold', 'compact', 'main', '--threshold', '0')
    bad(2, '--max-cells', 'compact', 'main', '--max-cells', 'x')
    bad(2, 'does not change', 'compact', 'main~1')
    check(ok('verify', 'main', '--history', 'all').out.find('no fault') > 0, 'verify')


def test_erase_report():
    csv('a.csv', ['_anchor,e,label', '1,"[1,2]",cat', '2,"[0,1]",dog', '3,"[2,1]",cow'])
    ok('create', 'main', '--field', 'e:embedding,dim=2,index=lsh,bits=2', '--field', 'label:categorical')
    ok('append', 'main', '--rows', 'a.csv')
    check('no row is asked for' in ok('erase-report', 'main').out, 'nothing is deleted')
    ok('branch', 'main', 'br')
    ok('snapshot', 'main', 'then')
    ok('delete', 'main', '2')
    d = ok('erase-report', 'main', '--json').json()
    check(d[-1]['anchors'] == 1 and d[-1]['objects'] == len(d) - 1 >= 3 and d[-1]['refs'] == 3 and d[-1]['unread'] == 0, 'summary')
    check(all(row['anchor'] == 2 and row['refs'] == ['br', 'main', 'main@then'] for row in d[:-1]), 'who reaches them')
    check(all(os.path.exists(os.path.join('s', row['object'])) for row in d[:-1]), 'they are there')
    out = ok('erase-report', 'main', '2').out
    check('main@then' in out and '%d objects hold bytes of these 1 rows' % (len(d) - 1) in out, 'in words')
    check(ok('erase-report', 'main', '--where', 'label=cat', '--json').json()[-1]['anchors'] == 1, 'before a deletion')
    check('no ref reaches' in ok('erase-report', 'main', '77').out, 'nowhere')
    bad(2, 'not both', 'erase-report', 'main', '2', '--where', 'label=cat')
    bad(4, 'no ref', 'erase-report', 'nothing')


def test_hot():
    vectors('hot_t.npy', unit(60, 4))
    ok('create', 'hot', '--field', 'emb:embedding,optional,train=hot_t.npy,k=4', '--field', 'label:categorical,optional',
       '--field', 'n:int,optional', '--field', 'im:image,optional')
    rows = unit(30, 4)
    vectors('hot_a.npy', rows[:10])
    vectors('hot_b.npy', rows[10:12])
    text('hot_l.txt', ''.join('l%d\n' % (i % 3) for i in range(10)))
    text('hot_m.txt', 'l0\nl7\n')
    ok('append', 'hot', '--column', 'emb=hot_a.npy', '--column', 'label=hot_l.txt', '--anchor-start', '100')
    bad(2, 'go with --hot', 'append', 'hot', '--column', 'emb=hot_b.npy', '--hot-items', '3')
    bad(2, 'no size', 'append', 'hot', '--column', 'emb=hot_b.npy', '--hot', '--hot-bytes', 'x')
    bad(1, 'not above the Track', 'append', 'hot', '--column', 'label=hot_m.txt', '--anchor-start', '109', '--hot')
    d = rows_of('append', 'hot', '--column', 'emb=hot_b.npy', '--column', 'label=hot_m.txt', '--anchor-start', '200', '--hot')[0]
    check(d['rows'] == 2 and d['folded'] == 0, 'append --hot')
    check(rows_of('count', 'hot')[0]['count'] == 12 and rows_of('count', 'hot', '--where', 'label=l7')[0]['count'] == 1, 'hot rows are counted')
    check(rows_of('get', 'hot', '201', '--fields', 'label')[0]['fields']['label'] == 'l7', 'a hot row is read')
    hits = rows_of('query', 'hot', 'emb', '--vector', 'hot_b.npy', '--top-k', '1')
    check([h['hits'][0]['anchor'] for h in hits] == [200, 201], 'hot rows are found')
    page = ok('inspect', 'hot').out
    check('hot rows' in page and ', and 2 hot' in ok('stats', 'hot').out and rows_of('verify', 'hot')[0]['faults'] == [], 'inspect, stats, verify')
    bad(1, 'flush-hot first', 'append', 'hot', '--column', 'label=hot_m.txt', '--anchor-start', '300')
    bad(1, 'flush-hot first', 'train', 'hot', 'emb')
    ok('append', 'hot', '--column', 'emb=hot_b.npy', '--anchor-start', '300')
    ok('delete', 'hot', '200')
    check(rows_of('count', 'hot')[0]['count'] == 13, 'a deleted hot row is gone')
    d = rows_of('append', 'hot', '--column', 'emb=hot_b.npy', '--anchor-start', '400', '--hot', '--hot-items', '4')[0]
    check(d['folded'] == 1, 'the fourth waiting vector folds its field')
    before = rows_of('scan', 'hot', '--fields', 'emb,label')
    d = rows_of('flush-hot', 'hot')[0]
    check(d['fields'] == 1 and d['rows'] == 2 and rows_of('scan', 'hot', '--fields', 'emb,label') == before, 'flush-hot changes no row')
    ok('append', 'hot', '--column', 'emb=hot_b.npy', '--anchor-start', '500', '--hot')
    d = rows_of('compact', 'hot')[0]
    check(d['flushed'] == 1 and d['waiting'] == 0 and rows_of('count', 'hot')[0]['count'] == 17, 'compact folds hot rows first: %s' % d)
    check('no hot rows' in ok('flush-hot', 'hot').out and rows_of('flush-hot', 'hot')[0]['fields'] == 0, 'nothing to flush')
    ok('train', 'hot', 'emb')
    check(rows_of('verify', 'hot', '--history', 'all')[0]['faults'] == [], 'all states are whole')


def csv(path, lines):
    with open(path, 'w') as f:
        f.write('\n'.join(lines) + '\n')


def test_create_refuses():
    for spec, said in (('emb:embedding,dim=3,index=ivf', 'train='), ('emb:embedding', 'dim=N'), ('emb:embeding,dim=3', 'KIND'), ('emb', 'KIND'),
                       ('x:int,dim=3', 'does not go with'), ('x:int,colour=red', 'unknown key'), ('emb:embedding,dim=x', 'dim=x'),
                       ('emb:embedding,dim=3,compressor=zip', 'is none of rabitq'), ('emb:embedding,dim=3,index=imi', 'train='),
                       ('emb:embedding,dim=3,bits_per_dim=4', 'compressor=rabitq'), ('emb:embedding,dim=3,compressor=rabitq,factors=2', '1 or 0'),
                       ('emb:embedding,dim=3,compressor=pq', 'm=N'), ('emb:embedding,dim=3,m=3', 'compressor=pq'), ('emb:embedding,dim=4,k_sub=3', 'index=imi'),
                       ('emb:embedding,dim=3,compressor=rabitq,compressor_seed=abc', '64 hex digits'),
                       ('emb:embedding,dim=3,compressor=rabitq,bits_per_dim=3', 'use 1, 2, 4, or 8'),
                       ('emb:embedding,dim=3,compressor=rabitq,bits_per_dim=4,factors', 'only for bits_per_dim=1'),
                       ('emb:embedding,dim=3,compressor=rabitq,index=lsh-l2', 'without a compressor'), ('emb:embedding,dim=3,index=tree', 'is none of'),
                       ('emb:embedding,dim=3,width=-1,index=lsh-l2', 'width'), ('t:constant', 'modality'), ('x:int,optional=3', 'takes no value'),
                       ('emb:embedding,dim=3,bits', 'wants a value')):
        bad(2, said, 'create', 'main', '--field', spec)
    bad(2, '--field', 'create', 'main')
    bad(4, 'missing.npy', 'create', 'main', '--field', 'emb:embedding,dim=3,train=missing.npy')
    bad(2, '', 'create', 'Main Set', '--field', 'x:int')
    bad(2, 'twice', 'create', 'main', '--field', 'x:int', '--field', 'x:float')
    check(not os.path.exists('s/refs'), 'nothing was made')
    d = ok('create', 'main', '--field', 'emb:embedding,dim=3')
    check('train=' in d.err, 'LSH without a sample is advised against')
    bad(1, 'main', 'create', 'main', '--field', 'x:int')
    ok('create', 'sized', '--field', 'emb:embedding,dim=3,rows=100000')
    check(rows_of('inspect', 'sized')[0]['fields'][0]['bits'] == 8, '100,000 rows: 8 bits')


def make_all_kinds(store='s'):
    vectors('sample.npy', unit(40, 4))
    ok('create', 'main', '--field', 'emb:embedding,train=sample.npy,k=4', '--field', 'label:categorical', '--field', 'word:string,optional',
       '--field', 'n:int,optional', '--field', 'x:float,optional', '--field', 'flag:bool,optional', '--field', 'at:timestamp,optional',
       '--field', 'title:constant,modality=title.text,value=Hello, world', store=store)


def test_create_and_inspect():
    make_all_kinds()
    d = rows_of('inspect', 'main')[0]
    kinds = {f['field']: f['kind'] for f in d['fields']}
    check(kinds == {'emb': 'embedding', 'label': 'scalar', 'word': 'scalar', 'n': 'scalar', 'x': 'scalar', 'flag': 'scalar', 'at': 'scalar', 'title': 'constant'}
          or kinds == {'emb': 'embedding', 'label': 'categorical', 'word': 'string', 'n': 'int', 'x': 'float', 'flag': 'bool', 'at': 'timestamp',
                       'title': 'constant'}, 'kinds %s' % kinds)
    f = {f['field']: f for f in d['fields']}
    check(f['emb']['k'] == 4 and f['emb']['bits'] == 24 and f['emb']['dim'] == 4, 'index of emb')
    check(f['label']['required'] and not f['word']['required'] and not f['title']['required'], 'required')
    check(f['title']['value'] == 'Hello, world', 'constant')
    check(re.match(r'^d[a-z2-7]{52}$', d['manifest']) and len(d['parents']) == 1 and d['unknown'] == [],
          'manifest and parents (a constant is a Manifest of its own)')
    ok('set-meta', 'main', 'dreamdb.description', 'a "text"')
    d = rows_of('inspect', 'main')[0]
    check(d['meta'].get('dreamdb.description') == 'a "text"' and d['parents'] == rows_of('log', 'main')[0]['parents'], 'set-meta')
    ok('set-meta', 'main', 'dreamdb.other=x=y')
    check(rows_of('inspect', 'main')[0]['meta'].get('dreamdb.other') == 'x=y', 'set-meta KEY=VALUE')
    bad(2, '', 'set-meta', 'main', 'dreamdb.schema', 'x')
    bad(2, 'VALUE', 'set-meta', 'main', 'dreamdb.x')
    ok('export', 'main', '--column', 'title=title.txt')
    check(read('title.txt') == b'Hello, world', 'a constant goes to a file')


# ---- Tests: rows in and out ------------------------------------------------------------------------------------------

def test_append_npy():
    make_all_kinds()
    emb = unit(5, 4)
    vectors('e.npy', emb)
    words('label.npy', ['cat', 'dog', 'cat', 'Käse', '猫'])
    npy('word.npy', '|S4', (5,), b'oneatwo\0four\0\0\0\0x\0\0\0')
    numbers('n.npy', [1, -2, 300, -40000, 5 * 10 ** 9])
    npy('x.npy', '>f4', (5,), struct.pack('>5f', 0.5, -1.25, 3e7, 0, -0.0))
    npy('flag.npy', '|b1', (5,), bytes([1, 0, 0, 1, 1]))
    npy('at.npy', '<M8[ms]', (5,), struct.pack('<5q', 0, 1, -1, 1700000000000, -2 ** 63))
    args = [a for f, p in (('emb', 'e'), ('label', 'label'), ('word', 'word'), ('n', 'n'), ('x', 'x'), ('flag', 'flag'), ('at', 'at'))
            for a in ('--column', '%s=%s.npy' % (f, p))]
    d = rows_of('append', 'main', *args, '--anchor-start', 10)[0]
    check(d['rows'] == 5 and d['batches'] == 1 and d['anchor_first'] == 10 and d['objects'] > 0, 'report %s' % d)
    got = rows_of('scan', 'main')
    check([r['anchor'] for r in got] == [10, 11, 12, 13, 14], 'anchors')
    f = [r['fields'] for r in got]
    check([r['label'] for r in f] == ['cat', 'dog', 'cat', 'Käse', '猫'], 'labels')
    check([r['word'] for r in f] == ['onea', 'two', 'four', '', 'x'], 'words %s' % [r['word'] for r in f])
    check([r['n'] for r in f] == [1, -2, 300, -40000, 5 * 10 ** 9], 'ints')
    check([r['x'] for r in f] == [0.5, -1.25, 3e7, 0, 0], 'floats')
    check([r['flag'] for r in f] == [True, False, False, True, True], 'bools')
    check([r['at'] for r in f] == [0, 10 ** 6, -10 ** 6, 1700000000 * 10 ** 9, None], 'times %s' % [r['at'] for r in f])
    check([r['emb'] for r in f] == [[f32(x) for x in row] for row in emb] or all(near(a, b) for r, row in zip(f, emb) for a, b in zip(r['emb'], row)),
          'vectors')
    check(rows_of('get', 'main', 13, 10, '--fields', 'label,n') ==
          [{'anchor': 10, 'fields': {'label': 'cat', 'n': 1}}, {'anchor': 13, 'fields': {'label': 'Käse', 'n': -40000}}], 'get')
    d = bad(4, 'anchor 99', 'get', 'main', '10,99', '--fields', 'label', '--json')
    check(json.loads(d.out)['anchor'] == 10, 'get prints what there is')
    bad(2, 'anchor', 'get', 'main', 'x')
    bad(2, 'no anchor', 'get', 'main')
    numbers('a.npy', [12, 11], '<u8', 'Q')
    check([r['anchor'] for r in rows_of('get', 'main', '--anchors', 'a.npy', '--fields', 'n')] == [11, 12], 'get --anchors')
    check([r['anchor'] for r in rows_of('scan', 'main', '--fields', 'n', '--start', 11, '--end', 13)] == [11, 12], 'window')
    check(len(rows_of('scan', 'main', '--fields', 'n', '--limit', 2)) == 2, 'limit')
    bad(4, "no field 'nope'|label", 'scan', 'main', '--fields', 'nope')
    bad(2, 'no rows', 'scan', 'main', '--fields', 'title')
    check(rows_of('count', 'main') == [{'count': 5}] and rows_of('count', 'main', 'at') == [{'count': 4}], 'count')
    check(rows_of('count', 'main', 'emb', '--estimate') == [{'count': 5}], 'count --estimate')
    check(ok('count', 'main').out == '5\n', 'count for people')


def test_append_refuses():
    make_all_kinds()
    vectors('e.npy', unit(3, 4))
    text('l.txt', 'a\nb\nc\n')
    base = ['--column', 'emb=e.npy', '--column', 'label=l.txt']
    before = tree('s/refs')

    def refused(code, said, *args):
        bad(code, said, 'append', 'main', *args)
    refused(2, 'no rows')
    refused(4, "no field 'nope'", '--column', 'nope=e.npy')
    refused(2, 'FIELD=FILE', '--column', 'emb')
    refused(2, 'two --column', '--column', 'emb=e.npy', '--column', 'emb=e.npy')
    refused(4, 'gone.npy', '--column', 'emb=gone.npy')
    refused(2, '.fvecs', '--column', 'emb=' + text('e.bin', 'x'))
    refused(1, 'dimensions', '--column', 'emb=' + vectors('w.npy', unit(3, 5)), '--column', 'label=l.txt')
    refused(1, 'label', '--column', 'label=' + npy('f.npy', '<f4', (3,), b'\0' * 12))
    refused(1, 'Fortran', '--column', 'emb=' + vectors('fo.npy', unit(3, 4), fortran=True), '--column', 'label=l.txt')
    whole = read('e.npy')
    for cut in (0, 3, 11, 60, len(whole) - 1):
        refused(1, 'short', '--column', 'emb=' + text('cut.npy', whole[:cut]), '--column', 'label=l.txt')
    refused(1, 'longer', '--column', 'emb=' + text('long.npy', whole + b'x'), '--column', 'label=l.txt')
    refused(1, '.npy', '--column', 'emb=' + text('no.npy', b'x' * 200), '--column', 'label=l.txt')
    refused(1, 'objects', '--column', 'label=' + npy('o.npy', [('a', '<f4')], (3,), b'\0' * 12))
    refused(1, '|O', '--column', 'label=' + npy('o.npy', '|O', (3,), b'\0' * 24))
    refused(1, 'dimensions', '--column', 'emb=' + npy('d3.npy', '<f4', (3, 2, 2), b'\0' * 48))
    refused(1, 'bytes', '--column', 'emb=' + npy('huge.npy', '<f4', (2 ** 62, 4), b''))
    refused(1, 'malformed', '--column', 'emb=' + npy('neg.npy', '<f4', '(-3, 4)', b''))
    refused(1, 'rows', '--column', 'emb=e.npy', '--column', 'label=' + text('four.txt', 'a\nb\nc\nd\n'))
    nan = unit(3, 4)
    nan[1][2] = float('nan')
    refused(1, '1', '--column', 'emb=' + vectors('nan.npy', nan), '--column', 'label=l.txt')
    refused(1, '2', '--column', 'emb=' + vectors('zero.npy', unit(2, 4) + [[0] * 4]), '--column', 'label=l.txt')
    refused(1, 'label', '--column', 'emb=e.npy')
    refused(1, 'n.txt line 2|12x', *base, '--column', 'n=' + text('n.txt', '1\n12x\n3\n'))
    refused(2, '2^64-2', *base, '--anchor-start', 2 ** 64 - 3)
    refused(2, '--anchor-start', *base, '--anchor-start', 2 ** 64 - 1)
    refused(1, '2^64-2', *base, '--anchors', numbers('am.npy', [1, 2, 2 ** 64 - 1], '<u8', 'Q'))
    refused(1, '2^64-2', *base, '--anchors', numbers('an.npy', [1, -2, 3]))
    refused(1, '2 anchors for 3 rows', *base, '--anchors', numbers('a2.npy', [1, 2], '<u8', 'Q'))
    refused(2, 'one of them', *base, '--anchors', 'a2.npy', '--anchor-start', '3')
    refused(1, 'row 1', *base, '--column', 'n=' + npy('big.npy', '<u8', (3,), struct.pack('<3Q', 1, 2 ** 63, 2)))
    refused(1, 'row 2', *base, '--column', 'flag=' + numbers('two.npy', [1, 0, 2]))
    refused(1, 'title', '--column', 'title=l.txt')
    bad(2, 'kept state', 'append', 'main~1', *base)
    check(tree('s/refs') == before, 'the Ref did not move')
    check(rows_of('count', 'main') == [{'count': 0}], 'no row')
    bad(4, 'other', 'append', 'other', *base)
    bad(4, 'nowhere', 'append', 'main', *base, store='nowhere')
    check(not os.path.exists('nowhere'), 'no folder is made')
    d = rows_of('append', 'main', '--column', 'emb=' + npy('none.npy', '<f4', (0, 4), b''), '--column', 'label=' + text('none.txt', ''))[0]
    check(d['rows'] == 0 and d['batches'] == 0, 'no rows are no commit')
    check(tree('s/refs') == before, 'the Ref did not move')


def test_append_forms():
    ok('create', 'main', '--field', 'emb:embedding,dim=3,bits=2')
    rows = unit(6, 3)
    exact = [[f32(x) for x in r] for r in rows]
    at = 0
    for name, descr, version in (('a', '<f4', 1), ('b', '>f4', 2), ('c', '<f8', 3)):
        d = ok('append', 'main', '--column', 'emb=' + vectors(name + '.npy', rows, descr, version=version), '--anchor-start', at)
        check(('f64' in d.err) == (name == 'c'), 'a note on conversion: ' + d.err)
        at += 6
    text('d.fvecs', b''.join(struct.pack('<i3f', 3, *r) for r in rows))
    ok('append', 'main', '--column', 'emb=d.fvecs', '--anchor-start', at)
    got = [r['fields']['emb'] for r in rows_of('scan', 'main', '--order', 'anchor')]
    check(len(got) == 24 and all([f32(x) for x in g] == exact[i % 6] for i, g in enumerate(got)), 'vectors of all forms')
    halves = [[0.5, -2, 65504], [6.103515625e-05, 5.960464477539063e-08, 1]]
    ok('append', 'main', '--column', 'emb=' + vectors('h.npy', halves, '<f2'), '--anchor-start', 100)
    check([[f32(x) for x in r['fields']['emb']] for r in rows_of('scan', 'main', '--start', 100)] == [[f32(x) for x in r] for r in halves], 'f16')
    text('bad.fvecs', struct.pack('<i3f', 3, *rows[0]) + struct.pack('<i3f', 2, *rows[1]))
    bad(1, 'row 1', 'append', 'main', '--column', 'emb=bad.fvecs')
    bad(1, 'cut short', 'append', 'main', '--column', 'emb=' + text('cut.fvecs', read('d.fvecs')[:-1]))
    bad(1, '.fvecs', 'append', 'main', '--column', 'emb=' + text('neg.fvecs', struct.pack('<i', -1) * 4))


def test_rows():
    make_all_kinds()
    text('r.csv', '\ufeff_anchor,label,word,n,x,flag,at,emb\r\n7,cat,"a,b ""c""\nd",1,0.5,true,2024-01-02T03:04:05.5Z,"[1,2,3,4]"\n'
         '\n8,dog,,,,,,0.5 0.25 -1 2e3\n9,"dog","",-3,1e300,0,12,"1;1;1;1"')
    d = rows_of('append', 'main', '--rows', 'r.csv')[0]
    check(d['rows'] == 3 and d['anchor_first'] == 7, 'report %s' % d)
    f = [(r['anchor'], r['fields']) for r in rows_of('scan', 'main')]
    check(f == [(7, dict(label='cat', word='a,b "c"\nd', n=1, x=0.5, flag=True, at=1704164645500000000, emb=[1, 2, 3, 4])),
                (8, dict(label='dog', word=None, n=None, x=None, flag=None, at=None, emb=[0.5, 0.25, -1, 2000])),
                (9, dict(label='dog', word='', n=-3, x=1e300, flag=False, at=12, emb=[1, 1, 1, 1]))], 'rows of csv %s' % f)
    text('r.jsonl', '{"_anchor": 20, "label": "caf\\u00e9 \\ud83d\\ude00", "emb": [1, -1, 0.5, 2], "n": null, "flag": false}\n\n'
         '{"_anchor":21,"emb":[1,0,0,0],"label":"x","word":"\\"q\\"\\n","n":-9223372036854775808,"x":1.5}')
    ok('append', 'main', '--rows', 'r.jsonl')
    f = [r['fields'] for r in rows_of('scan', 'main', '--start', 20)]
    check([r['label'] for r in f] == ['café 😀', 'x'] and f[1]['word'] == '"q"\n' and f[1]['n'] == -2 ** 63 and f[0]['flag'] is False and f[0]['n'] is None,
          'rows of jsonl %s' % f)
    vectors('e.npy', unit(2, 4))
    ok('append', 'main', '--column', 'emb=e.npy', '--rows', text('mix.csv', 'label,n\na,1\nb,2\n'), '--anchor-start', 30)
    check([r['fields']['n'] for r in rows_of('scan', 'main', '--fields', 'n', '--start', 30)] == [1, 2], 'columns and rows together')
    before = tree('s/refs')
    for said, name, content in (('line 3|cells', 'r1.csv', 'label,n\na,1\nb\n'), ("line 2|'x'", 'r2.csv', 'label,n\na,x\n'), ('colour', 'r3.csv', 'label,colour\n'),
                                ('twice', 'r4.csv', 'label,label\na,b\n'), ('does not end', 'r5.csv', 'label,n\n"a,1\n'), ('empty', 'r6.csv', ''),
                                ('line 2|after a quoted', 'r7.csv', 'label,n\n"a"b,1\n'), ('all or none', 'r8.csv', '_anchor,label,emb\n1,a,"[1,2,3,4]"\n,b,"[1,2,3,4]"\n'),
                                ('line 1|JSON', 'r1.jsonl', '[1]\n'), ('line 2|does not end', 'r2.jsonl', '{"n":1}\n{"n":1\n'), ('line 1', 'r3.jsonl', '{"n":{"a":1}}\n'),
                                ('twice', 'r4.jsonl', '{"n":1,"n":2}\n'), ('after the JSON', 'r5.jsonl', '{"n":1} x\n'), ('4 numbers', 'r6.jsonl', '{"emb":[1,2]}\n'),
                                ('_anchor', 'r7.jsonl', '{"_anchor":-1}\n')):
        code = 4 if 'colour' in content else 1
        bad(code, said, 'append', 'main', '--rows', text(name, content))
    bad(2, '.csv', 'append', 'main', '--rows', 'e.npy')
    bad(1, '3 rows', 'append', 'main', '--column', 'emb=e.npy', '--rows', text('three.csv', 'label\na\nb\nc\n'))
    bad(2, 'one of them', 'append', 'main', '--rows', 'r.csv', '--anchor-start', 3)
    bad(2, 'has a --column too', 'append', 'main', '--column', 'emb=e.npy', '--rows', 'r.csv')
    check(tree('s/refs') == before, 'the Ref did not move')


def test_round_trip():
    """What export writes, append takes back, and the second export equals the first."""
    make_all_kinds()
    n = 300
    rows = unit(n, 4)
    labels = [rng.choice(['a', 'b,c', 'd"e', 'ü', ' x ']) for _ in range(n)]
    lines = []
    for i in range(n):
        row = {'_anchor': i * 3, 'label': labels[i], 'emb': rows[i]}
        for name, make in (('word', lambda: rng.choice(['', 'x\ny', 'q"', 'plain'])), ('n', lambda: rng.randrange(-10 ** 15, 10 ** 15)),
                           ('x', lambda: rng.gauss(0, 1e10)), ('flag', lambda: rng.random() < 0.5), ('at', lambda: rng.randrange(10 ** 18))):
            if rng.random() < 0.7:
                row[name] = make()
        lines.append(json.dumps(row))
    text('in.jsonl', '\n'.join(lines) + '\n')
    ok('append', 'main', '--rows', 'in.jsonl', '--batch', 70)
    for form in ('csv', 'jsonl'):
        ok('export', 'main', '--rows', 'out.' + form)
        make_all_kinds(store='s' + form)
        ok('append', 'main', '--rows', 'out.' + form, store='s' + form)
        ok('export', 'main', '--rows', 'again.' + form, store='s' + form)
        check(read('out.' + form) == read('again.' + form), form + ' comes back as it was')
        check(rows_of('scan', 'main') == rows_of('scan', 'main', store='s' + form), form + ': the same rows')
    out = ok('export', 'main', '--column', 'emb=e.npy', '--column', 'label=l.txt', '--column', 'x=x.npy', '--anchors', 'a.npy', '--column', 'n=n.csv').err
    check('NaN' in out, 'missing floats are told')
    flat, head = floats('e.npy')
    check("'shape': (300, 4)" in head and flat == [f32(x) for r in rows for x in r], 'exported vectors, by anchor')
    check(read('l.txt').decode().split('\n')[:-1] == labels, 'exported labels')
    check(struct.unpack('<300Q', read('a.npy')[128:]) == tuple(i * 3 for i in range(n)), 'exported anchors')
    check(read('n.csv').decode().count('\n') == 301, 'one column of csv')
    bad(1, 'no n', 'export', 'main', '--column', 'n=n.npy', '--column', 'label=l2.txt')
    check(not os.path.exists('n.npy') and not os.path.exists('l2.txt'), 'a failed export leaves no file')
    check(not any('.tmp-' in x for x in os.listdir('.')), 'no temporary file stays')
    bad(2, '.txt, .csv or .jsonl', 'export', 'main', '--column', 'label=l.npy')
    bad(2, 'no file', 'export', 'main')
    bad(1, 'line break', 'export', 'main', '--column', 'word=w.txt')
    bad(4, 'folder/e.npy', 'export', 'main', '--column', 'emb=folder/e.npy')
    ok('export', 'main', '--column', 'emb=s.npy', '--order', 'storage')
    check(sorted(floats('s.npy')[0]) == sorted(flat), 'storage order: the same numbers')
    ok('export', 'main', '--column', 'label=w.txt', '--where', 'label=a', '--start', 30)
    check(read('w.txt').decode() == 'a\n' * labels[10:].count('a'), 'export --where')
    d = rows_of('export', 'main', '--column', 'emb=e2.npy')[0]
    check(d == {'file': 'e2.npy', 'rows': 300, 'missing': 0}, 'export --json %s' % d)


def test_media():
    os.makedirs('in')
    payloads = []
    for i in range(7):
        payloads.append(bytes(rng.randrange(256) for _ in range([0, 1, 1024, 5000, 33, 70000, 2048][i])))
        text('in/%02d.jpg' % i, payloads[-1])
    text('in/.hidden', 'x')
    for name, keys in (('whole', ''), ('chunked', ',chunk=1k'), ('packed', ',pack=3')):
        ok('create', name, '--field', 'img:image' + keys, '--field', 'label:categorical,optional')
        ok('append', name, '--column', 'img=in', '--anchor-start', 5)
        got = rows_of('scan', name, '--fields', 'img')
        check([r['fields']['img']['size'] for r in got] == [len(p) for p in payloads], name + ': sizes')
        check(all(re.match('^d[a-z2-7]{52}$', r['fields']['img']['address']) for r in got), name + ': addresses')
        ok('export', name, '--column', 'img=out_' + name)
        files = sorted(os.listdir('out_' + name))
        check(files == ['%020d.jpg' % (5 + i) for i in range(7)] and [read('out_%s/%s' % (name, f)) for f in files] == payloads, name + ': payloads come back')
        check('1.0 kB' in ok('scan', name).out, name + ': a table shows sizes')
    text('in.jsonl', ''.join(json.dumps({'_anchor': 50 + i, 'img': 'in/%02d.jpg' % i, 'label': 'x'}) + '\n' for i in range(3)))
    ok('append', 'whole', '--rows', 'in.jsonl')
    check(rows_of('get', 'whole', 52, '--fields', 'img')[0]['fields']['img']['size'] == 1024, 'media by rows')
    bad(4, 'gone.jpg', 'append', 'whole', '--rows', text('gone.jsonl', '{"img":"gone.jpg"}\n'))
    bad(1, 'folder of files', 'append', 'whole', '--column', 'img=' + text('x.txt', 'a\n'))
    os.makedirs('in/sub')
    bad(1, 'files only', 'append', 'whole', '--column', 'img=in')
    ok('verify', 'whole')


def test_layers():
    for folder in ('in', 'thumbs', 'more'):
        os.makedirs(folder)
        for i in range(4):
            text('%s/%d.jpg' % (folder, i), '%s %d' % (folder, i))
    ok('create', 'main', '--field', 'img:image')
    ok('append', 'main', '--column', 'img=in', '--anchor-start', 0)
    bad(2, '--anchors', 'add-field', 'main', '--field', 'thumb:image', '--layer-of', 'img', '--column', 'thumb=thumbs')
    bad(2, 'thumb=FILE', 'add-field', 'main', '--field', 'thumb:image', '--layer-of', 'img', '--column', 'img=thumbs')
    bad(2, '--layer-of', 'add-field', 'main', '--field', 'thumb:image', '--column', 'thumb=thumbs', '--anchor-start', 0)
    d = rows_of('add-field', 'main', '--field', 'thumb:image', '--layer-of', 'img', '--column', 'thumb=thumbs', '--anchor-start', 2)[0]
    check({f['field']: f['layer'] for f in d['fields']} == {'img': False, 'thumb': True}, 'a layer')
    check(rows_of('count', 'main', 'thumb') == [{'count': 4}] and rows_of('count', 'main') == [{'count': 6}], 'its first rows')
    bad(2, 'another field', 'append', 'main', '--into', 'thumb', '--column', 'img=more', '--anchor-start', 6)
    ok('append', 'main', '--into', 'thumb', '--column', 'thumb=more', '--anchor-start', 6)
    ok('export', 'main', '--column', 'thumb=out')
    check([read('out/' + f) for f in sorted(os.listdir('out'))] == [b'%s %d' % (x, i) for x in (b'thumbs', b'more') for i in range(4)], 'payloads of the layer')
    ok('append', 'main', '--column', 'img=more', '--anchor-start', 20)
    check(rows_of('count', 'main') == [{'count': 14}], 'the base goes on')
    ok('verify', 'main', '--history', 'all')


def test_batches():
    ok('create', 'main', '--field', 'n:int')
    numbers('n.npy', list(range(1000)))
    d = rows_of('append', 'main', '--column', 'n=n.npy', '--anchor-start', 0, '--batch', 300)[0]
    check(d['rows'] == 1000 and d['batches'] == 4, 'four commits')
    check(rows_of('count', 'main') == [{'count': 1000}] and len(rows_of('log', 'main')) == 5, 'rows and Manifests')
    ok('append', 'main', '--column', 'n=n.npy', '--batch', 300, '--now-ns', 10 ** 9)
    got = [r['anchor'] for r in rows_of('scan', 'main', '--start', 10 ** 9)]
    check(got == [10 ** 9 + 1000 * i for i in range(1000)], 'drawn anchors stay apart across batches')
    text('r.jsonl', '{"n":1}\n' * 600 + '{"n":"x"}\n')
    before = tree('s/refs')
    bad(1, 'line 601', 'append', 'main', '--rows', 'r.jsonl', '--batch', 100)
    check(tree('s/refs') == before, 'a malformed line late in the file is found before the first commit')
    d = run('append', 'main', '--column', 'n=' + text('late.txt', '1\n' * 250 + 'x\n'), '--batch', 100, '--anchor-start', 5000)
    check(d.code == 1 and 'the first 200 of 251 rows are in' in d.err, 'what has landed is told: ' + d.err)


# ---- Tests: search and predicates ------------------------------------------------------------------------------------

def test_query():
    rows = unit(400, 8)
    vectors('v.npy', rows)
    ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=10', '--field', 'n:int', '--field', 'label:categorical')
    text('r.csv', 'n,label\n' + ''.join('%d,%s\n' % (i, 'abc'[i % 3]) for i in range(400)))
    ok('append', 'main', '--column', 'emb=v.npy', '--rows', 'r.csv', '--anchor-start', 0)

    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b))
        return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5

    def best(q, k, keep=lambda i: True):
        return sorted((i for i in range(400) if keep(i)), key=lambda i: -cosine(q, rows[i]))[:k]
    queries = unit(3, 8)
    vectors('q.npy', queries)
    got = rows_of('query', 'main', 'emb', '--vector', 'q.npy', '--exact', '--top-k', 7, '--fields', 'n,label')
    check([g['query'] for g in got] == [0, 1, 2], 'an object a query')
    for g, q in zip(got, queries):
        check([h['anchor'] for h in g['hits']] == best(q, 7), 'the exact neighbours')
        check(all(near(h['score'], cosine(q, rows[h['anchor']])) for h in g['hits']), 'scores')
        check(all(h['fields'] == {'n': h['anchor'], 'label': 'abc'[h['anchor'] % 3]} for h in g['hits']), 'fields of hits')
    got = rows_of('query', 'main', 'emb', '--vector', 'q.npy', '--exact', '--where', 'n<200 and (label=a or label in (b))', '--where', 'n != 5')
    check([[h['anchor'] for h in g['hits']] for g in got] == [best(q, 10, lambda i: i < 200 and i % 3 < 2 and i != 5) for q in queries], 'with a predicate')
    check('fields' not in got[0]['hits'][0], 'no fields without --fields')
    text('q.fvecs', b''.join(struct.pack('<i8f', 8, *q) for q in queries))
    inline = '[' + ','.join(map(repr, queries[0])) + ']'
    a = rows_of('query', 'main', 'emb', '--vector', 'q.npy')
    check(a == rows_of('query', 'main', 'emb', '--vector', 'q.fvecs'), '.fvecs')
    check(a[0] == rows_of('query', 'main', 'emb', '--vector', inline)[0], 'numbers on the command line')
    check(a[0] == rows_of('query', 'main', 'emb', '--vector', npy('one.npy', '<f4', (8,), struct.pack('<8f', *queries[0])))[0], 'a single vector of one dimension')
    got = rows_of('query', 'main', 'emb', '--anchor', '17,3', '--top-k', 1)
    check([g['hits'][0]['anchor'] for g in got] == [17, 3] and near(got[0]['hits'][0]['score'], 1), 'stored vectors find themselves')
    for recall in ('0.5', '0.95', '1'):
        check(len(rows_of('query', 'main', 'emb', '--anchor', 17, '--recall', recall)[0]['hits']) > 0, 'recall ' + recall)
    check(len(rows_of('query', 'main', 'emb', '--anchor', 17, '--proven')[0]['hits']) > 0, 'proven')
    bad(2, 'recall', 'query', 'main', 'emb', '--anchor', 1, '--recall', '1.5')
    bad(2, 'recall', 'query', 'main', 'emb', '--anchor', 1, '--recall', 'high')
    bad(2, 'one of them', 'query', 'main', 'emb', '--recall', '0.9', '--nprobe', '3', '--anchor', '1')
    for nprobe in ('1', '10', 'auto'):
        check(len(rows_of('query', 'main', 'emb', '--anchor', 17, '--nprobe', nprobe)[0]['hits']) > 0, 'nprobe ' + nprobe)
    got = rows_of('query', 'main', 'emb', '--anchor', 17, '--nprobe', 2, '--explain')
    check(len(got) == 2 and got[1]['explain']['cells_probed'] == 2, 'explain %s' % got[1:])
    d = ok('query', 'main', 'emb', '--anchor', 17, '--fields', 'label', '--explain')
    check(d.out.startswith('query') and 'cells_probed' in d.out and len(d.out.splitlines()) > 11, 'a table for people')
    check(rows_of('query', 'main', 'emb', '--anchor', 17, '--where', 'n > 1000')[0]['hits'] == [], 'no hit')
    bad(4, 'anchor 999', 'query', 'main', 'emb', '--anchor', 999)
    bad(2, 'give --vector', 'query', 'main', 'emb')
    bad(2, 'give --vector', 'query', 'main', 'emb', '--anchor', 1, '--vector', 'q.npy')
    bad(2, '8 numbers', 'query', 'main', 'emb', '--vector', '[1,2]')
    bad(1, '8', 'query', 'main', 'emb', '--vector', vectors('w.npy', unit(1, 7)))
    bad(1, '', 'query', 'main', 'emb', '--vector', '[0,0,0,0,0,0,0,0]')
    bad(4, "'nope'", 'query', 'main', 'nope', '--anchor', 1)
    bad(2, 'only embeddings', 'query', 'main', 'n', '--anchor', 1)
    bad(2, '--top-k', 'query', 'main', 'emb', '--anchor', 1, '--top-k', 0)
    bad(2, '--nprobe', 'query', 'main', 'emb', '--anchor', 1, '--nprobe', 'many')


def test_where():
    ok('create', 'main', '--field', 'n:int', '--field', 'x:float', '--field', 's:string', '--field', 'c:categorical', '--field', 'b:bool', '--field', 't:timestamp')
    values = []
    for i in range(60):
        values.append(dict(n=i - 30, x=(i % 7) / 2, s=rng.choice(['', 'a', 'b c', "it's", 'and', 'x)']), c='red green blue'.split()[i % 3], b=i % 2 == 0, t=i * 10 ** 9))
    text('r.jsonl', ''.join(json.dumps(dict(v, _anchor=i)) + '\n' for i, v in enumerate(values)))
    ok('append', 'main', '--rows', 'r.jsonl')
    for where, keep in (
            ('n=3', lambda v: v['n'] == 3), ('n == -30', lambda v: v['n'] == -30), ('n!=0', lambda v: v['n'] != 0), ('n<>0', lambda v: v['n'] != 0),
            ('n<-20', lambda v: v['n'] < -20), ('n>=20', lambda v: v['n'] >= 20), ('n<=-20 or n>25', lambda v: v['n'] <= -20 or v['n'] > 25),
            ('x>=2.5', lambda v: v['x'] >= 2.5), ('x=0.5', lambda v: v['x'] == 0.5), ("s='b c'", lambda v: v['s'] == 'b c'), ("s=''", lambda v: v['s'] == ''),
            ("s='it\\'s' or s=\"x)\"", lambda v: v['s'] in ("it's", 'x)')), ('s="and" and c!=red', lambda v: v['s'] == 'and' and v['c'] != 'red'),
            ('s>a', lambda v: v['s'] > 'a'), ('c in (red,blue)', lambda v: v['c'] in ('red', 'blue')), ('c IN ( red )', lambda v: v['c'] == 'red'), ('c in ()', lambda v: False),
            ('b=true', lambda v: v['b']), ('b=0', lambda v: not v['b']), ('b<true', lambda v: not v['b']), ('t>=1970-01-01T00:00:50Z', lambda v: v['t'] >= 50 * 10 ** 9),
            ('t<1000000000', lambda v: v['t'] < 10 ** 9), ('n>0 and n<9 or c=red and b=1', lambda v: 0 < v['n'] < 9 or (v['c'] == 'red' and v['b'])),
            ('(n>0 and (n<9 or c=red)) and ((b=1))', lambda v: v['n'] > 0 and (v['n'] < 9 or v['c'] == 'red') and v['b']), ('n in (1,2,-3)', lambda v: v['n'] in (1, 2, -3))):
        got = [r['anchor'] for r in rows_of('scan', 'main', '--fields', 'n', '--where', where)]
        check(sorted(got) == [i for i, v in enumerate(values) if keep(v)], 'scan --where %r: %s' % (where, got))
        check(rows_of('count', 'main', '--where', where) == [{'count': len(got)}], 'count --where %r' % where)
    for where, said in (('', 'field'), ('n', 'wanted'), ('n=', 'value'), ('n=x', 'kind int'), ('x=abc', 'kind float'), ('b=maybe', 'kind bool'), ('n=1 n=2', 'and, or'), ('(n=1', "')'"),
                        ('n=1)', 'and, or'), ('n in 1', "'('"), ('n in (1 2)', "','"), ("s='a", 'does not end'), ('n=1 and', 'field'), ('=1', 'field'),
                        ('(' * 200 + 'n=1' + ')' * 200, 'parentheses'), ('n=99999999999999999999', 'kind int')):
        bad(2, said, 'scan', 'main', '--where', where)
    bad(4, "'zz'", 'count', 'main', '--where', 'zz=1')


# ---- Tests: history, health ------------------------------------------------------------------------------------------

def test_history():
    ok('create', 'main', '--field', 'n:int')
    numbers('n.npy', [1, 2])
    states = [rows_of('inspect', 'main')[0]['manifest']]
    for i in range(3):
        states.append(rows_of('append', 'main', '--column', 'n=n.npy', '--anchor-start', 10 * i)[0]['manifest'])
        if i == 1:
            d = rows_of('snapshot', 'main', 'v1')[0]
            check(d['ref'] == 'main@v1' and d['manifest'] == states[2], 'snapshot')

    def count(ref):
        return rows_of('count', ref)[0]['count']
    check([count('main'), count('main~1'), count('main~2'), count('main~3'), count('main@v1'), count('main@v1~1')] == [6, 4, 2, 0, 4, 2], 'older states')
    check([count(s) for s in states] == [0, 2, 4, 6], 'states by address')
    log = rows_of('log', 'main')
    check([e['manifest'] for e in log] == states[::-1] and log[-1]['parents'] == [] and log[0]['parents'] == [states[2]], 'log')
    check(all(e['ts_ns'] > 10 ** 18 and 'writer' in e for e in log), 'log: times and writers')
    check(len(rows_of('log', 'main', '--limit', 2)) == 2 and len(rows_of('log', 'main@v1')) == 3, 'log --limit and of a snapshot')
    ok('branch', 'main', 'work/side')
    ok('branch', 'main@v1', 'old')
    ok('branch', 'main~1', 'before')
    here = states[2]
    ok('branch', here, 'by-address')
    made = {r['ref']: r['manifest'] for r in rows_of('refs')}
    check(made['before'] == here == made['by-address'], 'a branch starts at any state')
    ok('delete-ref', 'before')
    ok('delete-ref', 'by-address')
    ok('append', 'old', '--column', 'n=n.npy', '--anchor-start', 100)
    check(count('old') == 6 and count('main@v1') == 4 and count('work/side') == 6, 'branches')
    refs = rows_of('refs')
    check([r['ref'] for r in refs] == ['main', 'main@v1', 'old', 'work/side'], 'refs %s' % refs)
    check(refs[1]['manifest'] == states[2], 'refs: addresses')
    bad(1, 'v1', 'snapshot', 'main', 'v1')
    bad(1, 'old', 'branch', 'main', 'old')
    bad(2, '', 'branch', 'main', 'Bad Name')
    bad(2, 'kept state', 'append', 'main@v1', '--column', 'n=n.npy')
    bad(4, '', 'count', 'main~9')
    bad(4, 'nope', 'count', 'nope')
    bad(4, '', 'count', 'main@v2')
    bad(2, 'no state', 'count', 'main~x')
    bad(4, 'not in this store', 'count', states[0][:20] + 'aaaa' + states[0][24:])
    ok('delete-ref', 'main@v1')
    bad(4, '', 'count', 'main@v1')
    bad(4, 'main@v1', 'delete-ref', 'main@v1')
    check('old' in ok('refs').out and 'back' in ok('log', 'main').out, 'tables')
    d = rows_of('delete', 'main', 0, 10, '10,999', '--reason', 'asked for')[0]
    check((d['deleted'], d['again'], d['manifest']) == (3, 0, rows_of('inspect', 'main')[0]['manifest']), 'delete')
    check(count('main') == 4 and count('main~1') == 6 and count('old') == 6, 'delete: this state and no other')
    bad(4, 'not in main', 'get', 'main', '10')
    bad(1, 'anchor 10 is deleted', 'append', 'main', '--column', 'n=n.npy', '--anchor-start', 10)
    check(rows_of('delete', 'main', '--where', 'n=2')[0]['deleted'] == 3 and count('main') == 1, 'delete --where')
    check('nothing is deleted' in ok('delete', 'main', '--where', 'n=2').out, 'delete --where that meets nothing')
    np_gone = text('gone.csv', '1\n')
    bad(2, 'no anchor', 'delete', 'main')
    bad(2, 'not both', 'delete', 'main', 1, '--where', 'n=2')
    bad(2, '256 bytes', 'delete', 'main', 1, '--reason', 'x' * 257)
    bad(2, 'is no anchor', 'delete', 'main', '--anchors', np_gone)
    bad(4, 'nope', 'delete', 'main', '--where', 'nope=2')
    check('1 anchor of' in ok('delete', 'main', 12345).out and count('main') == 1 and ok('verify', 'main').code == 0, 'delete: table and verify')
    ok('delete-ref', 'old')
    ok('add-field', 'main', '--field', 'word:string')
    ok('append', 'main', '--rows', text('w.csv', '_anchor,n,word\n70,5,hi\n'))
    check(rows_of('get', 'main', '70,20') == [{'anchor': 20, 'fields': {'n': 1, 'word': None}}, {'anchor': 70, 'fields': {'n': 5, 'word': 'hi'}}], 'a field added later')
    bad(1, 'word', 'add-field', 'main', '--field', 'word:string')


def test_train():
    rows = unit(500, 6)
    vectors('v.npy', rows)
    ok('create', 'main', '--field', 'emb:embedding,dim=6,bits=4')
    ok('append', 'main', '--column', 'emb=v.npy', '--anchor-start', 0, '--batch', 200)
    before = sorted(map(json.dumps, rows_of('scan', 'main')))
    d = rows_of('train', 'main', 'emb', '--k', 12)[0]
    check(d['fields'][0]['k'] == 12 and d['fields'][0]['bits'] == 24, 'a trained index %s' % d['fields'][0])
    check(sorted(map(json.dumps, rows_of('scan', 'main'))) == before, 'the rows are the same')
    check(rows_of('query', 'main', 'emb', '--anchor', 77, '--top-k', 1)[0]['hits'][0]['anchor'] == 77, 'they are found')
    ok('append', 'main', '--column', 'emb=v.npy', '--anchor-start', 1000)
    d = rows_of('train', 'main', 'emb', '--sample', 'v.npy', '--k', 5, '--seed', 9, '--key-bits', 'auto')[0]
    check(d['fields'][0]['k'] == 5 and d['fields'][0]['bits'] == 3, 'trained on a file, narrow keys')
    check(rows_of('count', 'main') == [{'count': 1000}], 'all rows are there')
    ok('verify', 'main')
    bad(4, "'nope'", 'train', 'main', 'nope')
    bad(1, '', 'train', 'main', 'emb', '--k', 2000)
    bad(1, '6', 'train', 'main', 'emb', '--sample', vectors('w.npy', unit(9, 5)))


def test_words():
    """Messages: notes after success only, JSON for errors with --json, the command's own words, no table without rows."""
    vectors('v.npy', unit(20, 4))
    d = run('create', 'main', '--field', 'e:embedding,dim=4,bits=900')
    check(d.code == 2 and 'note' not in d.err, 'no note before a failure: %s' % d.err)
    d = ok('create', 'main', '--field', 'e:embedding,dim=4', '--field', 'f:embedding,dim=4,rows=5000', '--json')
    notes = [json.loads(x)['note'] for x in d.err.splitlines()]
    check(len(notes) == 2 and 'field e has an LSH index of 20 bits' in notes[0] and 'field f has an LSH index;' in notes[1], 'notes: %s' % notes)
    ok('append', 'main', '--column', 'e=v.npy', '--column', 'f=v.npy', '--anchor-start', 0)
    for args, code, said in ((('scan', 'nix'), 4, 'nix'), (('nope',), 2, "unknown verb 'nope'"), (('create', 'x', '--field', 'a"b:x'), 2, 'a"b:x'),
                             (('query', 'main', 'e', '--vector', '[1,2]'), 2, '4 numbers'), (('scan', 'main', '--nix'), 2, '--nix'),
                             (('create', 'x', '--field', b'\xff\xfe'), 2, '??')):
        for where in (0, 1):
            d = Done(args, *(lambda p: (p.returncode, p.stdout, p.stderr))(subprocess.run(
                [DREAMDB, '--store', 's'] + (['--json'] if where else []) + list(args) + ([] if where else ['--json']), capture_output=True)))
            e = json.loads(d.err) if d.err.count('\n') == 1 else {}
            check(d.code == code and e.get('exit') == code and said in e.get('error', '') and not d.out, '--json: %s: %s %s' % (args, d.code, d.err))
    bad(4, 'only 1 state before', 'inspect', 'main~2')
    npy('flat.npy', '<f4', (4,), struct.pack('<4f', 1, 2, 3, 4))
    bad(1, 'flat.npy|[rows][dim]', 'create', 'x', '--field', 'e:embedding,train=flat.npy')
    bad(1, 'flat.npy|[rows][4]', 'append', 'main', '--column', 'e=flat.npy')
    ok('query', 'main', 'e', '--vector', 'flat.npy')
    bad(1, 'none.npy|no rows', 'query', 'main', 'e', '--vector', npy('none.npy', '<f4', (0, 4), b''))
    bad(2, 'from 1 to 4294967294', 'create', 'x', '--field', 'e:embedding,dim=99999999999')
    ok('create', 'first', '--field', 'n:int')
    bad(4, 'no state before', 'inspect', 'first~1')
    help_text = ok('help', 'query').out.splitlines()
    check(all(x[37:38] != ' ' and (x[36:37] == ' ' or len(x) <= 36) or x.strip() == x[2:] and not x[2:].count('  ')
              for x in help_text if x.startswith('  --')), 'one column of help')


def test_compressors():
    rows = [[f32(x / sum(y * y for y in r) ** .5) for x in r] for r in unit(600, 8)]      # rabitq is made for vectors of length 1
    vectors('v.npy', rows)
    vectors('odd.npy', unit(50, 7))
    bad(2, 'even dim', 'create', 'main', '--field', 'emb:embedding,index=imi,train=odd.npy')
    bad(2, 'divides dim', 'create', 'main', '--field', 'emb:embedding,compressor=pq,m=3,train=v.npy')
    bad(2, '50 training rows|pq_k = 256', 'create', 'main', '--field', 'emb:embedding,compressor=pq,m=7,train=odd.npy')
    bad(2, 'm=3 k=256', 'create', 'main', '--field', 'emb:embedding,compressor=pq,m=3,train=v.npy')
    bad(2, 'k_sub = 700', 'create', 'main', '--field', 'emb:embedding,index=imi,k_sub=700,train=v.npy')
    bad(2, '81 cells', 'create', 'main', '--field', 'emb:embedding,index=imi,k_sub=9,key_bits=4,train=v.npy')
    bad(1, 'dim 8193 is above 8192', 'create', 'main', '--field', 'emb:embedding,dim=8193,compressor=rabitq')
    ok('create', 'main', '--field', 'a:embedding,train=v.npy,k=6,compressor=rabitq,bits_per_dim=8,rerank',
       '--field', 'b:embedding,index=imi,train=v.npy,k_sub=3', '--field', 'c:embedding,index=lsh,bits=3,train=v.npy,compressor=pq,m=4,pq_k=32',
       '--field', 'd:embedding,train=v.npy,k=4,compressor=rabitq,compressor_seed=7')
    ok('append', 'main', *sum((['--column', x + '=v.npy'] for x in 'abcd'), []), '--anchor-start', 0)
    f = {f['field']: f for f in rows_of('inspect', 'main')[0]['fields']}
    check(f['a']['compressor']['kind'] == 'rabitq' and f['a']['compressor']['bits_per_dim'] == 8 and f['a']['compressor']['code_bytes'] == 8, 'inspect a')
    check(f['b']['algorithm'] == 'dreamdb.imi-cosine' and f['b']['k'] == 9 and 'compressor' not in f['b'], 'inspect b')
    check(f['c']['compressor']['m'] == 4 and f['c']['compressor']['k'] == 32 and f['c']['bits'] == 3, 'inspect c')
    check(f['d']['compressor']['factors'] and f['d']['compressor']['code_bytes'] == 5, 'inspect d')
    check(all(f[x]['rows'] == 600 for x in 'abcd'), 'rows are counted')
    d = ok('inspect', 'main').out
    check('rabitq of 8 bits, rerank' in d and 'pq of 4 bytes, k 32' in d and 'rabitq of 1 bit with factors' in d and 'imi, k 9' in d, d)
    exact = [h['anchor'] for h in rows_of('query', 'main', 'b', '--anchor', 5, '--exact')[0]['hits']]
    check([h['anchor'] for h in rows_of('query', 'main', 'a', '--vector', '[%s]' % ','.join(map(repr, rows[5])), '--exact')[0]['hits']] == exact,
          'sidecars give the exact neighbours')
    q = ['--vector', '[%s]' % ','.join(map(repr, rows[5]))]
    got = rows_of('query', 'main', 'a', *q, '--nprobe', 6, '--rerank-pool', 100, '--explain')
    check([h['anchor'] for h in got[0]['hits']] == exact and got[1]['explain']['reranked'] == 100, 'a pool of 100 is reranked')
    got = rows_of('query', 'main', 'a', *q, '--nprobe', 6, '--rerank-mode', 'approximate', '--explain')
    check(got[0]['hits'][0]['anchor'] == 5 and got[1]['explain']['reranked'] == 0, 'by the codes alone')
    check(len(set(exact) & {h['anchor'] for h in got[0]['hits']}) > 7, '8 bits find nearly the same')
    d = bad(1, 'rerank must be approximate', 'query', 'main', 'c', *q, '--rerank-mode', 'exact')
    check(d.out == '', 'no head of a table before an error: %r' % d.out)
    bad(2, 'none of inherit', 'query', 'main', 'a', *q, '--rerank-mode', 'never')
    bad(1, 'at least top_k', 'query', 'main', 'a', *q, '--rerank-pool', 3)
    for x in 'cd':
        check(rows_of('query', 'main', x, *q, '--exact', '--top-k', 3)[0]['hits'], 'codes of ' + x)
    got = [r['fields']['a'] for r in rows_of('scan', 'main', '--fields', 'a', '--order', 'anchor')]
    check(len(got) == 600 and all(abs(x - y) < .05 for g, r in zip(got, rows) for x, y in zip(g, r)) and got[0] != rows[0], 'scan gives decoded vectors')
    check(got == [r['fields']['a'] for r in sorted(rows_of('scan', 'main', '--fields', 'a', '--order', 'storage'), key=lambda r: r['anchor'])], 'in storage order too')
    check(rows_of('get', 'main', 3, '--fields', 'a')[0]['fields']['a'] == got[3], 'get too')
    ok('train', 'main', 'a', '--k', 9)
    ok('train', 'main', 'b', '--k', 2)
    ok('train', 'main', 'c', '--index', 'imi', '--k', 3)
    f = {f['field']: f for f in rows_of('inspect', 'main')[0]['fields']}
    check((f['a']['k'], f['b']['k'], f['c']['k']) == (9, 4, 9) and f['c']['algorithm'] == 'dreamdb.imi-cosine', 'trained anew')
    check(got == [r['fields']['a'] for r in rows_of('scan', 'main', '--fields', 'a', '--order', 'anchor')], 'the codes stay')
    check([h['anchor'] for h in rows_of('query', 'main', 'a', *q, '--exact')[0]['hits']] == exact, 'and so do the sidecars')
    bad(2, 'neither ivf nor imi', 'train', 'main', 'a', '--index', 'lsh')
    bad(1, 'RaBitQ', 'train', 'main', 'a', '--compressor')
    bad(1, 'no compressor', 'train', 'main', 'b', '--compressor')
    bad(1, 'codes alone', 'train', 'main', 'c', '--compressor')
    ok('create', 'other', '--field', 'p:embedding,train=v.npy,k=4,compressor=pq,m=4,pq_k=16,rerank', store='s2')
    ok('append', 'other', '--column', 'p=v.npy', '--anchor-start', 0, store='s2')
    old = rows_of('inspect', 'other', store='s2')[0]['fields'][0]['compressor']
    ok('train', 'other', 'p', '--k', 5, store='s2')
    check(rows_of('inspect', 'other', store='s2')[0]['fields'][0]['compressor'] == old, 'train keeps the codebooks')
    ok('train', 'other', 'p', '--k', 5, '--compressor', '--seed', 3, store='s2')
    new = rows_of('inspect', 'other', store='s2')[0]['fields'][0]['compressor']
    check(new != old and new['m'] == 4 and new['k'] == 16, '--compressor trains them anew: %s' % new)
    check([h['anchor'] for h in rows_of('query', 'other', 'p', '--vector', '[%s]' % ','.join(map(repr, rows[5])), '--exact', store='s2')[0]['hits']] == exact, 'exact after it')
    ok('verify', 'other', '--history', 'all', store='s2')
    bad(2, 'layer', 'add-field', 'main', '--field', 'e:embedding,train=v.npy,compressor=rabitq')
    bad(2, 'always compressed', 'add-field', 'main', '--field', 'e:embedding,train=v.npy', '--layer-of', 'a')
    ok('add-field', 'main', '--field', 'e:embedding,train=v.npy,k=5,compressor=rabitq,bits_per_dim=4,rerank', '--layer-of', 'a', '--column', 'e=v.npy', '--anchor-start', 0)
    f = {f['field']: f for f in rows_of('inspect', 'main')[0]['fields']}
    check(f['e']['layer'] and f['e']['rows'] == 600 and f['e']['modality'] == 'embedding.f32.dim=8.bucketed.version=5', 'a layer: %s' % f['e']['modality'])
    vectors('more.npy', unit(10, 8))
    ok('append', 'main', '--into', 'e', '--column', 'e=more.npy', '--anchor-start', 1000)
    check(rows_of('count', 'main', 'e') == [{'count': 610}], 'more of the layer')
    check([h['anchor'] for h in rows_of('query', 'main', 'e', *q, '--exact')[0]['hits']][0] == 5, 'the layer is searched')
    ok('add-field', 'main', '--field', 'g:embedding,dim=8,bits=4,compressor=rabitq', '--layer-of', 'e')
    d = rows_of('stats', 'main')[0]
    check([x['records'] for x in d['fields'] if x['field'] == 'c'] == [600], 'stats counts codes: %s' % d['fields'])
    ok('verify', 'main', '--history', 'all')
    bad(1, 'rerank must be approximate', 'query', 'main', 'c', *q, '--rerank-mode', 'exact', '--exact')
    cut = [p for p in sorted(tree('s')) if p.startswith('spatial-index/')] + [next(p for p in sorted(tree('s')) if re.search(r'embedding[^/]*/[01]+/', p))]
    for p in cut:
        text('s/' + p, read('s/' + p)[:-1])
    d = run('verify', 'main', '--history', 9)
    check(d.code == 5 and all(os.path.basename(p) in d.out for p in cut), 'damaged indexes do not hide other damage: %s' % d.out)
    check(run('log', 'main').code == 0 and run('inspect', 'main').code == 0, 'log and inspect work beside a damaged index')
    d = run('query', 'main', 'a', *q)
    check(d.code == 5 and 'spatial-index/' in d.err, 'a query names the damaged index')


def test_verify_and_stats():
    rows = unit(300, 5)
    vectors('v.npy', rows)
    ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=6', '--field', 'n:int', '--field', 'c:categorical')
    text('r.csv', 'n,c\n' + ''.join('%d,%s\n' % (i % 50, i % 4) for i in range(300)))
    ok('append', 'main', '--column', 'emb=v.npy', '--rows', 'r.csv', '--anchor-start', 0, '--batch', 100)
    d = rows_of('verify', 'main')[0]
    all_bytes = sum(len(x) for x in tree('s').values())
    check(d['faults'] == [] and d['objects'] > 20, 'nothing is wrong')
    check(0 < d['bytes'] <= all_bytes, 'verify counts each object once: %d bytes of %d' % (d['bytes'], all_bytes))
    check(rows_of('verify', 'main', '--history', 'all')[0]['manifests'] == 4, 'all Manifests')
    check('no fault' in ok('verify', 'main').out, 'verify for people')
    s = rows_of('stats', 'main')[0]
    f = {x['field']: x for x in s['fields']}
    check(f['emb']['records'] == 300 and f['emb']['cells'] <= 6 and f['emb']['fragments_max'] == 3, 'stats of emb %s' % f['emb'])
    check(f['n']['rows'] == 150 and f['c']['rows'] == 12, 'rows of scalars: one a value a commit %s %s' % (f['n'], f['c']))
    check(f['emb']['bytes'] >= 300 * 28 and any(c['class'] == 'bucket' and c['objects'] > 0 for c in s['classes']), 'bytes and classes')
    check('fragments' in ok('stats', 'main').out, 'stats for people')
    i = {x['field']: x for x in rows_of('inspect', 'main')[0]['fields']}
    check(i['emb']['rows'] == 300 and i['n']['coverage'] == [0, 300], 'inspect %s' % i)
    wrong = 0
    for path in sorted(tree('s')):
        if not path.startswith('refs') and '/' in path and os.path.getsize('s/' + path) > 200 and 'bao' not in path:
            raw = bytearray(read('s/' + path))
            at = rng.randrange(len(raw))
            raw[at] ^= 1 << rng.randrange(8)
            shutil.copy('s/' + path, 'keep')
            text('s/' + path, bytes(raw))
            d = run('verify', 'main', '--json', '--history', 'all')
            if d.code != 5 or os.path.basename(path)[:40] not in d.out + d.err:
                wrong += 1
                print('     not named: %s byte %d, exit %d: %s%s' % (path, at, d.code, d.out[:200], d.err[:200]))
            shutil.copy('keep', 's/' + path)
    check(wrong == 0, '%d damaged objects were not named' % wrong)
    bucket = next(p for p in sorted(tree('s')) if re.search(r'embedding[^/]*/[01]+/', p))
    text('s/' + bucket, read('s/' + bucket)[:-1])
    d = run('verify', 'main')
    check(d.code == 5 and os.path.basename(bucket) in d.out, 'an object cut short is named')
    d = run('scan', 'main', '--fields', 'emb')
    check(d.code == 5 and os.path.basename(bucket) in d.err, 'scan refuses it: %s' % d.err)
    os.remove('s/' + bucket)
    d = run('verify', 'main')
    check(d.code == 5 and os.path.basename(bucket) in d.out, 'a missing object is named')
    shutil.copy('s/refs/main', 's/refs/third')
    text('s/refs/main', b'x' * 33)
    check(run('count', 'main').code == 5, 'a malformed Ref')
    text('s/refs/other', b'junk')
    d = run('refs')
    check(d.code == 5 and 'refs/other' in d.err and 'third' in d.out and 'delete-ref' in d.err, 'refs tells of a malformed Ref and lists the others')


def test_ada():
    rows = unit(1200, 6)
    vectors('v.npy', rows)
    vectors('w.npy', [[x + 0.3 * y for x, y in zip(rows[i % 3], rows[i])] for i in range(900)])
    ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=30', '--field', 'n:int,optional')
    check(rows_of('ada-ivf-step', 'main')[0]['outcome'] == 'nothing', 'nothing to do without rows')
    ok('append', 'main', '--column', 'emb=v.npy', '--anchor-start', 0, '--batch', 400)
    ok('append', 'main', '--column', 'emb=w.npy', '--anchor-start', 5000, '--batch', 300)
    ok('delete', 'main', *range(0, 200, 2))
    b = rows_of('ada-ivf-status', 'main', '--deep', '--sample', 500)[0]
    check(b['records'] == 2100 and b['k'] == 30 and b['deleted'] == 100 and b['moved'] == 0 and b['overpopulated'] > 0, 'status %s' % b)
    plan = rows_of('ada-ivf-step', 'main', '--dry-run')[0]
    check(plan['splits'] == b['splits'] > 0 and plan['objects'] == 0 and plan['dry_run'], 'dry run %s' % plan)
    before = rows_of('scan', 'main', '--fields', 'emb')
    hits = ok('query', 'main', 'emb', '--anchor', '7,5003', '--exact', '--json').out
    tip = tree('s')['refs/main']
    step = rows_of('ada-ivf-step', 'main', '--max-cells', 6, '--neighbours', 2, '--field', 'emb')[0]
    check(step['outcome'] == 'made' and step['generations'] == 2 and tree('s')['refs/main'] != tip, 'step %s' % step)
    check(step['k_after'] == 30 + step['created'] - step['merges'] and step['cells_written'] < 30, 'a step writes what it changes %s' % step)
    by_anchor = lambda found: sorted(found, key=lambda row: row['anchor'])
    check(by_anchor(rows_of('scan', 'main', '--fields', 'emb')) == by_anchor(before), 'every row is as it was')
    check(ok('query', 'main', 'emb', '--anchor', '7,5003', '--exact', '--json').out == hits, 'and every hit')
    check('no fault' in ok('verify', 'main').out and 'ada-ivf-status' in ok('inspect', 'main').out, 'verify and inspect after a step')
    check('generations' in ok('ada-ivf-status', 'main').out, 'status for people')
    for turn in range(12):
        last = rows_of('ada-ivf-step', 'main', '--exact', '--relineage')[0]
        if last['outcome'] == 'nothing':
            break
    check(last['outcome'] == 'nothing' and last['generations'] == 1, 'steps come to an end %s' % last)
    b = rows_of('ada-ivf-status', 'main', '--sample', 10000)[0]
    check(b['moved'] == 0 and b['generations'] == 1 and b['splits'] == 0 and b['balanced'] and b['k'] <= b['k_cap'], 'balanced %s' % b)
    check('nothing to do' in ok('ada-ivf-step', 'main').out, 'a step for people')
    few = [[x + 0.1 * y for x, y in zip(rows[5], rows[i])] for i in range(250)]
    vectors('f.npy', few)
    ok('append', 'main', '--column', 'emb=f.npy', '--anchor-start', 9000)
    check(rows_of('ada-ivf-step', 'main')[0]['outcome'] == 'nothing' == rows_of('ada-ivf-step', 'main', '--dry-run')[0]['outcome'], 'it waits')
    before = rows_of('scan', 'main', '--fields', 'emb')
    step = rows_of('ada-ivf-step', 'main', '--force')[0]
    check(step['splits'] > 0 and step['centred'] > 0, '--force %s' % step)
    check(by_anchor(rows_of('scan', 'main', '--fields', 'emb')) == by_anchor(before), 'still every row')
    bad(4, 'no field `no`', 'ada-ivf-status', 'main', '--field', 'no')
    bad(2, 'no embedding', 'ada-ivf-step', 'main', '--field', 'n')
    bad(2, '--k-max', 'ada-ivf-step', 'main', '--k-max', '0')
    ok('create', 'l', '--field', 'emb:embedding,dim=6,index=lsh')
    bad(2, 'train an ivf index', 'ada-ivf-step', 'l')
    check(rows_of('ada-ivf-status', 'l')[0]['index'] == 'lsh', 'status of lsh')
    ok('create', 'c', '--field', 'emb:embedding,train=v.npy,k=9,compressor=rabitq,bits_per_dim=4')
    bad(2, 'allow_lossy', 'ada-ivf-step', 'c')
    check(rows_of('ada-ivf-step', 'c', '--allow-lossy')[0]['outcome'] == 'nothing', '--allow-lossy')


def test_shards():
    rows = unit(900, 6)
    vectors('v.npy', rows)
    vectors('w.npy', [[x + 0.3 * y for x, y in zip(rows[i % 3], rows[i])] for i in range(600)])
    for store in ('s', 'one'):
        ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=30', '--nonce', '00' * 16, '--now-ns', 1000, store=store)
        ok('append', 'main', '--column', 'emb=v.npy', '--anchor-start', 0, '--now-ns', 2000, store=store)
        ok('append', 'main', '--column', 'emb=w.npy', '--anchor-start', 5000, '--now-ns', 3000, store=store)
    one = rows_of('ada-ivf-step', 'main', '--now-ns', 9000, store='one')[0]
    step = ('ada-ivf-step', 'main', '--job-id', 'n-1')
    bad(2, '--job-id', 'ada-ivf-step', 'main', '--shard', 0, '--of', 2)
    bad(2, '--job-id', 'ada-ivf-step', 'main', '--orchestrate')
    for wrong in ((), ('--finish',), ('--shard', 0), ('--of', 2), ('--orchestrate', '--shard', 0, '--of', 2)):
        bad(2, 'say --orchestrate', *step, *wrong)
    bad(2, 'from 0 to 1', *step, '--shard', 2, '--of', 2)
    bad(2, 'belongs to the plan', *step, '--shard', 0, '--of', 2, '--exact')
    bad(2, 'belongs to the plan', *step, '--orchestrate', '--finish', '--max-cells', 3)
    bad(2, 'belongs to the plan', *step, '--shard', 0, '--of', 2, '--force')
    bad(2, 'belongs to the plan', *step, '--orchestrate', '--finish', '--no-centre')
    bad(2, 'duration', *step, '--shard', 0, '--of', 2, '--wait', 'long')
    bad(2, 'duration', *step, '--orchestrate', '--expires', '0')
    bad(2, 'no job id', 'ada-ivf-step', 'main', '--job-id', '../x', '--orchestrate')
    bad(4, 'no job `n-1`', *step, '--shard', 0, '--of', 2)
    bad(4, 'no job `n-1`', *step, '--orchestrate', '--finish', '--wait', '1s')
    before = tree('s')
    dry = rows_of(*step, '--orchestrate', '--dry-run')[0]
    check(dry['splits'] == one['splits'] > 0 and tree('s') == before, 'a dry plan %s' % dry)
    plan = rows_of(*step, '--orchestrate', '--now-ns', 9000, '--expires', '12h')[0]
    check(plan['stage'] == 'planned' and not plan['again'] and plan['cells'] > 0 and plan['splits'] == one['splits'], 'plan %s' % plan)
    check(rows_of(*step, '--orchestrate')[0]['again'] and 'is there' in ok(*step, '--orchestrate').out, 'planned twice')
    bad(1, 'other options', *step, '--orchestrate', '--exact')
    first = rows_of(*step, '--shard', 0, '--of', 2)[0]
    check(first['stage'] == 'worked' and first['shard'] == 0 and first['of'] == 2 and 0 < first['cells_done'] < first['cells'], 'share %s' % first)
    check('was there already' in ok(*step, '--shard', 0, '--of', 2).out, 'a share twice')
    bad(4, 'missing shards: 1 of 2', *step, '--orchestrate', '--finish')
    check(rows_of('gc', '--dry-run')[0]['jobs'] == 1 and 'under way' in ok('gc', '--dry-run').out, 'gc knows of the job')
    check('share 1 of 2' in ok(*step, '--shard', 1, '--of', 2).out, 'a share for people')
    last = rows_of(*step, '--orchestrate', '--finish')[0]
    check(last['manifest'] == one['manifest'] and last['stage'] == 'finished' and not last['rebased'], 'the end %s, one process %s' % (last, one))
    check('ended already' in ok(*step, '--orchestrate', '--finish').out and rows_of('gc', '--dry-run')[0]['jobs'] == 0, 'the end twice')
    bad(1, 'another id', *step, '--orchestrate')
    check('no fault' in ok('verify', 'main').out, 'verify')
    moved = [n for n in tree('s') if n.endswith('.moved')]
    told = ok('erase-report', 'main', '0')
    check(len(moved) > 0 and rows_of('erase-report', 'main', '0')[-1]['job_files'] == len(moved), 'copies of records in jobs are counted')
    check('under _ada_ivf/ hold' in told.out, 'and told: %s' % told.out)
    ok('append', 'main', '--column', 'emb=w.npy', '--anchor-start', 9000, '--now-ns', 11000)
    ok('append', 'main', '--column', 'emb=w.npy', '--anchor-start', 9000, '--now-ns', 11000, store='one')
    one = rows_of('ada-ivf-step', 'main', '--now-ns', 12000, store='one')[0]
    check(one['splits'] > 0, 'there is something to split again')
    step = ('ada-ivf-step', 'main', '--job-id', 'n-2')
    propose = (*step, '--orchestrate', '--propose', '--now-ns', 12000)
    bad(2, 'belongs to the plan', *step, '--shard', 0, '--of', 2, '--propose')
    bad(2, '--job-id', 'ada-ivf-step', 'main', '--propose')
    opened = rows_of(*propose)[0]
    check(opened['stage'] == 'opened' and opened['cells'] >= one['splits'] and opened['cells_done'] == 0, 'opened %s' % opened)
    check('job n-2 opened' in ok(*propose).out, 'opened twice')
    check(rows_of(*step, '--shard', 0, '--of', 2)[0]['stage'] == 'proposed' and 'has proposed' in ok(*step, '--shard', 0, '--of', 2).out, 'a proposal')
    bad(4, 'waits for proposals', *step, '--orchestrate', '--finish')
    bad(4, 'missing shards: 1 of 2', *propose)
    ok(*step, '--shard', 1, '--of', 2)
    check(rows_of(*propose)[0]['stage'] == 'planned', 'planned')
    for n in range(2):
        check(rows_of(*step, '--shard', n, '--of', 2)[0]['stage'] == 'worked', 'placed')
    check(rows_of(*step, '--orchestrate', '--finish')[0]['manifest'] == one['manifest'], 'the same bytes with proposals')
    same = {n: b for n, b in tree('s').items() if not n.startswith('_ada_ivf/')}
    check(same == tree('one'), 'file by file what one process makes: %s' % [n for n in set(same) ^ set(tree('one'))][:5] + str([n for n in same if same[n] != tree('one').get(n)][:5]))


def test_rebuild_shards():
    vectors('v.npy', unit(900, 6))
    for store in ('s', 'one'):
        ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=4', '--nonce', '00' * 16, '--now-ns', 1000, store=store)
        ok('append', 'main', '--column', 'emb=v.npy', '--anchor-start', 0, '--now-ns', 2000, store=store)
        ok('append', 'main', '--column', 'emb=v.npy', '--anchor-start', 500, '--now-ns', 3000, store=store)
    how = ('--k', 20, '--seed', 3, '--sample', 400, '--now-ns', 9000)
    one = rows_of('rebuild-ivf', 'main', *how, store='one')[0]
    job = ('rebuild-ivf', 'main', '--job-id', 'r-1')
    bad(2, '--job-id', 'rebuild-ivf', 'main', '--shard', 0, '--of', 2)
    bad(2, 'say --orchestrate', *job)
    bad(2, 'from 0 to 1', *job, '--shard', 2, '--of', 2)
    bad(2, 'belongs to the plan', *job, '--shard', 0, '--of', 2, '--k', 5)
    bad(2, 'belongs to the plan', 'rebuild-ivf', 'main', 'emb', '--job-id', 'r-1', '--orchestrate', '--finish')
    bad(2, 'for one machine', *job, '--orchestrate', '--retry', 3)
    bad(2, '--propose', *job, '--orchestrate', '--propose')
    bad(4, 'no job `r-1`', *job, '--shard', 0, '--of', 2)
    before = tree('s')
    check('would train about' in ok(*job, '--orchestrate', '--dry-run').out and tree('s') == before, 'a dry plan')
    plan = rows_of(*job, '--orchestrate', *how)[0]
    check(plan['stage'] == 'planned' and not plan['again'] and plan['sampled'] == one['sampled'] and plan['index'] == one['index'], 'plan %s' % plan)
    check('is there' in ok(*job, '--orchestrate', *how).out and rows_of('gc', '--dry-run')[0]['jobs'] == 1, 'planned twice, and gc knows')
    bad(1, 'other options', *job, '--orchestrate')
    bad(2, 'a rebuild, no step', 'ada-ivf-step', 'main', '--job-id', 'r-1', '--shard', 0, '--of', 2)
    check(rows_of(*job, '--shard', 0, '--of', 2)[0]['stage'] == 'placed', 'the first share')
    check('1 shares have' in ok(*job, '--shard', 0, '--of', 2).out, 'it waits for nobody')
    bad(4, '0 of', *job, '--orchestrate', '--finish')
    check(rows_of(*job, '--shard', 1, '--of', 2)[0]['stage'] == 'folded', 'the second share')
    bad(4, '1 of 2 shares', *job, '--orchestrate', '--finish')
    check('is done; wrote' in ok(*job, '--shard', 0, '--of', 2).out and 'was done already' in ok(*job, '--shard', 0, '--of', 2).out, 'the first again')
    last = rows_of(*job, '--orchestrate', '--finish')[0]
    check(last['manifest'] == one['manifest'] and last['stage'] == 'finished' and last['records_losing'] == one['records_losing'] == 400, 'the end %s' % last)
    check('ended already' in ok(*job, '--orchestrate', '--finish').out, 'the end twice')
    same = {n: b for n, b in tree('s').items() if not n.startswith('_ada_ivf/')}
    check(same == tree('one'), 'file by file what one process makes')
    bad(2, '--retry', 'ada-ivf-step', 'main', '--retry', 0)
    check(rows_of('ada-ivf-step', 'main', '--retry', 2)[0]['outcome'] in ('nothing', 'made', 'marked'), '--retry of a step')


def test_shared_append():
    ids = list(range(101))
    numbers('n.npy', ids)
    text('r.csv', '_anchor,n\n' + ''.join('%d,%d\n' % (1000 + i, i) for i in ids))
    ok('create', 'main', '--field', 'n:int')
    bad(2, 'would draw the same', 'append', 'main', '--column', 'n=n.npy', '--shard', 0, '--of', 3)
    bad(2, 'both, and N from 0', 'append', 'main', '--column', 'n=n.npy', '--anchor-start', 0, '--shard', 0)
    bad(2, 'both, and N from 0', 'append', 'main', '--column', 'n=n.npy', '--anchor-start', 0, '--shard', 3, '--of', 3)
    for n in range(3):
        ok('branch', 'main', 'b%d' % n, '--if-absent')
        for turn in range(2):
            out = rows_of('append', 'b%d' % n, '--column', 'n=n.npy', '--anchor-start', 0, '--shard', n, '--of', 3, '--batch', 20, '--token', 't%d' % n, '--resume')[0]
            check(out['rows'] == ((34, 34, 33)[n] if turn == 0 else 0) and out['resumed'] == (0 if turn == 0 else (34, 34, 33)[n]), 'share %d: %s' % (n, out))
        ok('append', 'b%d' % n, '--rows', 'r.csv', '--shard', n, '--of', 3)
    check(rows_of('branch', 'main', 'b1', '--if-absent')[0] == {'exists': True} and 'stays' in ok('branch', 'main', 'b1', '--if-absent').out, '--if-absent')
    bad(1, 'already', 'branch', 'main', 'b1')
    ok('append', 'b1', '--rows', text('gone.csv', '_anchor,n\n2059,1\n'))
    ok('delete', 'b1', '2059')
    late = bad(1, '2059', 'append', 'b1', '--column', 'n=n.npy', '--anchor-start', 2000, '--shard', 1, '--of', 3, '--batch', 20, '--token', 'late')
    check('the first 20 of 34 rows are in' in late.err and '--resume' in late.err, 'rows of the share are told: %s' % late.err)
    ok('merge-many', 'main', 'b0', 'b1', 'b2')
    found = sorted((row['anchor'], row['fields']['n']) for row in rows_of('scan', 'main'))
    check(found == [(i, i) for i in ids] + [(1000 + i, i) for i in ids] + [(2000 + i, i) for i in range(34, 54)], 'every row once, under its own anchor')


def test_rebuild():
    rows = unit(1500, 6)
    vectors('v.npy', rows)
    ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=4', '--field', 'n:int,optional')
    bad(2, 'no live record', 'rebuild-ivf', 'main', 'emb')
    for start in range(0, 1500, 300):
        vectors('w.npy', rows[start:start + 300])
        ok('append', 'main', '--column', 'emb=w.npy', '--anchor-start', start)
    ok('delete', 'main', *range(0, 200, 2))
    by_anchor = lambda found: sorted(found, key=lambda row: row['anchor'])
    before = by_anchor(rows_of('scan', 'main', '--fields', 'emb'))
    hits = ok('query', 'main', 'emb', '--anchor', '7,1003', '--exact', '--json').out
    tip = tree('s')['refs/main']
    plan = rows_of('rebuild-ivf', 'main', '--dry-run')[0]
    check(plan['outcome'] == 'planned' and plan['records'] == 1500 and plan['k_after'] == 38 and tree('s')['refs/main'] == tip, 'dry run %s' % plan)
    check('would train about 38 cells' in ok('rebuild-ivf', 'main', 'emb', '--dry-run').out, 'dry run for people')
    ok('branch', 'main', 'side')
    made = rows_of('rebuild-ivf', 'main', 'emb', '--k', 20, '--seed', 3, '--memory', '160k', '--sample', 400)[0]
    check(made['outcome'] == 'made' and made['k_after'] == 20 and made['records_placed'] == 1400 and made['records_dropped'] == 100 and made['runs'] > 1, 'rebuild %s' % made)
    check(by_anchor(rows_of('scan', 'main', '--fields', 'emb')) == before, 'every row is as it was')
    check(ok('query', 'main', 'emb', '--anchor', '7,1003', '--exact', '--json').out == hits, 'and every hit')
    check('no fault' in ok('verify', 'main').out and not os.path.exists('s/_ada_ivf') or not [f for f in tree('s') if f.endswith('.run')], 'verify, no runs left')
    again = rows_of('rebuild-ivf', 'side', 'emb', '--k', 20, '--seed', 3, '--sample', 400, '--threads', 1)[0]
    check(again['runs'] == 0 and again['index'] == made['index'] and again['buckets_written'] == made['buckets_written'], 'the same index with other memory')
    b = rows_of('ada-ivf-status', 'main', '--sample', 10000)[0]
    check(b['moved'] == 0 and b['generations'] == 1 and b['k'] == 20 and b['records'] == 1400, 'placed %s' % b)
    check('rebuilt main' in ok('rebuild-ivf', 'main', '--k', 'auto').out, 'for people')
    check(rows_of('ada-ivf-status', 'main')[0]['k'] == 37, 'auto: the square root of 1400')
    check(rows_of('rebuild-ivf', 'main', '--index', 'imi', '--k', 5)[0]['outcome'] == 'made' and rows_of('ada-ivf-status', 'main')[0]['index'] == 'imi', 'to imi')
    bad(2, 'rebuild-ivf', 'ada-ivf-step', 'main')
    check(rows_of('rebuild-ivf', 'main', '--k', 6)[0]['k_after'] == 36, 'another k_sub')
    check(rows_of('rebuild-ivf', 'main', '--index', 'ivf')[0]['k_after'] == 37, 'and back')
    bad(2, '--memory', 'rebuild-ivf', 'main', '--memory', 'much')
    bad(2, '--k', 'rebuild-ivf', 'main', '--k', '0')
    bad(2, '--index', 'rebuild-ivf', 'main', '--index', 'lsh')
    bad(4, 'no field `no`', 'rebuild-ivf', 'main', 'no')
    bad(1, 'needs', 'rebuild-ivf', 'main', '--sample', 1400, '--memory', '128k')
    ok('create', 'l', '--field', 'emb:embedding,dim=6,index=lsh')
    ok('append', 'l', '--column', 'emb=v.npy')
    bad(2, 'rebuild-ivf', 'ada-ivf-step', 'l')
    check(rows_of('rebuild-ivf', 'l')[0]['k_after'] == 38 and rows_of('ada-ivf-status', 'l')[0]['index'] == 'ivf', 'lsh becomes ivf')
    ok('create', 'c', '--field', 'emb:embedding,train=v.npy,k=9,compressor=rabitq,bits_per_dim=4')
    ok('append', 'c', '--column', 'emb=v.npy')
    bad(2, 'allow_lossy', 'rebuild-ivf', 'c')
    check(rows_of('rebuild-ivf', 'c', '--allow-lossy')[0]['records_placed'] == 1500, '--allow-lossy')
    ok('add-field', 'main', '--field', 'small:embedding,train=v.npy,k=6,compressor=rabitq,bits_per_dim=4,rerank', '--layer-of', 'emb', '--column', 'small=v.npy', '--anchor-start', 0)
    bad(2, 'several embedding fields', 'rebuild-ivf', 'main')
    layer = by_anchor(rows_of('scan', 'main', '--fields', 'small'))
    check(rows_of('rebuild-ivf', 'main', 'small', '--k', 12)[0]['k_after'] == 12 and by_anchor(rows_of('scan', 'main', '--fields', 'small')) == layer, 'a layer')
    check(rows_of('rebuild-ivf', 'main', 'emb', '--k', 12)[0]['k_after'] == 12 and by_anchor(rows_of('scan', 'main', '--fields', 'emb')) == before, 'its parent')
    ok('append', 'main', '--into', 'small', '--column', 'small=w.npy', '--anchor-start', 9000)
    check('no fault' in ok('verify', 'main').out and 'layer' in ok('inspect', 'main').out, 'both are whole')


def test_watch():
    rows = unit(1200, 6)
    vectors('v.npy', rows)
    ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=9', '--field', 'word:categorical,optional')
    check('nothing to do' in ok('recommendations', 'main').out and ok('recommendations', 'main', '--json').out == '', 'an empty one needs nothing')
    for start in range(0, 1200, 60):
        vectors('w.npy', rows[start:start + 60])
        ok('append', 'main', '--column', 'emb=w.npy', '--anchor-start', start)
    ok('delete', 'main', *range(0, 600))
    want = rows_of('recommendations', 'main')
    check([(w['action'], w['field']) for w in want] == [('compact', None), ('compact', 'emb')] and want[0]['threshold'] == 1 and 'deleted' in want[0]['reason'], 'told %s' % want)
    check('main: compact emb: ' in ok('recommendations', 'main').out, 'for people')
    tip = tree('s')['refs/main']
    check(rows_of('watch', 'main', '--once', '--dry-run') == want and tree('s')['refs/main'] == tip, 'a dry run tells the same')
    check(rows_of('watch', 'main', '--once', '--only', 'flush-hot,gc') == [] and tree('s')['refs/main'] == tip, '--only')
    done = rows_of('watch', 'main', '--once')
    check(len(done) >= 1 and all(d['outcome'] == 'done' for d in done) and tree('s')['refs/main'] != tip, 'done %s' % done)
    check(rows_of('recommendations', 'main') == [] and rows_of('watch', 'main', '--once') == [], 'and then nothing is left')
    check(rows_of('count', 'main')[0]['count'] == 600, 'the rows are there')
    ok('create', 'hurt', '--field', 'emb:embedding,train=v.npy,k=9', store='hurt')
    for start in range(0, 1200, 60):
        vectors('w.npy', rows[start:start + 60])
        ok('append', 'hurt', '--column', 'emb=w.npy', '--anchor-start', start, store='hurt')
    check('compact' in ok('watch', 'hurt', '--once', '--dry-run', store='hurt').out, 'something to do')
    for name in [n for n in tree('hurt') if '.bucketed/0' in n]:
        with open(os.path.join('hurt', name), 'r+b') as f:
            f.truncate(3)
    hurt = run('watch', 'hurt', '--once', store='hurt')
    check(hurt.code == 5 and 'compact emb' in hurt.out and 'failed' in hurt.out, 'what failed is told, and the exit code is its own: %d %s %s' % (hurt.code, hurt.out, hurt.err))
    bad(2, '--only', 'watch', 'main', '--only', 'sweep')
    bad(2, 'names no action', 'watch', 'main', '--once', '--only', '')
    bad(2, '--interval', 'watch', 'main', '--interval', '5')
    bad(2, 'once', 'watch', 'main', '--once', '--interval', '5s')
    bad(4, 'absent', 'watch', 'absent', '--once')
    for kept in ('main~1', 'main@v1'):
        bad(2, 'does not change', 'watch', 'main', kept, '--once')
    for number in (signal.SIGTERM, signal.SIGINT):
        for start in range(2000, 2300, 10):
            vectors('w.npy', rows[start - 2000:start - 1990])
            ok('append', 'main', '--column', 'emb=w.npy', '--anchor-start', start + 1000 * number)
        p = subprocess.Popen([DREAMDB, '--store', 's', 'watch', 'main', 'absent', '--interval', '1s', '--json'], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        line, deadline = json.loads(p.stdout.readline()), time.time() + 60
        while rows_of('recommendations', 'main') and time.time() < deadline:
            time.sleep(0.2)
        p.send_signal(number)
        out, err = p.communicate(timeout=60)
        check(line['outcome'] == 'done' and line['action'] == 'compact' and p.returncode == 0 and b'absent' in err, 'a loop works, goes on after failures, ends at signal %d: %r %r %d' % (number, line, err, p.returncode))


# ---- Tests: behaviour as a program -----------------------------------------------------------------------------------

def test_reproducible():
    rows = unit(100, 4)
    vectors('v.npy', rows)
    fixed = ['--seed', 7, '--now-ns', 1700000000 * 10 ** 9, '--nonce', '00112233445566778899aabbccddeeff', '--writer', 'test;operation=x']
    for store in ('one', 'two'):
        ok('create', 'main', '--field', 'emb:embedding,train=v.npy,k=5', '--field', 'n:int', *fixed, store=store)
        ok('append', 'main', '--column', 'emb=v.npy', '--column', 'n=' + numbers('n.npy', list(range(100))), '--batch', 30, *fixed, store=store)
    check(tree('one') == tree('two'), 'the same inputs give the same files')
    log = rows_of('log', 'main', store='one')
    check(log[0]['writer'] == 'test;operation=x' and log[-1]['ts_ns'] == 1700000000 * 10 ** 9, 'writer and clock')
    ok('create', 'main', '--field', 'n:int', '--identical', store='three')
    ok('create', 'main', '--field', 'n:int', store='file://' + os.path.abspath('four%20x'))
    check(os.path.exists('four x/refs/main'), 'file:// URL')
    check(run('refs', store=None, env={}).code == 2, 'DREAMDB_STORE is wanted')
    d = subprocess.run([DREAMDB, 'refs'], env=dict(os.environ, DREAMDB_STORE='one'), stdout=subprocess.PIPE)
    check(d.returncode == 0 and b'main' in d.stdout, 'DREAMDB_STORE')
    check(run('create', 'main', '--field', 'n:int', store='memory:').code == 0, 'memory:')


def test_pipes_and_signals():
    ok('create', 'main', '--field', 'n:int')
    numbers('n.npy', list(range(60000)))
    ok('append', 'main', '--column', 'n=n.npy', '--anchor-start', 0)
    for more in ([], ['--json']):
        p = subprocess.Popen([DREAMDB, '--store', 's', 'scan', 'main'] + more, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.readline()
        p.stdout.close()
        err = p.stderr.read()
        check(p.wait(60) == 0 and err == b'', 'a closed pipe ends quietly: %s' % err)
        p.stderr.close()
    if os.path.exists('/dev/full'):
        with open('/dev/full', 'wb') as full:
            p = subprocess.run([DREAMDB, '--store', 's', 'scan', 'main'], stdout=full, stderr=subprocess.PIPE)
        check(p.returncode == 1 and b'No space' in p.stderr, 'a full disk under the output: %s' % p.stderr)
    numbers('more.npy', list(range(100000)))
    p = subprocess.Popen([DREAMDB, '--store', 's', 'append', 'main', '--column', 'n=more.npy', '--batch', '50', '--anchor-start', '100000'],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(0.7)
    p.send_signal(signal.SIGINT)
    err = p.communicate(timeout=60)[1].decode()
    done = rows_of('count', 'main')[0]['count'] - 60000
    check(p.returncode == 130 and ('Ctrl-C' in err or 'stopped' in err), 'Ctrl-C: %d %s' % (p.returncode, err))
    check(0 < done < 100000 and done % 50 == 0 and 'the first %d of' % done in err, 'whole batches stay: %d, %s' % (done, err))
    ok('verify', 'main')
    check('\r' in run('append', 'main', '--column', 'n=n.npy', '--progress=always', '--batch', 100, '--anchor-start', 10 ** 6).err, 'progress')


def test_stop_training():
    n, dim = 40000, 64
    values = array.array('f', array.array('b', rng.getrandbits(8 * n * dim).to_bytes(n * dim, 'little')))
    if sys.byteorder == 'big':
        values.byteswap()
    npy('big.npy', '<f4', (n, dim), values.tobytes())
    p = subprocess.Popen([DREAMDB, '--store', 's', 'create', 'main', '--field', 'emb:embedding,train=big.npy,k=3000,iterations=200'],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(1)
    p.send_signal(signal.SIGINT)
    try:
        err = p.communicate(timeout=20)[1].decode()
        check(p.returncode == 130 and 'stopped' in err, 'Ctrl-C in a training: exit %d %s' % (p.returncode, err))
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)
        check(False, 'Ctrl-C does not stop a training; a second one kills: %d' % p.returncode)
    check(not os.path.exists('s/refs/main'), 'no Ref is made')


def test_writers():
    """Several writers on one Ref: each ends with 0 or 3, and what ended with 0 is there."""
    ok('create', 'main', '--field', 'n:int')
    numbers('n.npy', [1, 2, 3])
    running = [subprocess.Popen([DREAMDB, '--store', 's', 'append', 'main', '--column', 'n=n.npy', '--anchor-start', str(10 * i)],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in range(8)]
    codes = [p.wait(60) for p in running]
    check(set(codes) <= {0, 3} and 0 in codes, 'exit codes %s' % codes)
    check(rows_of('count', 'main') == [{'count': 3 * codes.count(0)}], 'no row is lost or there in part')
    ok('verify', 'main', '--history', 'all')


def test_retry():
    """Writers that may try again all land; an append that was killed goes on with its token; the graph of it all."""
    ok('create', 'main', '--field', 'n:int')
    numbers('n.npy', range(60))
    running = [subprocess.Popen([DREAMDB, '--store', 's', '--durability', 'none', 'append', 'main', '--column', 'n=n.npy', '--anchor-start', str(100 * i), '--retry', '200',
                                 '--batch', '20', '--token', 'w%d' % i], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in range(4)]
    check([p.wait(60) for p in running] == [0] * 4, 'every writer lands')
    check(rows_of('count', 'main') == [{'count': 240}], 'each row once')
    check(len(ok('log', 'main', '--json').json()) == 13, 'one commit a batch')
    d = rows_of('append', 'main', '--column', 'n=n.npy', '--anchor-start', 100, '--token', 'w1', '--resume')[0]
    check(d['rows'] == 0 and d['resumed'] == 60 and d['replays'] == 0, 'all is in')
    numbers('long.npy', range(90))
    csv('long.csv', ['_anchor,n'] + ['%d,%d' % (1000 + i, i) for i in range(90)])
    numbers('short.npy', range(50))
    d = rows_of('append', 'main', '--column', 'n=long.npy', '--anchor-start', 100, '--token', 'w1', '--resume', '--batch', 7)[0]
    check(d['rows'] == 30 and d['resumed'] == 60 and d['batches'] == 5 and d['anchor_first'] == 160, 'goes on behind what landed')
    ok('append', 'main', '--column', 'n=long.npy', '--anchor-start', 1000, '--token', 'half', '--batch', 90)
    d = rows_of('append', 'main', '--rows', 'long.csv', '--token', 'hal', '--resume', '--batch', 40)[0]
    check(d['rows'] == 90 and d['resumed'] == 0, 'a token is not the beginning of another')
    bad(1, 'not the same files', 'append', 'main', '--column', 'n=short.npy', '--anchor-start', 100, '--token', 'w1', '--resume')
    bad(2, '--token', 'append', 'main', '--column', 'n=n.npy', '--resume')
    bad(2, '--token', 'append', 'main', '--column', 'n=n.npy', '--token', 'a;b')
    bad(2, '--retry', 'append', 'main', '--column', 'n=n.npy', '--retry', 'often')
    ok('branch', 'main', 'side')
    ok('append', 'side', '--column', 'n=n.npy', '--anchor-start', 5000)
    ok('delete', 'main', 101, '--retry', 2)
    d = ok('merge', 'main', 'side', '--retry', 3, '--json').json()[0]
    check(d['outcome'] == 'merged' and d['replays'] == 0, 'merge with retry')
    lines = ok('log', 'main', '--graph').out.splitlines()
    check(lines[0].startswith('* d') and lines[0].endswith('(main)') and lines[1] == '|\\' and '| * ' in '\n'.join(lines) and '|/' in lines, 'a graph')
    told = ok('log', 'main', '--graph', '--json').json()
    check(len(told) == len(ok('log', 'main', '--json').json()) + 1, 'every state once')
    check(len(ok('log', 'main', '--graph', '--json', '--limit', 3).json()) == 3, 'at most so many')
    ok('verify', 'main', '--history', 'all')


def test_diff():
    csv('a.csv', ['_anchor,e,label', '1,"[1,2]",cat', '2,"[0,1]",dog'])
    csv('b.csv', ['_anchor,e,label', '3,"[1,3]",cat', '4,"[1,-3]",emu'])
    ok('create', 'main', '--field', 'e:embedding,dim=2,index=lsh,bits=2', '--field', 'label:categorical')
    ok('append', 'main', '--rows', 'a.csv')
    ok('branch', 'main', 'br')
    ok('append', 'br', '--rows', 'b.csv')
    d = ok('diff', 'main', 'br', '--json').json()[0]
    e = d['fields'][0]
    check(e['field'] == 'e' and e['change'] == 'rows' and e['added']['records'] == 2 and e['removed']['records'] == 0 and e['added']['cells'] >= 1, 'rows added')
    check(e['exact'] and d['tombstones_added'] == 0 and d['from'] != d['to'], 'what is told')
    back = ok('diff', 'br', '~1', '--json').json()[0]
    check(back['fields'][0]['removed'] == e['added'] and back['to'] == d['from'], 'the other way round')
    ok('delete', 'br', 1)
    ok('set-meta', 'br', 'dreamdb.x', '1')
    ok('add-field', 'br', '--field', 'n:int')
    d = ok('diff', 'main', 'br', '--json').json()[0]
    check(d['tombstones_added'] == 1 and d['keys'] == 1 and [f['change'] for f in d['fields']] == ['rows', 'rows', 'added'], 'deleted anchors, keys, fields')
    out = ok('diff', 'main', 'br').out
    check('1 more anchor deleted' in out and '+2' in out and 'added' in out, 'as a table')
    out = ok('diff', 'main', 'main').out
    check('the same' in out, 'nothing differs')
    check(ok('diff', 'main', d['to'], '--json').json()[0]['to'] == d['to'], 'by address')
    bad(4, 'no ref', 'diff', 'main', 'nothing')
    bad(2, 'diff REF OTHER', 'diff', 'main')


def test_terminal():
    ok('create', 'main', '--field', 's:string')
    text('r.jsonl', json.dumps({'_anchor': 1, 's': 'a\x1b[31mred\x07\n\u009b2Jb'}) + '\n')
    ok('append', 'main', '--rows', 'r.jsonl')
    out = ok('scan', 'main').raw
    check(b'\x1b' not in out and b'\x07' not in out and b'\xc2\x9b' not in out and out.count(b'\n') == 2, 'no control character reaches the terminal')
    check(rows_of('scan', 'main')[0]['fields']['s'] == 'a\x1b[31mred\x07\n\u009b2Jb', 'JSON keeps them')
    d = run('scan', 'ma\x1b[31m')
    check('\x1b' not in d.err, 'nor by an error')


def test_read_only():
    ok('create', 'main', '--field', 'n:int')
    numbers('n.npy', [1])
    before = tree('s')
    for verb in (['scan', 'main'], ['count', 'main'], ['log', 'main'], ['refs'], ['inspect', 'main'], ['stats', 'main'], ['verify', 'main']):
        ok(*verb)
    check(tree('s') == before, 'reading changes no file')
    os.makedirs('plain')
    bad(4, 'main', 'scan', 'main', store='plain')
    check(os.listdir('plain') == [] and rows_of('refs', store='plain') == [], 'a folder that is no dataset')
    text('file', 'x')
    d = run('scan', 'main', store='file')
    check(d.code in (1, 4) and len(d.err.splitlines()) == 1, 'a file in place of a folder: %s' % d.err)
    if os.geteuid() != 0:
        for base, names, _ in os.walk('s'):
            os.chmod(base, 0o555)
        bad(1, '', 'append', 'main', '--column', 'n=n.npy')
        for base, names, _ in os.walk('s'):
            os.chmod(base, 0o755)


def test_cache():
    """--cache DIR before a plain HTTP server that logs: the second process asks for the Ref only, whatever becomes of DIR."""
    import socket
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    log = open('log', 'w')
    server = subprocess.Popen([sys.executable, '-u', os.path.join(TOP, 'tests', 's3', 'plainhttp.py'), str(port)], stdout=log)
    plain = {'AWS_ACCESS_KEY_ID': '', 'AWS_SECRET_ACCESS_KEY': '', 'NO_PROXY': '*', 'no_proxy': '*'}
    for name in plain:
        os.environ.pop(name, None)
    url = 'http://127.0.0.1:%d/base' % port

    def asked(*args, code=0):
        size = os.path.getsize('log')
        d = run(*args, '--json', store=url)
        check(d.code == code, 'dreamdb %s: exit %d: %s' % (' '.join(map(str, args)), d.code, d.err.strip()))
        time.sleep(0.05)
        with open('log') as f:
            f.seek(size)
            return d.json() if code == 0 else [], [x.split()[:2] for x in f.read().splitlines()]

    try:
        for _ in range(100):
            try:
                socket.create_connection(('127.0.0.1', port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        vectors('v.npy', [[rng.gauss(0, 1) for _ in range(8)] for _ in range(300)])
        os.makedirs('pictures')
        for i in range(300):
            with open('pictures/%03d.jpg' % i, 'wb') as f:
                f.write(bytes(rng.randrange(256) for _ in range(50 + i)))
        asked('create', 'main', '--field', 'emb:embedding,dim=8,index=ivf,k=6,train=v.npy', '--field', 'pic:image')
        asked('append', 'main', '--column', 'emb=v.npy', '--column', 'pic=pictures', '--anchor-start', 0)
        query = ['query', 'main', 'emb', '--anchor', '17', '--fields', 'pic', '--explain']
        plain_rows, before = asked(*query)
        first, filled = asked(*query, '--cache', 'c')
        second, warm = asked(*query, '--cache', 'c')
        check(first[0] == plain_rows[0] and second[0] == plain_rows[0], 'the same hits')
        check('cache_hits' not in plain_rows[1]['explain'] and first[1]['explain']['cache_misses'] > 5, 'explain counts misses: %s' % first[1:])
        check(second[1]['explain']['cache_misses'] == 0 and second[1]['explain']['cache_hits'] > 5, 'all hits: %s' % second[1:])
        check(8 < len(filled) <= len(before), '%d requests to fill, %d without' % (len(filled), len(before)))
        check(warm and all(x == ['GET', '/base/refs/main'] for x in warm), 'the Ref only: %s' % warm)
        # damage every file a little: the same answer, from the server, and whole files again
        files = [os.path.join(at, n) for at, _, names in os.walk('c') for n in names]
        for i, path in enumerate(files):
            with open(path, 'r+b') as f:
                f.truncate(os.path.getsize(path) * (i % 2) // 2)
        third, again = asked(*query, '--cache', 'c')
        check(third[0] == plain_rows[0] and len(again) == len(filled), 'damaged files: %d requests' % len(again))
        check(asked(*query, '--cache', 'c')[1] == warm, 'whole again')
        # a writer with a cache: the reader after it asks for the Ref only, too; verify asks the server for all
        asked('append', 'main', '--column', 'emb=v.npy', '--column', 'pic=pictures', '--anchor-start', 1000, '--cache', 'w')
        rows, wrote = asked('query', 'main', 'emb', '--anchor', '1017', '--explain', '--cache', 'w')
        check(rows[0]['hits'][0]['anchor'] in (17, 1017), 'finds what was appended')
        check(len(asked('verify', 'main', '--cache', 'c')[1]) > 600, 'verify reads the store')
        asked('gc', '--keep-manifests', '1', '--keep-since', '0', '--writers-paused', '--cache', 'w')
        # no folder to write in, a file in its place: nothing but requests
        text('file', 'x')
        for folder in ('file', 'file/below', '/proc/none'):
            rows, some = asked(*query, '--cache', folder)
            check(rows[0]['hits'] and len(some) > len(filled), '--cache %s' % folder)
        # many at once in a small folder
        jobs = [subprocess.Popen([DREAMDB, '--store', url, '--cache', 'small', '--cache-bytes', '40k', '--json'] + query[:-1] + ['--nprobe', str(1 + i)],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(6)]
        for job in jobs:
            out, err = job.communicate(timeout=60)
            check(job.returncode == 0 and json.loads(out)['hits'][0]['anchor'] in (17, 1017), 'at once: %s' % err.decode())
        kept = sum(os.path.getsize(os.path.join(at, n)) for at, _, names in os.walk('small') for n in names)
        check(0 < kept < 60000, '%d bytes kept under a cap of 40k' % kept)
        bad(2, '--cache', 'scan', 'main', '--cache', '', store=url)
        bad(2, '--cache-bytes', 'scan', 'main', '--cache', 'c', '--cache-bytes', 'much', store=url)
    finally:
        server.terminate()
        server.wait()
        log.close()


def main():
    if not os.access(DREAMDB, os.X_OK):
        print('cli: %s is not there: run make first' % DREAMDB)
        sys.exit(1)
    run_tests(globals(), 'cli')
    print('cli: %d passed, %d failed' % (passed, failed))
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
