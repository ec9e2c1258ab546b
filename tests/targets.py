#!/usr/bin/env python3
"""targets.py floats|musl|cross - the golden tests under other flags, another libc, other processors.

  floats  -O0, -O3 -march=native, -ffast-math at compile and link: the same bytes each time
  musl    a static program of musl-gcc
  cross   arm64, big-endian s390x, riscv64, 32-bit arm by `zig cc` (the ziglang package of pip), run by qemu-user"""
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
COUNT = re.compile(r'^(?:\S+: )?(\d+) passed, (\d+) failed', re.M)
# White-box tests whose code depends on the processor: bytes, floats, lanes; the longest first.
CROSS_TESTS = ('bound', 'hash', 'exact', 'code', 'roaring', 'bucket', 'scalar', 'index')


def sh(command, seconds=900):
    try:
        p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return p.returncode, p.stdout.decode(errors='replace')
    except subprocess.TimeoutExpired as e:
        return 1, (e.stdout or b'').decode(errors='replace') + '\nstopped after %d s' % seconds


def golden(name, cc, flags, link=(), run='', library='examples/dreamdb.c'):
    """Builds the driver with these flags and runs the golden scripts through it."""
    out = '%s/targets/driver-%s' % (BUILD, name)
    code, text = sh([*cc, '-std=c99', *flags, library, 'tests/interop/driver.c', '-lpthread', *link, '-o', out])
    if code == 0:
        code, text = sh([sys.executable, 'tests/golden.py', '--driver', (run + ' ' + out).strip()])
    return report(name + ' golden', code, text)


def report(name, code, text):
    m = COUNT.findall(text)
    passed, failed = (int(m[-1][0]), int(m[-1][1])) if m else (0, 0)
    if code != 0 and not failed:
        failed = 1
    if code == 0 and not m:
        passed = 1
    if failed:
        print('%s FAILED' % name)
        print('\n'.join('  | ' + x[:300] for x in text.splitlines()[-16:]))
    else:
        print('%s: %d good' % (name, passed))
    sys.stdout.flush()
    return name, passed, failed


def white_box(name, cc, flags, run, test):
    out = '%s/targets/test_%s-%s' % (BUILD, test, name)
    code, text = sh([*cc, '-std=c99', *flags, 'tests/test_%s.c' % test, '-lpthread', '-o', out])
    if code == 0:
        code, text = sh([*run.split(), out], 1200)
    return report('%s test_%s' % (name, test), code, text)


def shared_jobs(name, cc, flags, run, tests):
    """The white-box tests and the golden scripts with one object of the implementation, whose private functions are visible (tests/white.py)."""
    library = '%s/targets/white-%s.o' % (BUILD, name)
    code, text = sh([*cc, '-std=c99', *flags, '-DDREAMDB_TEST', '-DDREAMDB_TEST_SHARED', '-c', 'examples/dreamdb.c', '-o', library])
    if code:
        return [(report, (name + ' shared object', code, text))]
    white = [*flags, '-DTEST_WHITE', '-I%s/targets' % BUILD, library]
    return [(white_box, (name, cc, white, run, t)) for t in tests] + [(golden, (name, cc, flags, (), run, library))]


def exact_object(cc):
    return report('%s: no fused operations where bits are defined' % cc, *sh(['bash', 'tests/check_exact_object.sh', cc]))


def floats():
    cc = [os.environ.get('CC', 'cc')]
    sets = [('O0', ['-O0']), ('O3-native', ['-O3', '-march=native']), ('fast-math', ['-O2', '-ffast-math', '-march=native']), ('gnu-fma', ['-O3', '-march=native', '-ffp-contract=fast'])]
    jobs = [(golden, (n, cc, f)) for n, f in sets]
    for n, f in sets[1:3]:
        for t in ('exact', 'bound', 'kmeans', 'index'):
            if os.path.exists('tests/test_%s.c' % t):
                jobs.append((white_box, (n, cc, f, '', t)))
    jobs += [(exact_object, (c,)) for c in (cc[0], 'clang') if shutil.which(c)]
    return jobs, 0


def musl():
    if not shutil.which('musl-gcc'):
        print('musl: skip, no musl-gcc (musl-tools)')
        return [], 1
    return [(golden, ('musl', ['musl-gcc'], ['-O2', '-static']))], 0


def cross():
    code, _ = sh([sys.executable, '-m', 'ziglang', 'version'])
    if code:
        print('cross: skip, no zig (pip install ziglang)')
        return [], 1
    jobs, shared, skipped = [], [], 0
    zig = [sys.executable, '-m', 'ziglang', 'cc']
    for target, qemu, all_tests in (('aarch64-linux-musl', 'qemu-aarch64', True), ('s390x-linux-musl', 'qemu-s390x', True), ('riscv64-linux-musl', 'qemu-riscv64', False),
                                    ('arm-linux-musleabihf', 'qemu-arm', False)):
        if not shutil.which(qemu):
            print('cross: skip %s, no %s (qemu-user)' % (target, qemu))
            skipped += 1
            continue
        cc, flags = zig + ['-target', target], ['-O2', '-static']
        if all_tests:
            shared.append((target, cc, flags, qemu, CROSS_TESTS))
        else:
            jobs.append((golden, (target, cc, flags, (), qemu)))
    subprocess.run([sys.executable, 'tests/white.py', 'dreamdb.h', BUILD + '/targets/dreamdb_white.h'], check=True)
    for more in in_parallel(shared_jobs, shared):
        jobs += more
    return jobs, skipped


def in_parallel(call, jobs):
    with ThreadPoolExecutor(int(os.environ.get('JOBS', '2'))) as pool:
        return list(pool.map(lambda arguments: call(*arguments), jobs))


def timed(call, arguments):
    start = time.time()
    return call(*arguments), time.time() - start


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in ('floats', 'musl', 'cross'):
        sys.exit(__doc__)
    os.makedirs(BUILD + '/targets', exist_ok=True)
    start = time.time()
    jobs, skipped = {'floats': floats, 'musl': musl, 'cross': cross}[sys.argv[1]]()
    built, done = time.time() - start, in_parallel(timed, jobs)
    passed, failed = sum(result[1] for result, _ in done), sum(result[2] for result, _ in done)
    slowest = sorted(('%6.1f %s' % (seconds, result[0]) for result, seconds in done), reverse=True)[:5]
    print('ran in %.0f s, %.0f for shared objects; slowest: %s' % (time.time() - start, built, ', '.join(x.strip() for x in slowest)))
    print('%s: %d passed, %d failed%s' % (sys.argv[1], passed, failed, ', %d skipped' % skipped if skipped else ''))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
