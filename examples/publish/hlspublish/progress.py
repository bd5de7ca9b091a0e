"""How far it is: a bar with the time left on a terminal, now and then a plain line elsewhere."""
import sys
import threading
import time

BAR_WIDTH = 28
PLAIN_EVERY = 15.0  # seconds between two lines in a log
DRAW_EVERY = 0.2


class Progress:
    """Counts units of work of one video; all methods may be called from any thread.

    The time left comes from this run's own pace, so work done before an interruption does not flatter it.
    """

    def __init__(self, name: str, stream=None, quiet: bool = False, clock=time.monotonic) -> None:
        self.name = name
        self.stream = stream if stream is not None else sys.stderr
        self.quiet = quiet
        self.terminal = self.stream.isatty()
        self.clock = clock
        self._lock = threading.Lock()
        self._drawn = float("-inf")
        self._bar_shown = False
        self.stage("")

    def stage(self, label: str, total: float = 0.0, already: float = 0.0) -> None:
        """Begins a stage of `total` units, `already` of which an earlier run has done."""
        with self._lock:
            self.label, self.total, self.already = label, total, already
            self._parts: dict[object, float] = {}
            self._done = 0.0
            self._began = self.clock()
            self._drawn = self.clock() if not self.terminal else float("-inf")
        if label:
            self._draw()

    def part(self, key: object, amount: float) -> None:
        """A part of the stage has come to `amount` units."""
        with self._lock:
            self._done += amount - self._parts.get(key, 0.0)
            self._parts[key] = amount
        self._draw()

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.quiet:
            return
        with self._lock:
            self._wipe()
            print(f"{self.name}: {text}", file=self.stream, flush=True)

    def end(self) -> None:
        with self._lock:
            self._wipe()
            self.label = ""

    def fraction(self) -> float:
        return min(1.0, (self.already + self._done) / self.total) if self.total else 0.0

    def seconds_left(self) -> float | None:
        """None until this run has done enough to tell."""
        passed = self.clock() - self._began
        if self._done <= 0 or passed < 1:
            return None
        return max(0.0, (self.total - self.already - self._done) * passed / self._done)

    def _draw(self) -> None:
        with self._lock:
            now = self.clock()
            if self.quiet or not self.label or now - self._drawn < (DRAW_EVERY if self.terminal else PLAIN_EVERY):
                return
            self._drawn = now
            left = self.seconds_left()
            left_text = f", {clock_text(left)} left" if left is not None else ""
            if not self.total:
                state = self.label
            elif self.terminal:
                full = int(self.fraction() * BAR_WIDTH)
                state = f"{self.label} [{'#' * full}{'.' * (BAR_WIDTH - full)}] {self.fraction():4.0%}{left_text}"
            else:
                state = f"{self.label} {self.fraction():.0%}{left_text}"
            if self.terminal:
                print(f"\r\x1b[K{self.name}: {state}", end="", file=self.stream, flush=True)
                self._bar_shown = True
            else:
                print(f"{self.name}: {state}", file=self.stream, flush=True)

    def _wipe(self) -> None:
        if self._bar_shown:
            print("\r\x1b[K", end="", file=self.stream, flush=True)
            self._bar_shown = False


def clock_text(seconds: float) -> str:
    """`0:42`, `12:05`, `2:03:10`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
