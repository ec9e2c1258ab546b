"""script.py: how the tests that are scripts (test_cli.py, test_scheduler.py) run what they hold."""
import os
import shutil
import sys
import tempfile


def run_tests(scope, prefix):
    """Runs the functions test_X of a script (scope: its globals()) in the order of the file, each in an empty folder; with names on the command
    line only those.  scope['here'] is the name of the one at work, scope['failed'] counts those that raise.  A name of no test ends with exit 2:
    a typing error must not look like a test that passes."""
    home = os.getcwd()
    tests = {n: f for n, f in scope.items() if n.startswith('test_')}
    wanted = [a if a.startswith('test_') else 'test_' + a for a in sys.argv[1:]]
    unknown = [w for w in wanted if w not in tests]
    if unknown:
        print('%s: no such test: %s' % (os.path.basename(sys.argv[0]), ' '.join(unknown)), file=sys.stderr)
        sys.exit(2)
    for name, test in tests.items():
        if wanted and name not in wanted:
            continue
        scope['here'] = name
        folder = tempfile.mkdtemp(prefix='ddb_%s_' % prefix)
        os.chdir(folder)
        try:
            test()
        except Exception as e:
            scope['failed'] += 1
            print('FAIL %s: %s: %s' % (name, type(e).__name__, str(e)[:300]), flush=True)
        os.chdir(home)
        shutil.rmtree(folder, ignore_errors=True)
