"""A shop for clients that pay by themselves: an invoice whose preimage is known, and a payment that is one request (`POST /pay`)."""

import hashlib
import http.server
import sys
import time

from bolt11 import Bolt11, MilliSatoshi, Tag, TagChar, Tags, encode

PREIMAGE = "07" * 32
HASH = hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()


def invoice():
    """A BOLT11 over 100 satoshis, for an hour."""
    tags = Tags([Tag(TagChar.payment_hash, HASH), Tag(TagChar.payment_secret, "01" * 32), Tag(TagChar.description, "film"), Tag(TagChar.expire_time, 3600)])
    return encode(Bolt11("bc", int(time.time()), tags, MilliSatoshi(100_000)), "11" * 32)


class Shop(http.server.BaseHTTPRequestHandler):
    """What is sold is up to `do_GET` of those that inherit."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, PREIMAGE)

    def answer(self, status, body, headers={}):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def serve(shop):
    """On any free port of loopback, which is written to the file that the command line names."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), shop)
    with open(sys.argv[1], "w") as port:
        print(server.server_port, file=port)
    server.serve_forever()
