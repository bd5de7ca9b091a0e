"""What of a source could not be decoded: from what FFmpeg says while it encodes.

The frame grid fills every hole with the last picture, so the number of frames that come out says nothing. FFmpeg's
`showinfo` filter names the time of each picture that was decoded, and its log the broken ones.
"""
import bisect
import re

from .timing import Pictures

SHOWINFO = "showinfo=checksum=0"
# A still of this length is seen; a hole counts when the file has pictures for it.
HOLE_SECONDS = 0.25
HOLE_PICTURES = 3
# Broken pictures in one chunk: a glitch of a broadcast is borne, a broken file is not.
BROKEN_PICTURES = 5
# Of a track's packets of sound, and at least so many.
BROKEN_SOUND_SHARE = 0.02
BROKEN_SOUND = 5

_SHOWN = re.compile(r"showinfo.*? n: *\d+ pts: *\S+ +pts_time:(-?[\d.]+)")
_BROKEN = re.compile(r"corrupt decoded frame", re.IGNORECASE)
_UNDECODED = re.compile(r"Error while decoding stream|Error submitting packet to decoder")


class Tally:
    """Reads FFmpeg's log; `take` is its `on_line`."""

    def __init__(self) -> None:
        self.shown: list[float] = []
        self.broken: list[float] = []
        self.undecoded = 0

    def take(self, line: str) -> bool:
        """True when the line is dealt with, and nobody else need keep it."""
        found = _SHOWN.search(line)
        if found:
            self.shown.append(float(found[1]))
        elif _BROKEN.search(line):
            self.broken.append(self.shown[-1] if self.shown else 0.0)
        elif _UNDECODED.search(line):
            self.undecoded += 1
        return found is not None or "showinfo" in line

    def problem(self, pictures: Pictures, begin: float, end: float) -> str:
        """What is wrong with the span from `begin` to `end`, in seconds; "" if nothing is."""
        a, b = self._hole(pictures, begin, end)
        if b > a:
            return f"its pictures from second {a:.1f} to {b:.1f} cannot be decoded"
        broken = [second for second in self.broken if begin <= second < end]
        if len(broken) > BROKEN_PICTURES:
            return f"{len(broken)} pictures are broken from second {broken[0]:.1f} on"
        return ""

    def _hole(self, pictures: Pictures, begin: float, end: float) -> tuple[float, float]:
        """The first span in which the file has pictures and the decoder had none; (0, 0) if there is none."""
        step = pictures.usual_step()
        # What comes before the first keyframe cannot be decoded, in recordings that begin anywhere.
        begin = max(begin, pictures.first_key())
        shown = sorted(time for time in self.shown if time < end)
        at = max(0, bisect.bisect_right(shown, begin) - 1)
        marks = [*(shown[at:] if shown and shown[at] <= begin else [begin - step, *shown[at:]]), end]
        for before, after in zip(marks, marks[1:]):
            held = (bisect.bisect_left(pictures.times, after - step / 2)
                    - bisect.bisect_right(pictures.times, max(begin - step, before + step / 2)))
            if after - before > HOLE_SECONDS and held >= HOLE_PICTURES:
                return max(before, begin), after
        return 0.0, 0.0


def sound_problem(tally: Tally, packets: int) -> str:
    if tally.undecoded > max(BROKEN_SOUND, packets * BROKEN_SOUND_SHARE):
        return f"{tally.undecoded} of the {packets} packets of its sound cannot be decoded"
    return ""
