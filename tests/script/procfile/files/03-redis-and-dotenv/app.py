"""Answers with what Redis counts, and listens on PORT."""
import http.server, os, socket, urllib.parse

url = urllib.parse.urlparse(os.environ["REDIS_URL"])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with socket.create_connection((url.hostname, url.port)) as redis:
            redis.sendall(b"INCR visits\r\n")
            count = redis.recv(99).decode().strip()[1:]
        body = f"visit {count}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
