#!/usr/bin/env python3
"""Runs what examples/scheduler gives to Kubernetes, Slurm and a shell, on the words of examples/demo (4,000 + 2,500 GloVe vectors): four
processes, some of them killed, must make the very Manifest that one process makes.  The Kubernetes file is checked against the API's schema
where kubernetes-validate is installed or can be (pip, once, into build/); else that is said and skipped.
Usage: test_scheduler.py [name ...]   BUILD=build"""
import json, os, random, re, shutil, signal, subprocess, sys, time
from script import run_tests

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, os.environ.get('BUILD', 'build'))
DREAMDB = os.path.join(BUILD, 'dreamdb')
HERE = os.path.join(TOP, 'examples', 'scheduler')
DEMO = os.path.join(TOP, 'examples', 'demo')
NOW = '2000000000000000000'
passed = failed = skipped = 0
here = ''


def check(good, what):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print('FAIL %s: %s' % (here, what), flush=True)


def run(command, code=0, env=None, **more):
    p = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300,
                       env=dict(os.environ, DREAMDB=DREAMDB, **(env or {})), **more)
    out, err = p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')
    check(code is None or p.returncode == code, '%s exits %d, not %s: %s' % (' '.join(map(str, command)), p.returncode, code, (out + err)[-400:]))
    return out


def dreamdb(*args, **more):
    return run([DREAMDB, *args], **more)


def tip(store):
    return json.loads(dreamdb('--store', store, 'log', 'main', '--json').splitlines()[0])['manifest']


def make(store):
    dreamdb('--store', store, 'create', 'main', '--field', 'emb:embedding,dim=50,train=%s/vectors.npy,k=30' % DEMO, '--nonce', '00' * 16, '--now-ns', 1000)
    dreamdb('--store', store, 'append', 'main', '--column', 'emb=%s/vectors.npy' % DEMO, '--anchor-start', 0, '--now-ns', 2000)
    dreamdb('--store', store, 'append', 'main', '--column', 'emb=%s/more.npy' % DEMO, '--anchor-start', 4000, '--now-ns', 3000)


def whole(store, manifest):
    check(tip(store) == manifest, '%s: the tip is %s, one process makes %s' % (store, tip(store), manifest))
    check('no fault' in dreamdb('--store', store, 'verify', 'main'), 'verify')
    check(dreamdb('--store', store, 'count', 'main').strip() == '6,500', 'all rows')


def alone():
    make('one')
    dreamdb('--store', 'one', 'ada-ivf-step', 'main', '--max-cells', 64, '--now-ns', NOW)
    return tip('one')


# ---- The shell ----

def test_step():
    manifest = alone()
    make('s')
    out = run([HERE + '/step.sh', 's', 'main', 4, '--max-cells', 64, '--now-ns', NOW], env={'JOB': 'j1'})
    check(out.count('share ') == 8 and out.count('proposed') == 4 and 'stepped main' in out, 'step.sh: %s' % out)
    whole('s', manifest)
    out = run([HERE + '/step.sh', 's', 'main', 4, '--max-cells', 64, '--now-ns', NOW], env={'JOB': 'j1'})
    check('ended already' in out, 'run again after the end: %s' % out)
    whole('s', manifest)


def test_step_gnu_parallel():
    """Where GNU parallel is missing a stand-in takes its place: it runs the command once a line, {} replaced, and once more after a failure."""
    manifest = alone()
    make('s')
    env = {'JOB': 'j1'}
    if not shutil.which('parallel'):
        os.mkdir('bin')
        with open('bin/parallel', 'w') as f:
            f.write('#!%s\n' % sys.executable + '''import subprocess, sys
if sys.argv[1:] == ['--version']:
    print('GNU parallel (a stand-in)')
    sys.exit(0)
words = sys.argv[1 + len(['--halt', 'x', '--retries', '3', '-j', '4']):]
lines = sys.stdin.read().split()
todo = [subprocess.Popen([w.replace('{}', x) for w in words]) for x in lines]
sys.exit(any([p.wait() for p in todo]))
''')
        os.chmod('bin/parallel', 0o755)
        env['PATH'] = os.path.abspath('bin') + ':' + os.environ['PATH']
    run([HERE + '/step.sh', 's', 'main', 4, '--max-cells', 64, '--now-ns', NOW], env=env)
    whole('s', manifest)


def test_killed():
    """Every stage is killed again and again, at any moment; then it is run to its end."""
    manifest = alone()
    make('s')
    step = [DREAMDB, '--store', 's', '--threads', '1', 'ada-ivf-step', 'main', '--job-id', 'k']
    draw = random.Random(7)
    plan, shares = [*step, '--orchestrate', '--propose', '--max-cells', '64', '--now-ns', NOW], [[*step, '--shard', str(i), '--of', '4'] for i in range(4)]
    stages = [plan, *shares, plan, *shares, [*step, '--orchestrate', '--finish']]
    kills = 0
    for stage in stages:
        shutil.rmtree('copy', ignore_errors=True)
        shutil.copytree('s', 'copy')
        start = time.time()
        run([w if w != 's' else 'copy' for w in stage], code=None)
        took = time.time() - start
        for _ in range(6):
            p = subprocess.Popen(stage, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                p.wait(draw.random() * took)
            except subprocess.TimeoutExpired:
                p.send_signal(signal.SIGKILL)
                kills += p.wait() == -signal.SIGKILL
        last = stage[-1] == '--finish'
        p = subprocess.run(stage, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        check(p.returncode == 0, '%s: %s' % (stage[7:], p.stderr[-300:]))
    check(kills > 3, 'only %d were killed in time' % kills)
    check(last, 'the end came last')
    whole('s', manifest)


def test_ingest():
    dreamdb('--store', 's', 'create', 'main', '--field', 'emb:embedding,dim=50,train=%s/vectors.npy,k=30' % DEMO)
    for turn in range(2):
        run([HERE + '/ingest.sh', 's', 'main', 4, 0, 'emb=%s/vectors.npy' % DEMO], env={'JOB': 'load'})
        check(dreamdb('--store', 's', 'count', 'main').strip() == '4,000', 'every row once')
    check(dreamdb('--store', 's', 'refs', '--json').count('\n') == 1, 'the branches are gone')
    check('no fault' in dreamdb('--store', 's', 'verify', 'main'), 'verify')
    make('one')
    for anchor in (0, 999, 1000, 2500, 3999):
        row = [json.loads(dreamdb('--store', s, 'get', 'main', anchor, '--json')) for s in ('s', 'one')]
        check(row[0] == row[1], 'row %d is the same as by one writer' % anchor)


# ---- A rebuild ----

REBUILD = ['--k', '60', '--iterations', '3', '--sample', '2000', '--memory', '2M', '--now-ns', NOW]


def rebuilt():
    make('one')
    dreamdb('--store', 'one', 'rebuild-ivf', 'main', *REBUILD)
    return tip('one')


def test_rebuild():
    """rebuild.sh with four processes, run once more after its end, and with what a crash in the middle leaves."""
    manifest = rebuilt()
    make('s')
    out = run([HERE + '/rebuild.sh', 's', 'main', 4, *REBUILD], env={'JOB': 'j1'})
    check(out.count('is done') == 4 and 'rebuilt main' in out, 'rebuild.sh: %s' % out)
    whole('s', manifest)
    check('ended already' in run([HERE + '/rebuild.sh', 's', 'main', 4, *REBUILD], env={'JOB': 'j1'}), 'run again after the end')
    whole('s', manifest)


def test_rebuild_killed():
    """Every stage is killed again and again, the shares all at once; then it is run to its end."""
    manifest = rebuilt()
    make('s')
    job = [DREAMDB, '--store', 's', '--threads', '1', 'rebuild-ivf', 'main', '--job-id', 'k']
    draw = random.Random(11)
    shares = [[*job, '--shard', str(i), '--of', '4', '--wait', '5m'] for i in range(4)]
    kills = 0
    for stage in ([[*job, '--orchestrate', *REBUILD]], shares, [[*job, '--orchestrate', '--finish']]):
        for turn in range(6):
            running = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for c in stage]
            time.sleep((0, .003, .01, .02, .04, .1)[turn] * (.5 + draw.random()))       # the first kill finds every process
            for p in running:
                p.kill()
                kills += p.wait() == -signal.SIGKILL
        running = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for c in stage]
        for p in running:
            err = p.communicate(timeout=200)[1]
            check(p.returncode == 0, '%s: %s' % (p.args[7:], err[-300:]))
    check(kills >= 6, 'only %d were killed in time' % kills)
    whole('s', manifest)
    check(not [f for f in os.listdir('s/_ada_ivf/k') if f.endswith('.run')], 'the runs are gone')


# ---- Slurm: a stand-in for sbatch runs what it is given at once, arrays one after the other ----

def test_slurm():
    manifest = alone()
    make('s')
    os.mkdir('bin')
    with open('bin/sbatch', 'w') as f:
        f.write('#!%s\n' % sys.executable + '''import os, re, subprocess, sys
array = [re.match(r'--array=(\\d+)-(\\d+)$', w) for w in sys.argv]
spans = [range(int(m.group(1)), int(m.group(2)) + 1) for m in array if m]
for task in spans[0] if spans else [None]:
    env = dict(os.environ, **({'SLURM_ARRAY_TASK_ID': str(task)} if task is not None else {}))
    subprocess.run(['bash', sys.argv[-1]], env=env, check=True, stdout=subprocess.DEVNULL)
open('asked', 'a').write(' '.join(sys.argv[1:-1]) + '\\n')
print('%d;cluster' % (len(open('asked').readlines()) * 100))
''')
    os.chmod('bin/sbatch', 0o755)
    # slurm.sh takes no --now-ns: the step has the time of today, so its rows are compared
    out = run(['bash', HERE + '/slurm.sh', os.path.abspath('s'), 'main', 4], env={'PATH': os.path.abspath('bin') + ':' + os.environ['PATH'], 'JOB': 'sl'})
    check('opening 100, splits 200, plan 300, shares 400, end 500' in out, out)
    asked = open('asked').read().splitlines()
    check('--dependency=afterok:100' in asked[1] and '--array=0-3' in asked[1] and asked[3].count('--array=0-3') == 1 and '--dependency=afterok:400' in asked[4], '%s' % asked)
    check('no fault' in dreamdb('--store', 's', 'verify', 'main') and dreamdb('--store', 's', 'count', 'main').strip() == '6,500', 'rows')
    check('ada_ivf_step' in dreamdb('--store', 's', 'log', 'main', '--json').splitlines()[0], 'the step is the tip')
    check(manifest != tip('s'), 'another time, another Manifest')


# ---- Kubernetes ----

def jobs():
    try:
        import yaml
    except ImportError:
        return None
    with open(HERE + '/kubernetes.yaml') as f:
        return list(yaml.safe_load_all(f))


def skip(why):
    global skipped
    skipped += 1
    print('skip %s: %s' % (here, why), flush=True)


def test_kubernetes_commands():
    """The pods' own commands, all started at once, in a bad order: workers and end wait."""
    all_jobs = jobs()
    if not all_jobs:
        return skip('no PyYAML')
    manifest = alone()
    make('s')
    pods = []
    for job in all_jobs:
        spec = job['spec']
        command = spec['template']['spec']['containers'][0]['command']
        count = spec.get('completions', 1)
        if count > 1:
            check(spec['completionMode'] == 'Indexed' and command[command.index('--of') + 1] == str(count), '--of is the number of pods')
        pods += [[w.replace('$(JOB_COMPLETION_INDEX)', str(i)) for w in command[1:]] for i in range(count)]
    check(len(pods) == 10, '1 plan, 8 workers, 1 end')
    env = dict(os.environ, DREAMDB_STORE=os.path.abspath('s'))
    plan = [DREAMDB, *pods[0], '--max-cells', '64', '--now-ns', NOW]
    running = [subprocess.Popen([DREAMDB, *pod], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for pod in reversed(pods[1:])]
    time.sleep(0.5)
    check(all(p.poll() is None for p in running), 'all wait for the plan')
    running.append(subprocess.Popen(plan, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    for p in running:
        out, err = p.communicate(timeout=120)
        check(p.returncode == 0, '%s: %s' % (p.args[1:], err.decode()[-300:]))
    whole('s', manifest)


def test_kubernetes_schema():
    all_jobs = jobs()
    if not all_jobs:
        return skip('no PyYAML')
    folder = os.path.join(BUILD, 'kubernetes-validate')
    sys.path.insert(0, folder)
    try:
        import kubernetes_validate
    except ImportError:
        p = subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--target', folder, 'kubernetes-validate==1.37.0'], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=200) if os.environ.get('DREAMDB_NETWORK') else None
        if not p or p.returncode:
            return skip('kubernetes-validate is not installed' + ('' if p else ' (DREAMDB_NETWORK=1 fetches it)'))
        import kubernetes_validate
    for job in all_jobs:
        try:
            kubernetes_validate.validate(job, '1.31', strict=True)
            check(True, '')
        except Exception as e:
            check(False, '%s: %s' % (job['metadata']['name'], str(e)[:300]))
    broken = json.loads(json.dumps(all_jobs[1]).replace('completionMode', 'completionMood'))
    try:
        kubernetes_validate.validate(broken, '1.31', strict=True)
        check(False, 'the validator takes anything')
    except Exception:
        check(True, '')


def main():
    global here
    if not os.access(DREAMDB, os.X_OK):
        print('scheduler: %s is not there: run make first' % DREAMDB)
        sys.exit(1)
    for script in sorted(os.listdir(HERE)):
        if script.endswith('.sh'):
            here = script
            run(['bash' if script == 'slurm.sh' else 'sh', '-n', os.path.join(HERE, script)])
    run_tests(globals(), 'scheduler')
    print('scheduler: %d passed, %d failed, %d skipped' % (passed, failed, skipped))
    sys.exit(failed > 0)


if __name__ == '__main__':
    main()
