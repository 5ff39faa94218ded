"""Registries that answer as odd ones do; started inside the node, where its pulls go.

python odd_registries.py CERTIFICATE KEY
"""

import http.server
import ssl
import sys
import threading

CERTIFICATE, KEY = sys.argv[1:3]
ERROR = b'{"errors":[{"code":"%s","message":"%s"}]}'


def handler(code, body, **headers):
    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.send_response(code)
            for name, text in headers.items():
                self.send_header(name.replace("_", "-"), text)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = answer  # noqa: N815 - the base class looks them up

        def handle_one_request(self):
            """Answer a TLS handshake in HTTP, as registries without TLS do."""
            if self.rfile.peek(1)[:1] == b"\x16":
                self.wfile.write(b"HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                self.close_connection = True
                return
            super().handle_one_request()

        def log_message(self, *words):
            pass

    return Handler


def serve(host, port, made, tls=False):
    server = http.server.ThreadingHTTPServer((host, port), made)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()


denied = ERROR % (b"UNAUTHORIZED", b"authentication required")
limited = ERROR % (b"TOOMANYREQUESTS", b"You have reached your pull rate limit.")
serve("10.99.0.1", 5601, handler(404, b"{}"))
serve("10.99.0.1", 5602, handler(404, b"{}"), tls=True)
serve("127.0.0.1", 5603, handler(401, denied, WWW_Authenticate='Basic realm="odd"'))
serve("127.0.0.1", 5604, handler(429, limited))
print("ready", flush=True)
