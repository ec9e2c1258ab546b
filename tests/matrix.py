#!/usr/bin/env python3
"""matrix.py hygiene|warnings|configs - the header under compilers, standards and switches.

  hygiene   style of the text; the public half alone in C and C++; included four times; two units and a private copy linked;
            exported symbols; public sizes equal under every switch
  warnings  the whole implementation, strict warnings as errors, gcc and clang, C99 to C23 and C++17, some at -O2
  configs   each configuration switch alone and all together: compiles, runs tests/smoke.c"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(TOP)
CC, CXX = os.environ.get('CC', 'cc'), os.environ.get('CXX', 'c++')
WARN = '-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror'.split()
SWITCHES = ['DREAMDB_STATIC', 'DREAMDB_NO_THREADS', 'DREAMDB_NO_STDIO', 'DREAMDB_NO_SIMD', 'DREAMDB_NO_LIBC_ALLOC', 'DREAMDB_TEST']
ALL = SWITCHES[:-1]
HEADER = open('dreamdb.h').read()
PUBLIC = HEADER[:HEADER.index('#if defined(DREAMDB_IMPLEMENTATION) && !defined(DREAMDB_IMPLEMENTED)')]


def sh(command, **more):
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    return p.returncode, p.stdout.decode(errors='replace')


class Checks:
    def __init__(self):
        self.jobs, self.skipped = [], []
        self.work = tempfile.mkdtemp(prefix='matrix-')

    def add(self, name, call, *arguments):
        self.jobs.append((name, call, arguments))

    def compile(self, name, command):
        self.add(name, lambda: sh(command))

    def skip(self, name):
        self.skipped.append(name)

    def file(self, name, text):
        path = os.path.join(self.work, name)
        with open(path, 'w') as f:
            f.write(text.replace('@@', os.path.join(TOP, 'dreamdb.h')))
        return path

    def end(self, what):
        failed = 0
        with ThreadPoolExecutor(int(os.environ.get('JOBS', '2'))) as pool:
            for (name, _, _), (code, out) in zip(self.jobs, pool.map(lambda j: j[1](*j[2]), self.jobs)):
                if code != 0:
                    failed += 1
                    print('%s: %s FAILED' % (what, name))
                    print('\n'.join('  | ' + x for x in out.splitlines()[:14]))
        shutil.rmtree(self.work, ignore_errors=True)
        for name in self.skipped:
            print('%s: skip %s' % (what, name))
        print('%s: %d passed, %d failed%s' % (what, len(self.jobs) - failed, failed, ', %d skipped' % len(self.skipped) if self.skipped else ''))
        return 1 if failed else 0


def style():
    wrong, public = [], PUBLIC.count('\n')
    for i, line in enumerate(HEADER.split('\n'), 1):
        if len(line) > 140 and '==== ROOM' not in line:   # a banner is one line, for tools to read
            wrong.append('line %d has %d characters' % (i, len(line)))
        if '\t' in line or line.rstrip() != line:
            wrong.append('line %d has a tab or ends in blanks' % i)
        if not line.isascii():
            wrong.append('line %d is not ASCII' % i)
        if re.search(r'\bgoto\b', line):
            wrong.append('line %d has a goto' % i)
    for path in sorted(p for d in ('tools', 'tools/bench', 'tests', 'tests/fuzz', 'tests/interop', 'examples') for p in glob.glob(d + '/*.[ch]')):
        for i, line in enumerate(open(path).read().split('\n'), 1):
            if len(line) > 140 and path == 'tools/dreamdb.c':   # the command is read as the header is; tests may have long rows of a table
                wrong.append('%s:%d has %d characters' % (path, i, len(line)))
            if '\t' in line or line.rstrip() != line:
                wrong.append('%s:%d has a tab or ends in blanks' % (path, i))
    return (1 if wrong else 0), '\n'.join(wrong[:12])


def symbols(checks):
    """Everything the object exports begins with dreamdb_; nothing of libm is needed."""
    obj = os.path.join(os.environ.get('BUILD', 'build'), 'dreamdb.o')
    if not os.path.exists(obj):
        obj = os.path.join(checks.work, 'symbols.o')
        code, out = sh([CC, '-std=c99', '-O1', '-c', 'examples/dreamdb.c', '-o', obj])
        if code:
            return code, out
    code, out = sh(['nm', '-g', obj])
    if code:
        return code, out
    rows = [x.split() for x in out.splitlines() if x.strip()]
    exported = [r[-1].lstrip('_') for r in rows if len(r) == 3]
    needed = [r[-1] for r in rows if len(r) == 2]
    wrong = [x for x in exported if not x.startswith('dreamdb_')] + [x for x in needed if x in ('sqrt', 'sqrtf', 'floor', 'pow', 'exp', 'log', 'printf', 'exit', 'abort') and x != 'abort']
    declared = set(re.findall(r'^DREAMDB_API [\w \*]*?\b(dreamdb_\w+)\s*\(', PUBLIC, re.M))
    wrong += ['declared but not there: ' + x for x in sorted(declared - set(exported))]
    return (1 if wrong or not exported else 0), 'unexpected: ' + ' '.join(wrong)


def sizes(checks):
    names = sorted(set(re.findall(r'^typedef struct (dreamdb_\w+) \{', PUBLIC, re.M)))
    names += sorted(set(re.findall(r'^typedef enum (dreamdb_\w+) \{', PUBLIC, re.M)))
    body = '#include "@@"\n#include <stdio.h>\nint main(void) {\n' + ''.join('    printf("%s %%lu\\n", (unsigned long)sizeof(%s));\n' % (n, n) for n in names) + '    return 0;\n}\n'
    source, cpp = checks.file('sizes.c', body), checks.file('sizes.cpp', body)
    first, wrong = None, []
    ways = [[CC, '-std=c99', source]] + [[CC, '-std=c99', '-D' + s, source] for s in SWITCHES] + [[CC, '-std=c99'] + ['-D' + s for s in ALL] + [source]]
    if shutil.which(CXX):
        ways.append([CXX, '-std=c++17', cpp])
    for i, way in enumerate(ways):
        out = os.path.join(checks.work, 'sizes%d' % i)
        code, text = sh(way + ['-o', out])
        if code == 0:
            code, text = sh([out])
        if code:
            return code, text
        first = first or text
        if text != first:
            wrong.append(' '.join(way[1:-1]))
    return (1 if wrong or not first else 0), 'sizes change with ' + ', '.join(wrong)


def link_units(checks):
    """Two units share one implementation, a third keeps a private copy; all in one program."""
    impl = checks.file('impl.c', '#define DREAMDB_IMPLEMENTATION\n#include "@@"\n')
    one = checks.file('one.c', '#include "@@"\n#include "@@"\nconst char *one(void) { return dreamdb_status_name(DREAMDB_OK); }\n')
    copy = checks.file('copy.c', '#define DREAMDB_STATIC\n#define DREAMDB_IMPLEMENTATION\n#include "@@"\nconst char *copy(void); const char *copy(void) { return dreamdb_status_name(DREAMDB_OK); }\n')
    main = checks.file('main.c', '#include "@@"\n#include <string.h>\nconst char *one(void); const char *copy(void);\nint main(void) { return strcmp(one(), copy()) != 0; }\n')
    out = os.path.join(checks.work, 'linked')
    code, text = sh([CC, '-std=c99', '-O1', impl, one, copy, main, '-lpthread', '-o', out])
    return sh([out]) if code == 0 else (code, text)


def hygiene():
    c = Checks()
    c.add('style of the text', style)
    four = c.file('four.c', '#include "@@"\n' * 4 + 'int four;\n')
    cpp = c.file('four.cpp', '#include "@@"\n' * 4 + 'int four;\n')
    impl4 = c.file('impl4.c', '#define DREAMDB_IMPLEMENTATION\n' + '#include "@@"\n' * 4)
    for std in ('c99', 'c11', 'c17', 'gnu99'):
        c.compile('public half four times, ' + std, [CC, '-std=' + std, *WARN, '-fsyntax-only', four])
    if shutil.which(CXX):
        for std in ('c++11', 'c++17', 'c++20'):
            c.compile('public half four times, ' + std, [CXX, '-std=' + std, *WARN, '-fsyntax-only', cpp])
    else:
        c.skip('C++: no ' + CXX)
    c.compile('implementation included four times', [CC, '-std=c99', '-fsyntax-only', impl4])
    c.add('two units and a private copy link', link_units, c)
    c.add('exported symbols', symbols, c)
    c.add('public sizes under every switch', sizes, c)
    return c.end('hygiene')


def warnings():
    c = Checks()
    c99 = c.file('impl.c', '#define DREAMDB_IMPLEMENTATION\n#include "@@"\n')
    cpp = c.file('impl.cpp', '#define DREAMDB_IMPLEMENTATION\n#include "@@"\n')
    for cc, cxx in (('gcc', 'g++'), ('clang', 'clang++')):
        if not shutil.which(cc):
            c.skip(cc)
            continue
        for std in ('c99', 'c11', 'c17', 'c2x', 'gnu11'):
            c.compile('%s %s' % (cc, std), [cc, '-std=' + std, *WARN, '-fsyntax-only', c99])
        for level in ('-O0', '-O2', '-O3'):
            c.compile('%s c99 %s' % (cc, level), [cc, '-std=c99', *WARN, level, '-c', c99, '-o', os.path.join(c.work, cc + level + '.o')])
        if shutil.which(cxx):
            c.compile('%s c++17' % cxx, [cxx, '-std=c++17', *WARN, '-fsyntax-only', cpp])
            c.compile('%s c++20' % cxx, [cxx, '-std=c++20', *WARN, '-fsyntax-only', cpp])
            c.compile('%s c++17 -O2' % cxx, [cxx, '-std=c++17', *WARN, '-O2', '-c', cpp, '-o', os.path.join(c.work, cxx + '.o')])
        else:
            c.skip(cxx)
    return c.end('warnings')


def run_config(checks, cc, name, defines):
    """gcc finds some warnings only when it optimises; clang all of them before, and -O0 takes it a seventh of the time."""
    out, level = os.path.join(checks.work, 'smoke-' + cc + '-' + name), '-O1' if cc == 'gcc' else '-O0'
    link = [] if 'DREAMDB_NO_THREADS' in defines else ['-lpthread']
    code, text = sh([cc, '-std=c99', *WARN, level, '-DDREAMDB_IMPLEMENTATION'] + ['-D' + d for d in defines] + ['tests/smoke.c'] + link + ['-o', out])
    return sh([out]) if code == 0 else (code, text)


def configs():
    c = Checks()
    for cc in ('gcc', 'clang'):
        if not shutil.which(cc):
            c.skip(cc)
            continue
        for name, defines in [('default', [])] + [(s, [s]) for s in SWITCHES] + [('together', ALL)]:
            c.add('%s %s' % (cc, name), run_config, c, cc, name, defines)
    return c.end('configs')


if __name__ == '__main__':
    if sys.argv[1:] not in (['hygiene'], ['warnings'], ['configs']):
        sys.exit(__doc__)
    sys.exit({'hygiene': hygiene, 'warnings': warnings, 'configs': configs}[sys.argv[1]]())
