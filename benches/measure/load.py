"""wrk: requests over kept connections, as fast as they are answered."""

import json
from dataclasses import dataclass

from .lab import run

REPORT = """
done = function(summary, latency)
    local errors = summary.errors
    io.write(string.format('REPORT {"requests":%d,"bytes":%d,"seconds":%f,"p50":%f,"p99":%f,"failed":%d}\\n',
        summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


@dataclass
class Load:
    """What wrk saw: times in milliseconds, bytes with those of the heads."""

    requests: int
    bytes: int
    seconds: float
    p50: float
    p99: float
    failed: int

    @property
    def rate(self):
        return self.requests / self.seconds


def load(lab, url, headers, seconds, connections, requests="", size=0):
    """Asks for `url` over and over, or for what `requests` (Lua) says. A refusal, an error or an answer that cannot hold
    `size` bytes is a mistake in what is measured."""
    script = lab.folder / "report.lua"
    script.write_text(requests + REPORT)
    lines = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    output = run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency", "-s", script, *lines, url])
    line = next(line for line in output.splitlines() if line.startswith("REPORT "))
    seen = Load(**json.loads(line.removeprefix("REPORT ")))
    lab.trim_logs()
    if seen.failed or not seen.requests or seen.bytes < seen.requests * size:
        raise RuntimeError(f"{url.split('?')[0]}: {seen.failed} of {seen.requests} requests failed; {seen.bytes} bytes came")
    return seen
