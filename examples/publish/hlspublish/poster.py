"""One picture of the video, upright and in ordinary colours, for the page where it is sold."""
from pathlib import Path

from . import colour, ffmpeg
from .errors import Refused
from .probe import Source

LONG_SIDE = 1280
# Not the first frame, which is often black. `thumbnail` then picks the most typical of the following frames.
AT_SHARE = 0.1
CANDIDATES = 50


def make(source: Source, at: float | None, output: Path) -> None:
    """Writes a JPEG. Being the first step that decodes, it also finds out early when nothing can be decoded."""
    exact = at is not None
    second = min(at if exact else source.duration * AT_SHARE, max(0.0, source.last_picture - 0.001))
    scale = min(1.0, LONG_SIDE / max(source.width, source.height))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (source.width, source.height))
    steps = [] if exact else [f"thumbnail={CANDIDATES}"]
    steps += [*colour.convert(source.colours), colour.fit_jpeg(source.colours, width, height)]
    part = output.with_suffix(".part")
    for seek in (second, 0.0):  # some files have nothing to show at that place; the beginning then
        try:
            ffmpeg.ffmpeg(["-v", "error", "-ss", f"{seek:.3f}", *source.video_input(),
                           "-map", f"0:{source.video_index}", "-vf", ",".join(steps), "-frames:v", "1", "-q:v", "2",
                           "-map_metadata", "-1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p",
                           "-f", "image2", "-update", "1", str(part)])
        except ffmpeg.ToolFailed as error:
            raise Refused(f"none of its pictures can be decoded: {error.last_line}",
                          "convert it to H.264 first, or export it again") from error
        if part.exists() and part.stat().st_size > 0:
            part.rename(output)
            return
    raise Refused("none of its pictures can be decoded", "convert it to H.264 first, or export it again")
