#!/usr/bin/env python3
"""run.py SUITE - runs the steps of a suite, two at a time, and adds up what they passed and failed.

A step is a command; its last line "N passed, N failed[, N skipped]" counts (also behind a name: "cbor: 12 passed, 0 failed"),
else its exit code counts as one.  The output of each step stands in BUILD/log/.  The closing line is alone on its line.
suites: test, programs, threads, examples, replay, fuzz, check-all"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(TOP)
BUILD = os.environ.get('BUILD', 'build')
PYTHON = os.environ.get('PYTHON', sys.executable)
MAKE = os.environ.get('MAKE', 'make')
JOBS = int(os.environ.get('JOBS', '2'))
COUNT = re.compile(r'^(?:\S+: )?(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$')

TIMES = re.compile(r'^(?:built|ran) in .*', re.M)


def quiet_environment():
    env = dict(os.environ)
    for name in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL'):
        env.pop(name, None)
    env['TSAN_OPTIONS'] = env.get('TSAN_OPTIONS', 'halt_on_error=1')
    env['ASAN_OPTIONS'] = env.get('ASAN_OPTIONS', 'detect_leaks=1')
    return env


class Step:
    def __init__(self, name, command, seconds=600, needs=None):
        self.name, self.command, self.seconds, self.needs = name, command, seconds, needs

    def run(self):
        start = time.time()
        self.passed = self.failed = self.skipped = 0
        self.out = ''
        if self.needs and not os.path.exists(self.needs):
            self.failed, self.out, self.seconds_taken = 1, '%s was not built; see %s/log/build.txt' % (self.needs, BUILD), 0.0
            return self
        try:
            p = subprocess.run(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=self.seconds, env=quiet_environment())
            self.out, code = p.stdout.decode(errors='replace'), p.returncode
        except subprocess.TimeoutExpired as e:
            self.out, code = (e.stdout or b'').decode(errors='replace') + '\nstopped after %d s' % self.seconds, 1
        except OSError as e:
            self.out, code = str(e), 1
        counted = [m for m in map(COUNT.match, self.out.splitlines()) if m]
        if counted:
            self.passed, self.failed, self.skipped = (int(x or 0) for x in counted[-1].groups())
            if code != 0 and self.failed == 0:
                self.failed = 1
        elif code == 0:
            self.passed = 1
        else:
            self.failed = 1
        self.seconds_taken = time.time() - start
        with open(os.path.join(BUILD, 'log', self.name.replace('/', '_').replace(' ', '_') + '.txt'), 'w') as f:
            f.write(self.out)
        return self

    def tell(self):
        skipped = ', %d skipped' % self.skipped if self.skipped else ''
        print('%-4s %-34s %4d passed, %d failed%s  (%.1f s)' % ('ok' if not self.failed else 'FAIL', self.name, self.passed, self.failed, skipped, self.seconds_taken), flush=True)
        if self.failed:
            for line in self.out.splitlines()[-40:]:
                print('       | ' + line[:400])
            sys.stdout.flush()


# What takes longest goes first, so that no core waits for it at the end; the closing "slowest" line of a suite says what belongs here.
LONGEST = ('fault sweep', 'command line', 'test_store', 'header hygiene', 'test_merge', 'test_compact', 'test_s3', 'test_replay', 'test_write', 'test_gc', 'test_bound',
           'test_hot', 'test_ada')


def run_all(steps, jobs):
    os.makedirs(os.path.join(BUILD, 'log'), exist_ok=True)
    total, start = [0, 0, 0], time.time()
    steps = sorted(steps, key=lambda step: LONGEST.index(step.name) if step.name in LONGEST else len(LONGEST))
    with ThreadPoolExecutor(jobs) as pool:
        for step in pool.map(Step.run, steps):
            step.tell()
            total = [a + b for a, b in zip(total, (step.passed, step.failed, step.skipped))]
    slowest = sorted(steps, key=lambda step: -step.seconds_taken)[:10]
    print('ran in %.0f s; slowest: %s' % (time.time() - start, ', '.join('%s %.1f' % (step.name, step.seconds_taken) for step in slowest)), flush=True)
    return total


def build(*targets, **variables):
    """Builds with make -k, so that one program that does not compile leaves the others; what it says goes to a log."""
    os.makedirs(os.path.join(BUILD, 'log'), exist_ok=True)
    start = time.time()
    command = [MAKE, '-k', '-j%d' % JOBS, '--no-print-directory', 'BUILD=' + BUILD] + ['%s=%s' % kv for kv in variables.items()]
    command += ['%s=%s' % (k, os.environ[k]) for k in ('EXTRA', 'CC', 'CXX', 'OPT', 'TESTOPT', 'EMBEDOPT', 'ONE_OBJECT') if os.environ.get(k)]
    p = subprocess.run(command + list(targets), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=quiet_environment())
    text = p.stdout.decode(errors='replace')
    with open(os.path.join(BUILD, 'log', 'build.txt'), 'w') as f:
        f.write(text)
    print('built in %.0f s%s' % (time.time() - start, '' if p.returncode == 0 else ', with errors:'), flush=True)
    if p.returncode:
        for line in [x for x in text.splitlines() if 'error' in x or 'Error' in x][:20]:
            print('       | ' + line[:300])
    return p.returncode


def program(path, name=None, seconds=600, arguments=()):
    return Step(name or os.path.basename(path), [path, *arguments], seconds, path)


def white_box():
    names = sorted(os.path.basename(x)[:-2] for x in glob.glob('tests/test_*.c'))
    return [program('%s/tests/%s' % (BUILD, n)) for n in names]


def example_steps():
    names = ['smallest', 'store_table', 'embedded', 'game', 's3_transport']
    steps = [program('%s/examples/%s' % (BUILD, n), 'example ' + n) for n in names]
    for n in ('hello', 'store_sqlite'):
        path = '%s/examples/%s' % (BUILD, n)
        if os.path.exists(path):
            steps.append(program(path, 'example ' + n))
        else:
            steps.append(Step('example ' + n, ['echo', '0 passed, 0 failed, 1 skipped']))
    return steps


def replay_steps(mutations):
    return [program(BUILD + '/fuzz_replay', 'fuzz corpus', 1200, ['tests/fuzz/corpus', str(mutations)])]


def golden(*more):
    return Step('golden' + ''.join(' ' + m for m in more), [PYTHON, 'tests/golden.py', '--driver', BUILD + '/driver', *more], 600, BUILD + '/driver')


def suite_test():
    build('programs')
    steps = [Step('layers', [PYTHON, 'tools/layers.py', '--max-function', '70', 'dreamdb.h']), Step('layers s3', [PYTHON, 'tools/layers.py', '--max-function', '70', 'dreamdb_s3.h']),
             Step('layers mutation', [PYTHON, 'tests/layers_mutation.py'])]
    steps += white_box() + [golden(), program(BUILD + '/tests/fault', 'fault sweep', 900)] + example_steps() + replay_steps(20)
    if os.path.exists('tests/test_cli.py'):
        steps.append(Step('command line', [PYTHON, 'tests/test_cli.py'], 600, BUILD + '/dreamdb'))
        steps.append(Step('schedulers', [PYTHON, 'tests/test_scheduler.py'], 600, BUILD + '/dreamdb'))
    steps += [Step('readme', [PYTHON, 'tests/readme_example.py'], 300), Step('header hygiene', [PYTHON, 'tests/matrix.py', 'hygiene'], 600)]
    return run_all(steps, JOBS)


def suite_programs():
    """Everything that is a program of ours, under the flags of this build (sanitizers, another compiler)."""
    build('programs')
    sweep = program(BUILD + '/tests/fault', 'fault sweep', 1500, ['9'])
    return run_all([sweep] + white_box() + [golden(), golden('--threads=4')] + example_steps() + replay_steps(20), JOBS)


THREADED = ('pool', 'store', 'cache', 'object', 'kern', 'bound', 'index', 'kmeans', 'write', 'query', 'search', 'code', 'scan', 'view', 'api', 'tomb', 'replay')


def suite_threads():
    """What starts threads, under the thread sanitizer."""
    wanted = [n for n in ('test_' + t for t in THREADED) if os.path.exists('tests/%s.c' % n)]
    build(BUILD + '/driver', BUILD + '/examples/game', BUILD + '/examples/smallest', *['%s/tests/%s' % (BUILD, n) for n in wanted])
    steps = [program('%s/tests/%s' % (BUILD, n), seconds=900) for n in wanted]
    return run_all(steps + [golden('--threads=4'), program(BUILD + '/examples/game', 'example game'), program(BUILD + '/examples/smallest', 'example smallest')], JOBS)


def suite_examples():
    build(*[t for t in ('programs',)])
    return run_all(example_steps() + [Step('readme', [PYTHON, 'tests/readme_example.py'], 300)], JOBS)


def suite_replay():
    build(BUILD + '/fuzz_replay')
    return run_all(replay_steps(3000), JOBS)


def suite_fuzz(seconds):
    if not shutil.which('clang'):
        print('fuzz: no clang; replaying the corpus with more mutations')
        return suite_replay()
    steps = []
    os.makedirs(BUILD + '/fuzz', exist_ok=True)
    for source in sorted(glob.glob('tests/fuzz/fuzz_*.c')):
        name = os.path.basename(source)[5:-2]
        out, found = '%s/fuzz/libfuzzer_%s' % (BUILD, name), '%s/fuzz/found_%s' % (BUILD, name)
        os.makedirs(found, exist_ok=True)
        script = 'clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined %s -lpthread -o %s && %s -max_total_time=%d -max_len=65536 -timeout=10 -rss_limit_mb=2048 -artifact_prefix=%s/ %s tests/fuzz/corpus/%s' % (
            source, out, out, seconds, found, found, name)
        steps.append(Step('fuzz ' + name, ['sh', '-c', script], seconds + 300))
    return run_all(steps, JOBS)


def suite_check_all():
    def make(target, seconds=1500):
        return Step(target, [MAKE, '--no-print-directory', target], seconds)
    first = [make('check-layers'), make('check-hygiene'), make('check-warnings'), make('check-configs')]
    total = run_all(first, JOBS)
    targets = ['check-floats', 'check-musl', 'check-examples', 'check-fuzz', 'check-tsan']
    if shutil.which('clang'):
        targets.append('check-clang')
    else:
        print('skip check-clang: no clang')
        total[2] += 1
    targets += ['check-asan', 'check-cross', 'check-interop', 'check-year', 'check-soak', 'check-s3']
    for step in [make(t) for t in targets]:            # each of these uses both cores itself
        step.run()
        step.tell()
        for line in TIMES.findall(step.out):
            print('       ' + line, flush=True)
        total = [a + b for a, b in zip(total, (step.passed, step.failed, step.skipped))]
    return total


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('suite', choices=['test', 'programs', 'threads', 'examples', 'replay', 'fuzz', 'check-all'])
    p.add_argument('--seconds', type=int, default=60)
    o = p.parse_args()
    start = time.time()
    if o.suite == 'fuzz':
        total = suite_fuzz(o.seconds)
    else:
        total = {'test': suite_test, 'programs': suite_programs, 'threads': suite_threads, 'examples': suite_examples, 'replay': suite_replay,
                 'check-all': suite_check_all}[o.suite]()
    print('%s: %.0f s' % (o.suite, time.time() - start))
    print('%d passed, %d failed%s' % (total[0], total[1], ', %d skipped' % total[2] if total[2] else ''))
    return 1 if total[1] else 0


if __name__ == '__main__':
    sys.exit(main())
