#!/usr/bin/env python3
"""readme_example.py - takes the C example out of README.md, compiles it as it is told there, runs it, compares what it prints with what
the README says.  Checks besides that the commands and files that README names exist."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CC = os.environ.get('CC', 'cc')


def main():
    text = open(os.path.join(TOP, 'README.md')).read()
    code = re.search(r'<!-- example: (\S+) -->\n```c\n(.*?)```\n', text, re.S)
    wanted = re.search(r'<!-- prints -->\n```\n(.*?)```\n', text, re.S)
    if not code or not wanted:
        print('readme: the example or its output is not marked\nreadme: 0 passed, 1 failed')
        return 1
    passed, failed = 0, 0
    work = tempfile.mkdtemp(prefix='readme-')
    try:
        open(os.path.join(work, code[1]), 'w').write(code[2])
        open(os.path.join(work, 'dreamdb.c'), 'w').write('#define DREAMDB_IMPLEMENTATION\n#include "dreamdb.h"\n')
        shutil.copy(os.path.join(TOP, 'dreamdb.h'), work)
        ready = os.path.join(TOP, os.environ.get('BUILD', 'build'), 'dreamdb.o')       # the same two lines, compiled already
        library = ready if os.path.exists(ready) else 'dreamdb.c'
        command = [CC, '-std=c99', '-Wall', '-Wextra', '-Werror', code[1], library, '-lpthread', '-o', 'example']
        p = subprocess.run(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode == 0:
            p = subprocess.run([os.path.join(work, 'example')], cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        if p.returncode == 0 and p.stdout == wanted[1]:
            passed += 1
        else:
            failed += 1
            print('readme: the example gives (exit %d):\n%s\nthe README says:\n%s' % (p.returncode, p.stdout, wanted[1]))
    finally:
        shutil.rmtree(work)
    for path in sorted(set(re.findall(r'\]\(((?!http)[^)#]+)\)', text))):
        good = os.path.exists(os.path.join(TOP, path))
        passed, failed = passed + good, failed + (not good)
        if not good:
            print('readme: %s is linked and not there' % path)
    makefile = open(os.path.join(TOP, 'Makefile')).read()
    for target in sorted(set(re.findall(r'`make ([a-z-]+)`', text))):
        good = re.search(r'(^|[ \t])%s( |:)' % re.escape(target), makefile, re.M) is not None
        passed, failed = passed + good, failed + (not good)
        if not good:
            print('readme: there is no make %s' % target)
    print('readme: %d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
