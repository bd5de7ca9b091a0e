"""Pure: when a source's pictures are shown → its constant frame rate, and where to begin reading for a given second."""
import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from . import ladder

# Rates that films really have; a measured one this close (as a share) is one of them.
STANDARD_RATES = (*(Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60)), Fraction(25, 2),
                  *(Fraction(n * 1000, 1001) for n in (12, 15, 24, 30, 48, 60)))
NEAR = 0.0004
# Steps this far from the usual one, as a share, are the jitter of a clock; more is a picture left out or another rate.
JITTER = 0.3
# Containers that count milliseconds jitter by one, cameras by some; more than that in more than 2 % of the steps varies.
VARIES_BY = 0.0041
VARIES_SHARE = 0.02
# So many of the steps must be the usual one, or there is none.
USUAL_SHARE = 0.6
# Reading begins at a keyframe that is so much earlier: its successors in time may refer to what came before it.
OPEN_GOP = 0.5


@dataclass(frozen=True)
class Pictures:
    """`times`, `keys`: seconds from the file's first packet, ascending; of all pictures, and of the keyframes."""

    times: tuple[float, ...]
    keys: tuple[float, ...]

    @classmethod
    def of(cls, times: Iterable[float], keys: Iterable[float]) -> "Pictures":
        return cls(tuple(sorted(times)), tuple(sorted(keys)))

    def steps(self) -> list[float]:
        return [after - before for before, after in zip(self.times, self.times[1:]) if after > before]

    def usual_step(self) -> float:
        """Seconds between two pictures: the mean of those steps that are near the median one. 0 if there is no step."""
        steps = sorted(self.steps())
        if not steps:
            return 0.0
        median = steps[len(steps) // 2]
        near = [step for step in steps if abs(step - median) <= median * JITTER]
        return sum(near) / len(near)

    def rate(self) -> tuple[Fraction, bool]:
        """The stream's constant rate, and whether the source's varies. A picture left out now and then changes no rate."""
        steps, usual = self.steps(), self.usual_step()
        varies = sum(abs(step - usual) > max(VARIES_BY, usual * 0.02) for step in steps) > len(steps) * VARIES_SHARE
        if sum(abs(step - usual) <= usual * JITTER for step in steps) < len(steps) * USUAL_SHARE:
            return ladder.usual_rate(1 / sorted(steps)[len(steps) // 10]), True
        return _standard(1 / usual), varies

    def first_key(self) -> float:
        return self.keys[0] if self.keys else 0.0

    def reading_start(self, second: float) -> float:
        """The last keyframe from which a decoder surely has every picture from `second` on."""
        at = bisect.bisect_right(self.keys, second - OPEN_GOP)
        return self.keys[at - 1] if at else 0.0


def _standard(frames_a_second: float) -> Fraction:
    near = min(STANDARD_RATES, key=lambda rate: abs(float(rate) - frames_a_second))
    return near if abs(float(near) - frames_a_second) <= frames_a_second * NEAR else ladder.output_rate(frames_a_second)
