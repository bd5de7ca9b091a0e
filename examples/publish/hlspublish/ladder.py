"""Pure: a source's size and rate → renditions, segment length, and the disk space they can take."""
from dataclasses import dataclass
from fractions import Fraction

# The short sides that viewers' screens and lines ask for. Short, and not height: a phone's upright film of
# 1080x1920 is a "1080p" too.
DEFAULT_RUNGS = (2160, 1440, 1080, 720, 480, 360, 240)
# A rung this close below the source's own size would cost a rendition and show no difference.
NEAREST_RUNG = 0.9

SEGMENT_SECONDS = 6
MAX_RATE = 60
AUDIO_KBIT = 128
AV1_PEAK_SHARE = 0.7
CODECS = ("h264", "av1")
# Of the peak bit rate, what containers and playlists add to it.
OVERHEAD = 1.05


@dataclass(frozen=True)
class Rendition:
    """One rung: even width and height in square pixels, peak video bit rate in kbit/s, `h264` or `av1`."""

    name: str
    width: int
    height: int
    peak_kbit: int
    codec: str = "h264"


def renditions(width: int, height: int, rate: Fraction, rungs: tuple[int, ...] = DEFAULT_RUNGS) -> list[Rendition]:
    """The ladder for a picture of `width` x `height` as displayed, largest first, never larger than the source."""
    short = min(width, height)
    top = min(short, max(rungs))
    sides = [top] + sorted((rung for rung in set(rungs) if rung <= top * NEAREST_RUNG), reverse=True)
    return [_rendition(width, height, rate, side) for side in sides]


def in_codecs(ladder: list[Rendition], codecs: tuple[str, ...]) -> list[Rendition]:
    """The same rungs once for each codec; AV1's need fewer bits for the same picture."""
    made = []
    for codec in codecs:
        for r in ladder:
            made.append(r if codec == "h264" else Rendition(f"{r.name}-{codec}", r.width, r.height, round(r.peak_kbit * AV1_PEAK_SHARE), codec))
    return made


def _rendition(width: int, height: int, rate: Fraction, side: int) -> Rendition:
    scale = Fraction(side, min(width, height))
    w, h = _even(width * scale), _even(height * scale)
    return Rendition(f"{side}p", w, h, peak_kbit(w * h, rate))


def _even(length: Fraction) -> int:
    """Rounded down to even, which 4:2:0 needs; down, since up would enlarge."""
    return max(2, int(length) // 2 * 2)


def peak_kbit(pixels: int, rate: Fraction) -> int:
    """Peak bit rate for H.264: 5 Mbit/s at 1080p30, falling a little slower than the number of pixels does."""
    kbit = 5000 * (pixels / (1920 * 1080)) ** 0.85
    if rate > 35:
        kbit *= 1.4
    return max(100, round(kbit))


def output_rate(frames_a_second: float) -> Fraction:
    """The constant rate that a measured one becomes: a rate whose 6 s (or 6.006 s) are a whole number of frames.

    Integers, halves (12.5) and the NTSC rates (30000/1001) qualify. Rates over 60 are halved until they fit.
    """
    while frames_a_second > MAX_RATE * 1.002:
        frames_a_second /= 2
    exact = [Fraction(n, 2) for n in range(2, 2 * MAX_RATE + 1)]
    ntsc = [Fraction(n * 500, 1001) for n in range(2, 2 * MAX_RATE + 1)]
    return min(exact + ntsc, key=lambda rate: (abs(rate - Fraction(frames_a_second)), rate.denominator))


def usual_rate(frames_a_second: float) -> Fraction:
    """For a variable rate: the usual one that holds it, at most 60."""
    for rate in (15, 24, 25, 30, 50):
        if frames_a_second <= rate * 1.02:
            return Fraction(rate)
    return Fraction(MAX_RATE)


def segment_frames(rate: Fraction) -> int:
    return round(SEGMENT_SECONDS * rate)


def keyframe_interval(rate: Fraction) -> int:
    """Frames between keyframes: a third of a segment where that divides, so that players seek within 2 s."""
    frames = segment_frames(rate)
    return frames // 3 if frames % 3 == 0 else frames


def disk_bytes(ladder: list[Rendition], seconds: float, audio_tracks: int) -> int:
    """The most that publishing can need on the disk.

    Every rendition at its peak rate, and the largest one twice, since its chunks are deleted only when its segments
    are made.
    """
    kbit = sum(r.peak_kbit for r in ladder) + max(r.peak_kbit for r in ladder) + 2 * audio_tracks * AUDIO_KBIT
    return int(kbit * 1000 / 8 * seconds * OVERHEAD)
