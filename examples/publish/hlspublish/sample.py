"""A look at some decoded pictures, for what no header says: are they interlaced?"""
import re

from . import damage, ffmpeg

PLACES = (0.1, 0.5, 0.8)  # shares of the film
FRAMES = 48
INTERLACED_LINES = (480, 486, 512, 576, 608, 1080, 1088)
# Where no frame says that it is interlaced: so many times more often than progressive it must look so.
SURE = 3
ENOUGH = 10

_FLAG = re.compile(r"showinfo.* i:([PTB]) ")
_LOOK = re.compile(r"Multi frame detection: TFF: *(\d+) BFF: *(\d+) Progressive: *(\d+)")


def interlacing(media_input: list[str], stream: int, seconds: float) -> str:
    """`flagged` where frames say that they are interlaced, `tff` or `bff` where they only look it, or nothing.

    - `media_input`: FFmpeg's options that open the file.
    """
    flags, looks = [], [0, 0, 0]
    for place in PLACES if seconds > 10 else PLACES[:1]:
        try:
            said = ffmpeg.ffmpeg(["-v", "info", "-noaccurate_seek", "-ss", f"{seconds * place:.3f}", *media_input, "-map", f"0:{stream}",
                                  "-frames:v", str(FRAMES), "-vf", f"{damage.SHOWINFO},idet", "-f", "null", "-"], keep=FRAMES * 20)
        except ffmpeg.ToolFailed:
            continue  # what cannot be decoded is found and named where it is encoded
        flags += _FLAG.findall(said)
        for found in _LOOK.findall(said):
            looks = [sum(pair) for pair in zip(looks, map(int, found))]
    if sum(flag != "P" for flag in flags) * 10 > len(flags):
        return "flagged"
    top, bottom, progressive = looks
    most, least = max(top, bottom), min(top, bottom)
    if most >= ENOUGH and most >= SURE * progressive and most >= SURE * least:
        return "tff" if top > bottom else "bff"
    return ""


def deinterlace(kind: str) -> list[str]:
    """The filter for what `interlacing` found."""
    if not kind:
        return []
    which = "deint=interlaced" if kind == "flagged" else f"deint=all:parity={kind}"
    return [f"bwdif=mode=send_frame:{which}"]
