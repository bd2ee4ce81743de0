"""A service that registers in Eureka as a stock Spring Boot one does, with Python's library alone.

It serves on port 8080, registers at the first node that takes it, and heartbeats every 30 s. It answers 200 once that
node has it. At SIGTERM it ends without a word: what is left in the registry is for the drain to remove.
"""

import json
import logging
import os
import signal
import socket
import threading
import time
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

APP, PORT, HEARTBEAT_INTERVAL, TIMEOUT = "hello", int(os.environ.get("PORT", "8080")), 30, 5
NODES = os.environ["EUREKA_NODES"].split()
NAME, ADDRESS = socket.gethostname(), os.environ["POD_IP"]
INSTANCE = {
    "instanceId": f"{NAME}:{APP}:{PORT}",
    "app": APP.upper(),
    "hostName": NAME,
    "ipAddr": ADDRESS,
    "vipAddress": APP,
    "status": "UP",
    "port": {"$": PORT, "@enabled": "true"},
    "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
    "leaseInfo": {"renewalIntervalInSecs": HEARTBEAT_INTERVAL, "durationInSecs": 3 * HEARTBEAT_INTERVAL},
}
is_registered = threading.Event()


class Hello(BaseHTTPRequestHandler):
    """Answers whoever asks, and the readiness probe."""

    def do_GET(self) -> None:
        """Say which pod this is; 503 while no caller could know it."""
        text = f"hello from {NAME}\n".encode()
        self.send_response(200 if is_registered.is_set() else 503)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing: the probe asks every two seconds."""


def send(method: str, node: str, path: str, body: object = None) -> int:
    """Return the status of a node's answer."""
    url = urlsplit(node)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=TIMEOUT)
    try:
        connection.request(method, url.path + path, json.dumps(body), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def stay_registered() -> None:
    """Heartbeat for ever; register where a node does not know this instance, as after its restart."""
    apps, own = f"/apps/{APP.upper()}", f"/apps/{APP.upper()}/{INSTANCE['instanceId']}"
    while True:
        for node in NODES:
            try:
                if send("PUT", node, own) == 200 or send("POST", node, apps, {"instance": INSTANCE}) == 204:
                    is_registered.set()
                    break
            except (OSError, HTTPException) as error:
                logging.warning("%s: %s", node, error)
        time.sleep(HEARTBEAT_INTERVAL if is_registered.is_set() else 1)


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # it is process 1, which no signal ends that it does not handle
threading.Thread(target=stay_registered, daemon=True).start()
logging.warning("%s at %s", INSTANCE["instanceId"], ADDRESS)
ThreadingHTTPServer(("", PORT), Hello).serve_forever()
