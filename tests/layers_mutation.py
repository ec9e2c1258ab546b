#!/usr/bin/env python3
"""layers_mutation.py - proves that the layer check bites: the header as it is passes, and each planted fault is found."""
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = os.path.join(TOP, 'dreamdb.h')
BANNER = re.compile(r'^/\* ==== ROOM (\d+) (\w+) \| prefix (\w+) \|', re.M)


def check(text):
    with tempfile.NamedTemporaryFile('w', suffix='.h', delete=False) as f:
        f.write(text)
    try:
        p = subprocess.run([sys.executable, os.path.join(TOP, 'tools', 'layers.py'), '--max-function', '70', f.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return p.returncode
    finally:
        os.unlink(f.name)


def room_end(text, at):
    """Where the next room begins: code put there still belongs to the room at `at`."""
    later = BANNER.search(text, at + 10)
    return later.start() if later else text.index('#endif /* DREAMDB_IMPLEMENTATION */')


def main():
    text = open(HEADER).read()
    rooms = list(BANNER.finditer(text))
    first, last = rooms[1], rooms[-1]
    low, high = first.group(3), last.group(3)
    upward = re.search(r'\b(%s\w+)\(' % high, text[last.start():])
    end = room_end(text, first.start())
    plant = lambda code, at=end: text[:at] + code + '\n' + text[at:]
    faults = [
        ('a call of a room below', plant('static int %splanted(void) { return (int)sizeof(%s); }' % (low, upward.group(1) if upward else high + 'x'))),
        ('a public function called from the second room', plant('static int %splanted(void) { return dreamdb_close != 0; }' % low)),
        ('a name without the prefix', plant('static int stray_planted(void) { return 1; }')),
        ('a function of 80 lines', plant('static int %splanted(void)\n{\n' % low + '    ;\n' * 78 + '    return 1;\n}')),
        ('a room number twice', text.replace('ROOM %s %s' % (last.group(1), last.group(2)), 'ROOM %s %s' % (rooms[-2].group(1), last.group(2)))),
        ('a room that the contents do not name', text.replace('==== ROOM %s %s |' % (last.group(1), last.group(2)), '==== ROOM %s renamed |' % last.group(1))),
    ]
    passed = failed = 0
    for name, mutant, want in [('the header as it is', text, 0)] + [(n, m, 1) for n, m in faults]:
        good = (check(mutant) != 0) == (want != 0)
        passed, failed = passed + good, failed + (not good)
        if not good:
            print('layers: %s: %s' % (name, 'refused' if want == 0 else 'not found'))
    print('layers: %d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
