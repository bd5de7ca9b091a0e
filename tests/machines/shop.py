"""A shop on loopback: the stand-in BTCPay, the daemon, nginx with the files that the daemon prints, a film, and a wallet."""
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

STORE = "9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776"
API_KEY = "0123456789abcdef0123456789abcdef01234567"
NGINX = """
daemon off;
{user}
worker_processes 1;
pid {at}/nginx.pid;
error_log {at}/error.log;
events {{ worker_connections 128; }}
http {{
    types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
    client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;
    include conf.d/*.conf;
    server {{
        listen 127.0.0.1:{port};
        include snippets/hlsgate.conf;
        include snippets/hlsgate-discovery.conf;
        root {at};
        location ^~ /hls/ {{ include snippets/hlsgate-protect.conf; include snippets/hlsgate-l402.conf; }}
    }}
}}
"""
CONFIG = """
listen = "unix:{at}/hlsgate.sock"
socket_group = "{group}"
admin_listen = "off"
public_url = "http://127.0.0.1:{port}"
[keys]
file = "{at}/keys.json"
[revocations]
file = "{at}/revoked"
[cookie]
secure = false
[btcpay]
url = "{btcpay}"
store = "{store}"
api_key_file = "{at}/btcpay-api-key"
webhook_secret_file = "{at}/btcpay-webhook-secret"
[[offers]]
tier = "24h"
price = "100"
currency = "SATS"
duration = "24h"
"""


class Site:
    def __init__(self):
        self.at = pathlib.Path(tempfile.mkdtemp(prefix="hlsgate-machines-"))
        self.at.chmod(0o755)
        self.children, self.payments, self.after_payment = {}, 0, None
        self.port = free_port()
        self._btcpay()
        self._daemon_files()
        self._film()
        self._nginx_files()
        self.start_daemon()
        self._start("nginx", ["nginx", "-p", str(self.at), "-c", f"{self.at}/etc/nginx.conf"])
        await_true(lambda: status(self.url("/nothing")) == 404, "nginx answers")
        self._wallet()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def _start(self, name, command):
        log = (self.at / f"{name}.log").open("ab")
        self.children[name] = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()

    def _btcpay(self):
        self._start("btcpay", [os.environ["BTCPAY_DOUBLE_BIN"], "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        log = self.at / "btcpay.log"
        address = lambda name: (re.search(rf"(?m)^{name} (\S+)\n", log.read_text()) or [None, None])[1]
        await_true(lambda: address("listening on") and address("control on"), "the stand-in listens")
        self.btcpay, self.control = address("listening on"), address("control on")

    def _daemon_files(self):
        group = "www-data" if os.getuid() == 0 else subprocess.check_output(["id", "-gn"], text=True).strip()
        secrets = {"btcpay-api-key": API_KEY, "btcpay-webhook-secret": "a-webhook-secret-of-the-tests-of-machines", "revoked": ""}
        for name, text in secrets.items():
            (self.at / name).write_text(text)
            (self.at / name).chmod(0o600)
        self.config = self.at / "hlsgate.toml"
        subprocess.run([os.environ["HLSGATE_BIN"], "init", "--config", self.config], check=True, stdout=subprocess.DEVNULL)
        self.config.write_text(CONFIG.format(at=self.at, group=group, port=self.port, btcpay=self.btcpay, store=STORE))

    def _film(self):
        folder = self.at / "hls/film"
        folder.mkdir(parents=True)
        subprocess.run(["ffmpeg", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=duration=3:size=160x90:rate=10",
                        "-b:v", "100k", "-g", "10", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8",
                        folder / "video.m3u8"], check=True)
        self.segments = len(list(folder.glob("video*.ts")))

    def _nginx_files(self):
        subprocess.run([os.environ["HLSGATE_BIN"], "nginx", "--write", self.at / "etc", "--config", self.config], check=True,
                       stdout=subprocess.DEVNULL)
        for file in (self.at / "etc").glob("*/*.conf"):
            text = file.read_text().replace("/var/log/nginx/", f"{self.at}/").replace("/run/hlsgate-nginx-cache", f"{self.at}/cache")
            file.write_text(text)
        user = "user www-data;" if os.getuid() == 0 else ""
        (self.at / "etc/nginx.conf").write_text(NGINX.format(user=user, at=self.at, port=self.port))

    def start_daemon(self):
        self._start("daemon", [os.environ["HLSGATE_BIN"], "serve", "--config", str(self.config)])

        def listens():
            with socket.socket(socket.AF_UNIX) as probe:
                return probe.connect_ex(f"{self.at}/hlsgate.sock") == 0
        await_true(listens, "the daemon listens")

    def kill_daemon(self):
        self.children["daemon"].kill()
        self.children["daemon"].wait()

    def _wallet(self):
        """Pays what it is shown, and counts."""
        site = self

        class Wallet(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if self.path == "/v2/router/send":  # LND's REST API
                    preimage = site.pay(json.loads(body)["payment_request"])
                    payment = {"status": "SUCCEEDED", "payment_preimage": preimage, "fee_sat": "0", "value_sat": "100",
                               "payment_hash": hashlib.sha256(bytes.fromhex(preimage)).hexdigest(), "failure_reason": "FAILURE_REASON_NONE"}
                    answer = json.dumps({"result": payment}).encode() + b"\n"
                else:
                    answer = site.pay(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wallet)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.wallet = f"http://127.0.0.1:{self._server.server_port}/"

    def pay(self, bolt11):
        """Pays, and returns the preimage. A node pays an invoice once, however often it is asked to."""
        method, invoice = self._asking_for(bolt11)
        if method["additionalData"]["preimage"] is None:
            self.payments += 1
            fetch(f"{self.control}/fake/pay", json.dumps({"invoice": invoice}).encode())
            method, _ = self._asking_for(bolt11)
        if self.after_payment:
            self.after_payment()
        return method["additionalData"]["preimage"]

    def _asking_for(self, bolt11):
        for invoice in self._api("GET", "invoices?take=50"):
            for method in self._api("GET", f"invoices/{invoice['id']}/payment-methods"):
                if method["destination"] == bolt11:
                    return method, invoice["id"]
        raise AssertionError("no invoice asks for this payment")

    def invoices(self):
        return len(self._api("GET", "invoices?take=50"))

    def _api(self, method, path):
        request = urllib.request.Request(f"{self.btcpay}/api/v1/stores/{STORE}/{path}", method=method,
                                         headers={"Authorization": f"token {API_KEY}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def break_btcpay(self):
        fetch(f"{self.control}/fake/switches", json.dumps({"fail_next": {"count": 1000, "status": 503}}).encode())

    def mend_btcpay(self):
        fetch(f"{self.control}/fake/switches/reset", b"{}")

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        for child in self.children.values():
            child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            child.wait(timeout=30)
        shutil.rmtree(self.at)


def fetch(url, data=None, headers={}):
    request = urllib.request.Request(url, data=data, headers={**({"Content-Type": "application/json"} if data else {}), **headers})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def status(url):
    try:
        fetch(url)
        return 200
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return None


def free_port():
    # Below the range of outgoing connections, so that none of them is lent it meanwhile.
    for port in range(20000 + os.getpid() % 5000, 32000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no port is free")


def await_true(condition, what, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)
