"""Small pictures for the seek bar: sheets of thumbnails, and a WebVTT file that says where in them each second is.

They are taken from the smallest rendition's keyframes, which costs a fraction of a second for each minute of film.
"""
import math
from pathlib import Path

from . import captions, colour, ffmpeg
from .captions import Cue
from .plan import Plan
from .probe import Source

FOLDER, INDEX = "thumbnails", "index.vtt"
LONG_SIDE = 160
COLUMNS = ROWS = 5
MOST = 200  # pictures; a long film gets one less often


def make(source: Source, plan: Plan, listing: Path, folder: Path) -> None:
    """Writes `folder`: `000.jpg`, `001.jpg`, … and `index.vtt`. `listing`: an ffconcat list of the smallest rendition."""
    smallest = min(plan.renditions, key=lambda r: r.width * r.height)
    scale = LONG_SIDE / max(smallest.width, smallest.height)
    width, height = (max(2, round(side * scale / 2) * 2) for side in (smallest.width, smallest.height))
    every = plan.keyframe_seconds * max(1, math.ceil(plan.seconds / plan.keyframe_seconds / MOST))
    count = math.ceil(plan.seconds / every)
    made = colour.output(source.colours)
    part = folder.with_name(f"{folder.name}.part")
    part.mkdir(exist_ok=True)
    steps = [f"select='not(mod(round(t/{plan.keyframe_seconds:.6f}),{round(every / plan.keyframe_seconds)}))'",
             colour.fit_jpeg(made, width, height), f"tile={COLUMNS}x{ROWS}"]
    ffmpeg.ffmpeg(["-v", "error", "-skip_frame", "nokey", "-f", "concat", "-i", str(listing.resolve()), "-map", "0:v:0",
                   "-vf", ",".join(steps), "-fps_mode", "passthrough", "-q:v", "4", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p",
                   "-f", "image2", "-start_number", "0", "%03d.jpg"], folder=part)
    cues = []
    for n in range(count):
        sheet, place = divmod(n, COLUMNS * ROWS)
        x, y = place % COLUMNS * width, place // COLUMNS * height
        cues.append(Cue(n * every, min((n + 1) * every, plan.seconds), "", f"{sheet:03}.jpg#xywh={x},{y},{width},{height}"))
    (part / INDEX).write_text(captions.render(tuple(cues)), encoding="utf-8")
    part.rename(folder)
