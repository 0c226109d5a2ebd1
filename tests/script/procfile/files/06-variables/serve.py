import http.server, os, sys

text = "|".join(sys.argv[1:4] + [os.environ["QUOTED"], os.environ["EMPTY"]]) + "\n"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())


http.server.HTTPServer(("127.0.0.1", int(sys.argv[4])), Handler).serve_forever()
