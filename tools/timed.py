#!/usr/bin/env python3
"""timed.py FILE COMMAND...: runs a command, prints it, writes how many seconds of processor time it took to FILE."""
import resource
import subprocess
import sys

print(' '.join(sys.argv[2:]), flush=True)
code = subprocess.call(sys.argv[2:])
use = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], 'w') as f:
    f.write('%.2f\n' % (use.ru_utime + use.ru_stime))
sys.exit(code)
