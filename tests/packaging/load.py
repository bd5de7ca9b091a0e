"""Viewers who fetch one address over and over, on kept connections, until a SIGTERM: `load.py PORT PATH VIEWERS`.

Prints what came, as JSON: `{"statuses": {"200": 4711}, "broken": [], "longest": 0.8}`, the longest wait in seconds.
"""

import collections
import http.client
import json
import signal
import sys
import threading
import time

#: Between two requests of one viewer, in seconds: the load is steady, and leaves the machine some air.
PAUSE = 0.005


def watch(port, path, stopping, statuses, broken, longest):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while not stopping.is_set():
        began = time.monotonic()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        except (OSError, http.client.HTTPException) as err:
            broken.append(repr(err))
            connection.close()
        longest.append(time.monotonic() - began)
        time.sleep(PAUSE)


def main(port, path, viewers):
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    seen = [(collections.Counter(), [], []) for _ in range(viewers)]
    threads = [threading.Thread(target=watch, args=(port, path, stopping, *own)) for own in seen]
    for thread in threads:
        thread.start()
    stopping.wait()
    for thread in threads:
        thread.join()
    statuses = sum((own[0] for own in seen), collections.Counter())
    print(json.dumps({"statuses": statuses, "broken": [text for own in seen for text in own[1]],
                      "longest": round(max(max(own[2], default=0) for own in seen), 3)}))


main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
