#!/usr/bin/env python3
"""golden.py [--driver PROGRAM] [--threads=N] [--simd-off=N] [NAMES...] - runs the scripts of tests/fixtures through the driver.

Lines go to the driver as they are, after {range:START:COUNT:STEP[:PREFIX]} and {repeat:TOKEN:COUNT} are written out.  Lines "= ..."
are the answer to the line before: token by token, * stands for any token (also inside m..:..:.. tokens), a token that ends in "..."
and a line "= ..." for any rest.  Without such lines the answer must end with ok.  A script whose pack or fixture is missing fails."""
import argparse
import glob
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(TOP)
RANGE, REPEAT = re.compile(r'\{range:(\d+):(\d+):(\d+)(?::(\w))?\}'), re.compile(r'\{repeat:(\w+):(\d+)\}')


def expand(line):
    line = RANGE.sub(lambda m: ' '.join((m[4] or '') + str(int(m[1]) + i * int(m[3])) for i in range(int(m[2]))), line)
    return REPEAT.sub(lambda m: ' '.join([m[1]] * int(m[2])), line)


def token_fits(want, got):
    if want == '*' or want == got:
        return True
    if '*' in want and want[0] == 'm':
        return len(want.split(':')) >= len(got.split(':')) - 1 and all(w in ('*', g) for w, g in zip(want.split(':'), got.split(':')))
    return False


def line_fits(want, got):
    w, g = want.split(' '), got.split(' ')
    if w[-1].endswith('...'):
        w = w[:-1]
        g = g[:len(w)]
    return len(w) == len(g) and all(map(token_fits, w, g))


def script(path):
    """[(line, [expected lines])]"""
    out = []
    for line in open(path):
        line = line.rstrip('\n')
        if line.startswith('= '):
            out[-1][1].append(line[2:])
        elif line and line[0] != '#':
            out.append((line, []))
    return out


def check(want, got):
    if not want:
        return None if got[-1].startswith('ok') else 'got ' + got[-1]
    for i, w in enumerate(want):
        if w == '...':
            return None
        if i >= len(got):
            return 'the answer has %d lines, expected more: %s' % (len(got), w[:200])
        if not line_fits(w, got[i]):
            return 'line %d of the answer: expected\n      %s\n    got\n      %s' % (i, w[:300], got[i][:300])
    if len(got) > len(want):
        if len(got) == len(want) + 1 and got[-1].startswith('ok'):
            return None
        return 'a line too much: ' + got[len(want)][:200]
    return None


def run(path, options):
    p = subprocess.Popen(options.driver.split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    passed, failed = 0, 0
    name = os.path.basename(path)[:-4]
    steps = script(path)
    first = [('set simd_off %d' % options.simd_off, [])] if options.simd_off else []
    for line, want in first + steps:
        if options.threads and line.startswith('set threads'):
            line = 'set threads %d' % options.threads
        got = []
        try:
            p.stdin.write(expand(line) + '\n')
            p.stdin.flush()
        except BrokenPipeError:
            pass
        while True:
            answer = p.stdout.readline()
            if not answer:
                rest = '\n'.join(got[-12:])
                print('golden: %s: the driver ended (exit %s) at: %s\n%s' % (name, p.wait(), line[:160], rest))
                return passed, failed + 1
            got.append(answer.rstrip('\n'))
            if re.match(r'(ok|err)( |$)', got[-1]):
                break
        wrong = check(want, got)
        if wrong:
            failed += 1
            if failed <= 5:
                print('golden: %s: %s\n    %s' % (name, line[:160], wrong))
        elif want or not line.startswith(('set', 'field', 'batch', 'col')):
            passed += 1
    p.stdin.close()
    rest = p.stdout.read()
    if p.wait() != 0:
        print('golden: %s: the driver ended with exit %d\n%s' % (name, p.returncode, rest[-2000:]))
        failed += 1
    return passed, failed


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--driver', default='build/driver')
    a.add_argument('--threads', type=int, default=0)
    a.add_argument('--simd-off', type=int, default=0)
    a.add_argument('names', nargs='*')
    o = a.parse_args()
    passed = failed = 0
    paths = sorted(glob.glob('tests/fixtures/*.txt'))
    paths = [p for p in paths if not o.names or os.path.basename(p)[:-4] in o.names]
    for path in paths:
        x, y = run(path, o)
        passed, failed = passed + x, failed + y
    if not paths:
        failed = 1
    print('golden: %d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
