#!/usr/bin/env python3
"""s3_test.py [--server KIND]... [--bench] - the store of dreamdb_s3.h against real servers on loopback.

Servers: versitygw and minio (looked for in PATH, $GOBIN, build/s3-bin, ~/go/bin; S3_INSTALL=1 builds what is missing with `go install`,
pinned), and a plain HTTP server of the standard library.  What cannot be had is skipped, with the reason.
Last line: "N passed, N failed, N skipped"."""
import argparse
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(TOP, 'tests', 's3')
BUILD = os.path.join(TOP, os.environ.get('BUILD', 'build'))
COMMAND, RACE = os.path.join(BUILD, 'dreamdb'), os.path.join(BUILD, 's3_race')
KEY, SECRET = 'dreamtest', 'dreamtestsecret'
PINNED = {'versitygw': 'github.com/versity/versitygw/cmd/versitygw@v1.8.0', 'minio': 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c'}
BINARIES = os.path.join(TOP, 'build', 's3-bin')
count = [0, 0, 0]
work = tempfile.mkdtemp(prefix='dreamdb_s3_')


def check(good, what, more=''):
    count[0 if good else 1] += 1
    if not good:
        print('FAIL %s%s' % (what, '\n     ' + str(more).strip()[-600:].replace('\n', '\n     ') if more else ''), flush=True)
    return good


def skip(what, why):
    count[2] += 1
    print('skip %s: %s' % (what, why), flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def find(kind):
    for folder in os.environ.get('PATH', '').split(':') + [os.environ.get('GOBIN', ''), BINARIES, os.path.expanduser('~/go/bin')]:
        path = os.path.join(folder, kind)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    if os.environ.get('S3_INSTALL') and shutil.which('go'):
        print('go install %s (minutes, the first time)' % PINNED[kind], flush=True)
        try:
            p = subprocess.run(['go', 'install', '-ldflags', '-s -w', PINNED[kind]], env=dict(os.environ, GOBIN=BINARIES), timeout=900,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if p.returncode == 0:
                return os.path.join(BINARIES, kind)
            print(p.stdout.decode(errors='replace')[-300:])
        except subprocess.TimeoutExpired:
            print('go install took more than 900 s')
    return None


def environment(endpoint=None, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith('AWS_') and k.lower() not in ('http_proxy', 'https_proxy', 'all_proxy', 'dreamdb_store')}
    env.update(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION='us-east-1')
    if endpoint:
        env['AWS_ENDPOINT_URL'] = endpoint
    env.update({k: v for k, v in more.items() if v is not None})
    for k in [k for k, v in more.items() if v is None]:
        env.pop(k, None)
    return env


class Server:
    """A process that listens on a port of loopback, ended by its own id."""
    def __init__(self, arguments, port, env=None):
        self.port, self.log = port, open(os.path.join(work, 'server%d.log' % port), 'wb')
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=env)
        for _ in range(300):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(('127.0.0.1', port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError('%s did not come up: %s' % (arguments[0], open(self.log.name, errors='replace').read()[-300:]))

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(kind, path):
    port, data = free_port(), tempfile.mkdtemp(dir=work)
    if kind == 'versitygw':
        server = Server([path, '-q', '--keep-alive', '--port', '127.0.0.1:%d' % port, '-a', KEY, '-s', SECRET, 'posix', data], port)
    else:
        env = dict(os.environ, MINIO_ROOT_USER=KEY, MINIO_ROOT_PASSWORD=SECRET, MINIO_BROWSER='off', MINIO_UPDATE='off')
        server = Server([path, 'server', '--quiet', '--address', '127.0.0.1:%d' % port, data], port, env)
        time.sleep(2)
    for _ in range(20):
        status = signed('PUT', port, '/bucket')
        if status in (200, 409):
            break
        time.sleep(0.5)
    return server


def signed(method, port, path):
    """A request of our own, signed here: the bucket must be there before the store is."""
    stamp, empty = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime()), hashlib.sha256(b'').hexdigest()
    host = '127.0.0.1:%d' % port
    names = 'host;x-amz-content-sha256;x-amz-date'
    request = '\n'.join([method, path, '', 'host:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n' % (host, empty, stamp), names, empty])
    scope = '%s/us-east-1/s3/aws4_request' % stamp[:8]
    key = ('AWS4' + SECRET).encode()
    for part in (stamp[:8], 'us-east-1', 's3', 'aws4_request'):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = '\n'.join(['AWS4-HMAC-SHA256', stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=20)
    c.request(method, path, headers={'host': host, 'x-amz-date': stamp, 'x-amz-content-sha256': empty, 'content-length': '0',
              'authorization': 'AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s' % (KEY, scope, names, signature)})
    return c.getresponse().status


def run(arguments, env, seconds=120):
    try:
        p = subprocess.run(arguments, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return p.returncode, p.stdout.decode(errors='replace')
    except subprocess.TimeoutExpired as e:
        return -1, 'stopped after %d s: %s' % (seconds, (e.stdout or b'').decode(errors='replace'))


def dream(store, env, *arguments, want=0, seconds=120):
    code, out = run([COMMAND, '--store', store, *arguments], env, seconds)
    check(code == want, '%s %s: exit %d, not %d' % (store, ' '.join(arguments), code, want), out)
    return out


def counted(name, arguments, env, seconds=240):
    code, out = run(arguments, env, seconds)
    last = out.strip().splitlines()[-1] if out.strip() else ''
    words = last.split()
    good = code == 0 and len(words) == 4 and words[1].startswith('passed')
    if good:
        count[0] += int(words[0])
    else:
        check(False, name, out)
    return out


def vectors():
    import numpy as np
    rng = np.random.default_rng(7)
    np.save(os.path.join(work, 'v.npy'), rng.standard_normal((600, 16)).astype('f4'))
    np.save(os.path.join(work, 'q.npy'), rng.standard_normal((3, 16)).astype('f4'))
    os.makedirs(os.path.join(work, 'images'), exist_ok=True)
    for i in range(600):
        with open(os.path.join(work, 'images', '%04d.jpg' % i), 'wb') as f:
            f.write(b'\xff\xd8' + bytes([i % 251]) * (500 + i))
    with open(os.path.join(work, 'labels.txt'), 'w') as f:
        f.write(''.join('%s\n' % 'cat dog eel'.split()[i % 3] for i in range(600)))


FIELDS = ['--field', 'emb:embedding,dim=16,index=lsh,bits=3', '--field', 'image:image', '--field', 'label:categorical']


def fixed(n):
    return ['--seed', str(n), '--now-ns', str(1700000000000000000 + n * 1000000), '--nonce', '00112233445566778899aabbccddeeff']


def life(store, env, *more):
    """The same verbs on any store; every line that they print is returned, so that stores can be compared."""
    w = lambda name: os.path.join(work, name)
    told = lambda *arguments: dream(store, env, *arguments, *more)
    columns = ['--column', 'emb=' + w('v.npy'), '--column', 'image=' + w('images'), '--column', 'label=' + w('labels.txt')]
    out = [told('create', 'main', *FIELDS, *fixed(1))]
    out.append(told('append', 'main', *columns, '--anchor-start', '1', '--batch', '250', *fixed(2)))
    out.append(told('branch', 'main', 'side', *fixed(3)))
    out.append(told('append', 'side', *columns, '--anchor-start', '10001', *fixed(4)))
    out.append(told('delete', 'main', '17', '18', *fixed(5)))
    out.append(told('merge', 'main', 'side', *fixed(6)))
    for ref in ('main', 'side', 'main~1'):
        out.append(told('query', ref, 'emb', '--vector', w('q.npy'), '--top-k', '5', '--fields', 'label', '--json'))
        out.append(told('count', ref))
    out.append(told('scan', 'main', '--fields', 'label,image', '--limit', '40', '--json'))
    out.append(told('log', 'main', '--json'))
    out.append(told('refs', '--json'))
    verified = told('verify', 'main', '--json')
    check('"faults":[]' in verified, store + ': verify finds nothing', verified)
    return out


def same(name, got, model):
    """Every verb prints what it prints on a directory (append counts objects, and a directory has small outboards too)."""
    objects = re.compile(r': [\d,]+ objects, .*')
    got, model = [[objects.sub('', text) for text in all_of] for all_of in (got, model)]
    first = next((pair for pair in zip(got, model) if pair[0] != pair[1]), None)
    check(first is None, name + ': every verb prints what it prints on a directory', first)


def errors(port, env, endpoint):
    def says(what, store, more, *words, want=1):
        out = dream(store, environment(endpoint, **more), 'count', 'main', want=want)
        check(all(w in out for w in words) and SECRET not in out, what, out)
    says('a wrong secret', 's3://bucket/p', {'AWS_SECRET_ACCESS_KEY': 'not the secret'}, '403', 'SignatureDoesNotMatch', 'secret')
    says('an unknown key', 's3://bucket/p', {'AWS_ACCESS_KEY_ID': 'nobody'}, 'key')
    says('no keys', 's3://bucket/p', {'AWS_ACCESS_KEY_ID': None}, '403', 'AWS_ACCESS_KEY_ID')
    says('no bucket', 's3://no-such-bucket/p', {}, 'NoSuchBucket', 'no-such-bucket')
    says('nobody listens', 's3://bucket/p', {'AWS_ENDPOINT_URL': 'http://127.0.0.1:%d' % free_port()}, 'no connection', '127.0.0.1')
    out = dream('s3://bucket/p', environment(endpoint, AWS_REGION='eu-west-7'), 'count', 'main')
    check(out.strip() == '1,198', 'a wrong region is mended by the server\'s answer', out)
    out = dream('s3://bucket/nothing', env, 'count', 'main', want=4)
    check("no ref 'main'" in out, 'no such ref', out)


def reference(endpoint):
    try:
        import dreamdb  # noqa: F401
    except ImportError:
        return skip('reference beside us', 'the PyPI package dreamdb is not installed')
    script = '''
import sys, dreamdb as db
backend, step = sys.argv[1:3]
import numpy as np
v = np.load(sys.argv[3])
if step == "write":
    s = db.Schema().add_embedding("emb", dim=16, lsh_bits=3).add_scalar_categorical("label")
    ds = db.Dataset.create("theirs", s, backend=backend)
    ds.append_many([{"_anchor": i + 1, "emb": v[i], "label": "cat"} for i in range(50)])
ds = db.Dataset.open(sys.argv[4], backend=backend)
if step == "add": ds.append_many([{"_anchor": 900 + i, "emb": v[i], "label": "dog"} for i in range(5)])
print(len(ds.list_anchors()), len(list(ds.iter_vector("emb", v[3].tolist(), top_k=3))), sorted(ds.list_refs()) if hasattr(ds, "list_refs") else "")
'''
    backend, env = endpoint + '/bucket', environment(endpoint)
    v = os.path.join(work, 'v.npy')
    half = os.path.join(work, 'half.npy')
    import numpy as np
    np.save(half, np.load(v)[:40])
    with open(os.path.join(work, 'half.txt'), 'w') as f:
        f.write('eel\n' * 40)

    def theirs(step, ref):
        code, out = run([sys.executable, '-c', script, backend, step, v, ref], env)
        if not check(code == 0, 'the reference: %s %s' % (step, ref), out):
            return ''
        print('the reference, %s %s: %s' % (step, ref, out.strip()), flush=True)
        return out
    theirs('write', 'theirs')
    check(dream(backend, env, 'count', 'theirs').strip() == '50', 'we count what it wrote')
    dream(backend, env, 'append', 'theirs', '--column', 'emb=' + half, '--column', 'label=' + os.path.join(work, 'half.txt'), '--anchor-start', '500')
    check(theirs('read', 'theirs').startswith('90 '), 'it reads what we appended')
    check(theirs('add', 'theirs').startswith('95 '), 'it appends to what we appended')
    check(dream(backend, env, 'count', 'theirs').strip() == '95', 'and we read that')
    check('"faults":[]' in dream(backend, env, 'verify', 'theirs', '--json'), 'and verify it')
    dream(backend, env, 'create', 'ours', '--field', 'emb:embedding,dim=16,index=lsh,bits=3', '--field', 'label:categorical')
    dream(backend, env, 'append', 'ours', '--column', 'emb=' + half, '--column', 'label=' + os.path.join(work, 'half.txt'), '--anchor-start', '1')
    check(theirs('add', 'ours').startswith('45 '), 'it appends to a dataset of ours')


class Proxy:
    def __init__(self, port, rules=(), delay=0):
        self.port = free_port()
        self.log, self.rules = os.path.join(work, 'proxy%d.jsonl' % self.port), os.path.join(work, 'rules%d.json' % self.port)
        self.set(rules)
        open(self.log, 'w').close()
        self.server = Server([sys.executable, os.path.join(HERE, 'proxy.py'), str(self.port), str(port), self.log, self.rules, str(delay)], self.port)

    def set(self, rules):
        with open(self.rules + '.new', 'w') as f:
            json.dump(list(rules), f)
        os.rename(self.rules + '.new', self.rules)

    def requests(self):
        with open(self.log) as f:
            return [json.loads(line) for line in f]


def faults(port):
    """Each fault in the way of an append over a proxy: nothing lost, nothing doubled."""
    proxy = Proxy(port)
    endpoint = 'http://127.0.0.1:%d' % proxy.port
    env, store = environment(endpoint), 's3://bucket/faults'
    dream(store, env, 'create', 'main', '--field', 'emb:embedding,dim=16,index=lsh,bits=3')
    rows, anchor = 0, 1
    plans = [[{'method': m, 're': r, 'action': a, 'count': n, **more}]
             for m, r in (('PUT', 'refs/'), ('PUT', 'bucketed|lsh|/d'), ('GET', '.'))
             for a, n, more in (('close', 2, {}), ('after_close', 1, {}), ('status', 3, {'status': 500, 'code': 'InternalError'}),
                                ('status', 2, {'status': 503, 'code': 'SlowDown'}),
                                ('status', 1, {'status': 429, 'code': 'TooManyRequests', 'headers': {'Retry-After': '1'}}),
                                ('status', 1, {'status': 409, 'code': 'ConditionalRequestConflict'}), ('delay', 1, {'ms': 300}))
             if not (m == 'GET' and more.get('status') == 409)]
    for plan in plans:
        proxy.set(plan)
        out = dream(store, env, 'append', 'main', '--column', 'emb=' + os.path.join(work, 'half.npy'), '--anchor-start', str(anchor))
        anchor += 1000
        rows += 40
    proxy.set([])
    check(dream(store, env, 'count', 'main').strip() == '{:,}'.format(rows), 'every append landed once')
    log = dream(store, env, 'log', 'main', '--json').strip().splitlines()
    check(len(log) == len(plans) + 1, 'one Manifest an append, in spite of faults', len(log))
    check('"faults":[]' in dream(store, env, 'verify', 'main', '--json'), 'verify after faults')
    proxy.set([{'method': 'PUT', 're': 'refs/', 'action': 'status', 'status': 403, 'code': 'AccessDenied', 'count': 9}])
    out = dream(store, env, 'append', 'main', '--column', 'emb=' + os.path.join(work, 'half.npy'), '--anchor-start', '500000', want=1)
    check('403 AccessDenied' in out and 'may not' in out, 'a refusal is told', out)
    proxy.server.stop()


def rude(env):
    """Servers that speak no good HTTP: too short, wrong lengths, rubbish, silence."""
    good = b'HTTP/1.1 200 OK\r\nContent-Length: 33\r\nETag: "x"\r\n\r\n'
    answers = {'short': good + b'too short', 'rubbish': b'\x00\x01rubbish\r\n\r\n', 'endless head': b'HTTP/1.1 200 OK\r\nX: ' + b'a' * 100000,
               'wrong length': b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n' + b'x' * 33, 'wrong bytes': good + b'y' * 33,
               'two lengths': b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc', 'nothing': b''}
    for name, answer in answers.items():
        listener = socket.socket()
        listener.bind(('127.0.0.1', 0))
        listener.listen(16)

        def serve(listener=listener, answer=answer):
            while True:
                try:
                    c, _ = listener.accept()
                    c.recv(65536)
                    c.sendall(answer)
                    c.close()
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        code, out = run([COMMAND, '--store', 'http://127.0.0.1:%d/bucket' % listener.getsockname()[1], 'count', 'main'], env, 90)
        check(code in (1, 5) and 'dreamdb: ' in out, 'a rude server, %s: exit %d' % (name, code), out)
        listener.close()


def tls(port, env):
    """https through a front of ours; http to it; a certificate that nobody signed."""
    code, features = run([COMMAND, 'version'], env)
    if not shutil.which('openssl'):
        return skip('TLS', 'no openssl to make a certificate')
    pem = os.path.join(work, 'cert.pem')
    run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', pem + '.key', '-out', pem, '-days', '2', '-subj', '/CN=127.0.0.1',
         '-addext', 'subjectAltName=IP:127.0.0.1'], env)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, pem + '.key')
    listener = socket.socket()
    listener.bind(('127.0.0.1', 0))
    listener.listen(128)
    front = listener.getsockname()[1]

    def pump(a, b):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                b.sendall(data)
        except (OSError, ValueError):
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(raw):
        try:
            c = context.wrap_socket(raw, server_side=True)
        except (OSError, ssl.SSLError):
            return
        back = socket.create_connection(('127.0.0.1', port))
        threading.Thread(target=pump, args=(back, c), daemon=True).start()
        pump(c, back)

    def accept():
        while True:
            try:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
            except OSError:
                return
    threading.Thread(target=accept, daemon=True).start()
    url = 'https://127.0.0.1:%d/bucket/p' % front
    code, out = run([COMMAND, '--store', 'http://127.0.0.1:%d/bucket/p' % front, 'count', 'main'], env, 60)
    check(code == 1 and ('no HTTP' in out or 'TLS' in out or 'broke' in out), 'http to a TLS port', out)
    code, out = run([COMMAND, '--store', url, 'count', 'main'], env, 60)
    if code == 1 and '-lcurl' in out:
        check('options.transport' in out, 'https without libcurl says how to mend it', out)
        skip('https', 'built without libcurl')
    else:
        check(code == 1 and 'TLS' in out, 'a certificate that nobody signed is refused', out)
        trusted = dict(env, AWS_CA_BUNDLE=pem)
        # the front's host is not the one that the server sees: sign for the front's, which versitygw and minio check by the Host header sent
        check(dream(url, trusted, 'count', 'main').strip() == '1,198', 'https with a certificate that is trusted')
        dream('https://127.0.0.1:%d/bucket/tls' % front, trusted, 'create', 'main', '--field', 'emb:embedding,dim=16,index=lsh,bits=3')
        dream('https://127.0.0.1:%d/bucket/tls' % front, trusted, 'append', 'main', '--column', 'emb=' + os.path.join(work, 'v.npy'), '--anchor-start', '1')
        check(dream('https://127.0.0.1:%d/bucket/tls' % front, trusted, 'count', 'main').strip() == '600', 'append by https')
    listener.close()


def contention(endpoint, env):
    store = 's3://bucket/four'
    dream(store, env, 'create', 'main', '--field', 'emb:embedding,dim=8,index=lsh,bits=2')
    all_of = [subprocess.Popen([RACE, store, 'append', 'main', '5'], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
    for p in all_of:
        out = p.communicate(timeout=120)[0].decode()
        check(p.returncode == 0, 'one of four processes that append', out)
    check(dream(store, env, 'count', 'main').strip() == '20', '20 of 20 appends of four processes land')
    check(len(dream(store, env, 'log', 'main', '--json').strip().splitlines()) == 21, 'one Manifest each')


def against(kind, path, model):
    server = start(kind, path)
    endpoint = 'http://127.0.0.1:%d' % server.port
    env = environment(endpoint)
    began, before = time.time(), list(count)
    try:
        counted(kind + ': the contract', [RACE, 's3://bucket/contract', 'store'], env)
        counted(kind + ': races', [RACE, 's3://bucket/races', 'races'], env)
        same(kind, life('s3://bucket/p', env), model)
        same(kind + ' behind a cache', life('s3://bucket/cached', env, '--cache', os.path.join(work, 'cache'), '--cache-bytes', '2M'), model)
        errors(server.port, env, endpoint)
        contention(endpoint, env)
        faults(server.port)
        tls(server.port, env)
        reference(endpoint)
    finally:
        server.stop()
    print('%s: %d passed, %d failed (%.0f s)' % (kind, count[0] - before[0], count[1] - before[1], time.time() - began), flush=True)


def plain():
    port = free_port()
    server = Server([sys.executable, os.path.join(HERE, 'plainhttp.py'), str(port)], port)
    env = environment(None, AWS_ACCESS_KEY_ID=None, AWS_SECRET_ACCESS_KEY=None)
    try:
        out = life('http://127.0.0.1:%d/base/deep' % port, env)
        same('a plain HTTP server behind a cache', life('http://127.0.0.1:%d/base/cached' % port, env, '--cache', os.path.join(work, 'plain')), out)
    finally:
        server.stop()
    return out


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--server', action='append')
    o = p.parse_args()
    began = time.time()
    try:
        try:
            import numpy as np
        except ImportError:
            skip('everything', 'python3 has no numpy')
            return 0
        vectors()
        np.save(os.path.join(work, 'half.npy'), np.load(os.path.join(work, 'v.npy'))[:40])
        model = life(os.path.join(work, 'directory'), environment())
        same('a plain HTTP server', plain(), model)
        rude(environment(None, AWS_ACCESS_KEY_ID=None))
        for kind in o.server or ('versitygw', 'minio'):
            path = find(kind)
            if path:
                against(kind, path, model)
            else:
                skip(kind, 'not installed: go install %s (or S3_INSTALL=1 with a Go toolchain)' % PINNED[kind])
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print('s3-test: %.0f s' % (time.time() - began))
    print('%d passed, %d failed%s' % (count[0], count[1], ', %d skipped' % count[2] if count[2] else ''))
    return 1 if count[1] else 0


if __name__ == '__main__':
    sys.exit(main())
