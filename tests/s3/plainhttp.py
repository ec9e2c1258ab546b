#!/usr/bin/env python3
"""Minimal in-memory object server without any authentication (loopback), to learn what the reference needs of a plain HTTP backend.
usage: s3_plainhttp.py PORT [noetag] [weaketag] [nocond] [nolist] [norange] [nobao]
Keeps data in memory; prints one line per request."""
import sys, hashlib, re, urllib.parse, threading, json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
port = int(sys.argv[1]); opt = set(sys.argv[2:]); D = {}; lock = threading.Lock()
class H(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    def log_message(s, *a): pass
    def et(s, b):
        e = '"%s"' % hashlib.md5(b).hexdigest(); return ("W/" + e) if "weaketag" in opt else e
    def send(s, st, b=b"", h={}, et=None):
        print(s.command, s.path[:150], st, {k: v for k, v in s.headers.items() if k.lower() in ("if-match", "if-none-match", "range")}, flush=True)
        s.send_response(st)
        if et and "noetag" not in opt: s.send_header("ETag", et)
        for k, v in h.items(): s.send_header(k, v)
        s.send_header("Content-Length", str(len(b))); s.end_headers()
        if s.command != "HEAD": s.wfile.write(b)
    def do_PUT(s):
        b = s.rfile.read(int(s.headers.get("Content-Length", 0))); k = s.path
        if "nobao" in opt and "/bao-outboard/" in k: return s.send(200, b"", {}, s.et(b))  # pretend, store nothing
        with lock:
            cur = D.get(k)
            if "nocond" not in opt:
                if s.headers.get("If-None-Match") == "*" and cur is not None: return s.send(412)
                im = s.headers.get("If-Match")
                if im and (cur is None or im != s.et(cur)): return s.send(412)
            D[k] = b
        s.send(200, b"", {}, s.et(b))
    def do_GET(s):
        p, _, q = s.path.partition("?"); q = urllib.parse.parse_qs(q, keep_blank_values=True)
        if "list-type" in q:
            if "nolist" in opt: return s.send(404)
            pre = p.rstrip("/") + "/" + q.get("prefix", [""])[0]; ks = sorted(k for k in D if urllib.parse.unquote(k).startswith(pre)); base = len(p.rstrip("/")) + 1
            x = "<ListBucketResult><IsTruncated>false</IsTruncated>" + "".join("<Contents><Key>%s</Key><Size>%d</Size></Contents>" % (urllib.parse.unquote(k)[base:], len(D[k])) for k in ks) + "</ListBucketResult>"
            return s.send(200, x.encode(), {"Content-Type": "application/xml"})
        if p not in D: return s.send(404)
        b = D[p]; r = re.match(r"bytes=(\d+)-(\d*)$", s.headers.get("Range", ""))
        if r and "norange" not in opt:
            a = int(r.group(1)); e = min(int(r.group(2) or len(b) - 1), len(b) - 1); return s.send(206, b[a:e + 1], {"Content-Range": "bytes %d-%d/%d" % (a, e, len(b))}, s.et(b))
        s.send(200, b, {}, s.et(b))
    do_HEAD = do_GET
    def do_DELETE(s): D.pop(s.path, None); s.send(204)
class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
Server(("127.0.0.1", port), H).serve_forever()
