"""ffprobe's answer as a `Source`, or the reason why the file is refused."""
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from . import chapters, colour, ffmpeg, sample, structure
from .chapters import Chapter
from .colour import Colours
from .errors import Refused
from .languages import tag
from .timing import Pictures

TEXT_SUBTITLES = ("subrip", "ass", "ssa", "mov_text", "webvtt", "text")
# Containers with an index of keyframes: seeking to one lands on it. In the others the search is by guessing, so reading
# starts this much (seconds) before the keyframe to be sure of it.
INDEXED_FORMATS = ("mov", "matroska", "webm")
# FFmpeg steps back a little from where it is told to seek, for pictures that are decoded before they are shown.
SEEK_INDEXED = 0.14
SEEK_GUESSED = -3.0
# Where a container tells only a duration: how much less may be found before the file counts as cut off.
DURATION_SLACK = 1.0
DURATION_SLACK_SHARE = 0.02
ALL_THERE_SHARE = 0.9
# Formats that are often pieced together of recordings whose clocks know nothing of one another, and the longest step
# (seconds) between two of their pictures that is taken for a pause.
PIECED_FORMATS = ("mpegts", "mpeg")
LONGEST_STEP = 10.0
RAW_FORMATS = ("h264", "hevc", "m4v", "mpegvideo", "obu")
# A tail of sound this much longer than the pictures is kept, over the last picture.
LONG_TAIL = 0.5
SIDE_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


@dataclass(frozen=True)
class AudioTrack:
    index: int  # ffmpeg's stream index
    language: str  # RFC 5646
    title: str
    default: bool
    packets: int
    channels: int


@dataclass(frozen=True)
class SubtitleTrack:
    index: int
    language: str
    title: str
    forced: bool
    codec: str = "subrip"


@dataclass(frozen=True)
class Source:
    """A video that can be published. Sizes in square pixels as displayed; seconds count from the file's first packet."""

    path: Path
    title: str
    video_index: int
    width: int
    height: int
    rate: Fraction
    duration: float
    last_picture: float
    variable_rate: bool
    interlacing: str  # see `sample.interlacing`
    rotated: bool
    colours: Colours
    pictures: Pictures
    seek_offset: float
    decoder: str = ""  # an FFmpeg decoder other than the usual one
    audio: tuple[AudioTrack, ...] = ()
    subtitles: tuple[SubtitleTrack, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def total_frames(self) -> int:
        return max(1, round(self.duration * self.rate))

    def video_input(self) -> list[str]:
        """Options that open it for its pictures."""
        return [*(["-c:v", self.decoder] if self.decoder else []), *ffmpeg.media_input(self.path)]


def probe(path: Path, accept_damage: bool = False) -> Source:
    """Looks at `path` and at every packet in it. Errors: `Refused`, each for one thing that is wrong."""
    _readable(path)
    kind = structure.picture_kind(path)
    if kind:
        raise Refused(f"this is not a video: it is a picture ({kind})", "publish a video; a moving one can be saved as MP4 first")
    missing = structure.missing_bytes(path)
    answer = _ask(path, missing)
    streams = answer.get("streams", [])
    video = _video_stream(streams)
    if missing and not accept_damage:
        raise Refused(f"the file is cut off: its container promises {missing} bytes more than there are",
                      "copy or upload it again, completely")
    packets = _scan(path)
    audio = [s for s in streams if s.get("codec_type") == "audio" and s.get("codec_name") and s["index"] in packets]
    start = _float(answer["format"].get("start_time")) or 0.0
    pictures = packets.get(video["index"])
    if any(name in answer["format"].get("format_name", "").split(",") for name in RAW_FORMATS):
        raise Refused("it is a raw stream, which does not say when its pictures are shown",
                      "give it its rate and a container: `ffmpeg -r 25 -i FILE -c copy film.mp4`; publish that")
    if pictures is None or len(set(pictures.times)) < 2:
        raise Refused("no moving picture: fewer than two frames were found", "publish a video, not a still picture")
    _steady_clock(answer["format"], pictures)
    last_picture = pictures.last - start
    ends = [packets[s["index"]].end - start for s in audio]
    if not accept_damage:
        _not_cut_off(answer["format"], max([pictures.end - start, *ends]))
        _all_there(video, pictures)
    duration = pictures.end - start
    if ends and max(ends) > duration + LONG_TAIL:
        duration = max(ends)
    width, height, rotated = _displayed_size(video)
    shown = Pictures.of((time - start for time in pictures.times), (time - start for time in pictures.keys))
    rate, variable = shown.rate()
    colours, notes = _colours(video), []
    for stream in streams:
        if stream.get("codec_type") == "audio" and stream not in audio:
            notes.append(f"sound track {stream['index']} is empty, or of a kind that this FFmpeg does not know; it is left out")
    if len(audio) == 0:
        notes.append("there is no sound in it; the stream will have none either")
    if variable:
        notes.append(f"its frame rate varies; the stream will have a constant {float(rate):g} a second")
    tracks, subtitle_notes = _subtitles(streams)
    indexed = any(name in answer["format"].get("format_name", "").split(",") for name in INDEXED_FORMATS)
    return Source(
        path=path,
        title=(answer["format"].get("tags") or {}).get("title", "").strip() or _readable_name(path),
        video_index=video["index"],
        width=width, height=height, rate=rate, duration=duration, last_picture=last_picture,
        variable_rate=variable,
        interlacing=_interlacing(path, video, colours, duration),
        rotated=rotated,
        colours=colours,
        decoder=SIDE_ALPHA_DECODERS[video["codec_name"]] if colour.has_side_alpha(video) else "",
        pictures=shown,
        seek_offset=SEEK_INDEXED if indexed else SEEK_GUESSED,
        audio=tuple(_audio_track(s, len(packets[s["index"]].times)) for s in audio),
        subtitles=tracks,
        chapters=chapters.read(beside) if (beside := chapters.beside(path)) else chapters.of_answer(answer, start),
        notes=tuple(notes + subtitle_notes),
    )


def _readable_name(path: Path) -> str:
    """The file's name as text: one that is not UTF-8 gets a sign for each byte that is none."""
    return os.fsencode(path.stem).decode("utf-8", errors="replace")


def _readable(path: Path) -> None:
    if not path.exists():
        raise Refused("there is no such file", "check the path")
    if not path.is_file():
        raise Refused("this is not a file", "name a video file, or use --watch for a folder")
    if path.stat().st_size == 0:
        raise Refused("the file is empty", "copy or upload it again")
    try:
        path.open("rb").close()
    except OSError as error:
        raise Refused(f"the file cannot be read: {error.strerror}", "check its owner and mode") from error


def _ask(path: Path, missing: int) -> dict:
    try:
        return ffmpeg.ffprobe_json(["-show_format", "-show_streams", "-show_chapters", *ffmpeg.media_input(path)])
    except ffmpeg.ToolFailed as error:
        if missing or structure.is_boxes(path) and "moov atom not found" in error.stderr:
            raise Refused("the file is cut off: the index that says what is in it is missing",
                          "copy or upload it again, completely") from error
        # FFmpeg's words for a format that it is not allowed to open, such as a playlist, say nothing to a person.
        reason = "its format is none that is opened here" if error.last_line.endswith("Invalid argument") else error.last_line
        raise Refused(f"this is not a video that FFmpeg can read: {reason}", "publish a file such as MP4, MOV, MKV or WebM") from error


def _video_stream(streams: list[dict]) -> dict:
    # A cover picture in a music file is a video stream too, marked as attached.
    videos = [s for s in streams if s.get("codec_type") == "video" and not s.get("disposition", {}).get("attached_pic")]
    if not videos:
        held = "only sound" if any(s.get("codec_type") == "audio" for s in streams) else "no video stream"
        raise Refused(f"this is not a video: there is {held} in it", "publish a file with moving pictures")
    video = max(videos, key=lambda s: s.get("disposition", {}).get("default", 0))
    if not video.get("codec_name") or not video.get("width"):
        raise Refused("its video codec is unknown to this FFmpeg", "convert it to H.264 first")
    return video


@dataclass
class _Packets:
    """What the packets of one stream say, in seconds."""

    times: list[float] = field(default_factory=list)
    keys: list[float] = field(default_factory=list)
    last: float = float("-inf")
    end: float = float("-inf")

    def add(self, time: float, duration: float, key: bool) -> None:
        self.times.append(time)
        if key:
            self.keys.append(time)
        self.last = max(self.last, time)
        self.end = max(self.end, time + duration)


def _scan(path: Path) -> dict[int, _Packets]:
    """Reads every packet's time. Headers can be wrong or silent about the duration; the packets are what there is."""
    found: dict[int, _Packets] = {}
    arguments = ["-show_entries", "packet=stream_index,pts_time,dts_time,duration_time,flags", "-of", "compact=p=0",
                 *ffmpeg.media_input(path)]
    try:
        for line in ffmpeg.ffprobe_lines(arguments):
            fields = dict(part.partition("=")[::2] for part in line.strip().split("|"))
            time = _float(fields.get("pts_time"))
            if time is None:
                time = _float(fields.get("dts_time"))
            # D: to be decoded and not shown (an edit list cuts it away).
            if time is not None and "D" not in fields.get("flags", "") and fields.get("stream_index", "").isdigit():
                packets = found.setdefault(int(fields["stream_index"]), _Packets())
                packets.add(time, _float(fields.get("duration_time")) or 0.0, "K" in fields.get("flags", ""))
    except ffmpeg.ToolFailed as error:
        raise Refused(f"the file is damaged: {error.last_line}", "copy or upload it again") from error
    return found


def _not_cut_off(container: dict, found: float) -> None:
    promised = _float(container.get("duration"))
    names = container.get("format_name", "").split(",")
    # Those that tell their size were judged by it; and where the last picture stands long, their duration knows better.
    if promised is None or any(name in names for name in (*INDEXED_FORMATS, "avi")):
        return
    if promised - found > max(DURATION_SLACK, promised * DURATION_SLACK_SHARE):
        raise Refused(f"the file is cut off: it promises {promised:.1f} s, and only {found:.1f} s are in it",
                      "copy or upload it again, completely")


def _all_there(video: dict, pictures: _Packets) -> None:
    """Indexes say how many pictures there ought to be and for how long; both must lack, for pauses and empty frames are no loss."""
    promised, seconds = video.get("nb_frames", ""), _float(video.get("duration"))
    if not promised.isdigit() or not seconds:
        return
    found, lasted = len(pictures.times), pictures.end - min(pictures.times)
    if found < int(promised) * ALL_THERE_SHARE and lasted < seconds * ALL_THERE_SHARE:
        raise Refused(f"the file is damaged: it promises {promised} pictures, and only {found} are in it (the first {lasted:.1f} s)",
                      "copy it or export it again; --accept-damage publishes what is there")


def _steady_clock(container: dict, pictures: _Packets) -> None:
    if not any(name in container.get("format_name", "").split(",") for name in PIECED_FORMATS):
        return
    times = sorted(pictures.times)
    step, at = max((after - before, before) for before, after in zip(times, times[1:]))
    if step > LONGEST_STEP:
        raise Refused(f"its clock jumps by {step:.0f} s at second {at - times[0]:.0f}, as in a file made of several recordings",
                      "`ffmpeg -i FILE -c copy repaired.mp4` sets the clock right; publish that")


def _displayed_size(video: dict) -> tuple[int, int, bool]:
    """Width and height as a player shows them, and whether it turns the picture."""
    width, height = Fraction(video["width"]), video["height"]
    aspect = video.get("sample_aspect_ratio", "1:1").split(":")
    if len(aspect) == 2 and all(part.isdigit() and int(part) > 0 for part in aspect):
        width *= Fraction(int(aspect[0]), int(aspect[1]))
    rotation = next((s["rotation"] for s in video.get("side_data_list", []) if "rotation" in s), 0)
    turned = round(float(rotation)) % 180 == 90
    size = (height, round(width)) if turned else (round(width), height)
    return *size, round(float(rotation)) % 360 != 0


def _interlacing(path: Path, video: dict, colours: Colours, seconds: float) -> str:
    if video.get("field_order") in ("tt", "bb", "tb", "bt"):
        return "flagged"
    # What comes from a screen was never interlaced, and bwdif would make BT.601 of it; nor was what has no television's lines.
    return "" if colours.matrix == "gbr" or video["height"] not in sample.INTERLACED_LINES else sample.interlacing(ffmpeg.media_input(path), video["index"], seconds)


def _colours(video: dict) -> Colours:
    for side in video.get("side_data_list", []):
        if side.get("dv_profile") == 5:
            raise Refused("it is Dolby Vision profile 5, which has no picture that other screens can show",
                          "export it as HDR10, HLG or SDR")
    found = colour.of_stream(video)
    needed = ["zscale"] * found.wide + ["tonemap"] * found.hdr + ["premultiply"] * found.alpha
    for name in needed:
        if not ffmpeg.has_filter(name):
            kind = f"it is HDR ({found.transfer})" if found.hdr else "its colours are RGB or of a rare kind"
            raise Refused(f"{kind}, and this FFmpeg lacks the {name} filter that turns it into a stream's",
                          "use an FFmpeg built with libzimg (Debian's is), or export the video as BT.709 SDR")
    return found


def _audio_track(stream: dict, packets: int) -> AudioTrack:
    tags = stream.get("tags") or {}
    return AudioTrack(stream["index"], tag(tags.get("language")), tags.get("title", "").strip(),
                      bool(stream.get("disposition", {}).get("default")), packets, int(stream.get("channels") or 2))


def _subtitles(streams: list[dict]) -> tuple[tuple[SubtitleTrack, ...], list[str]]:
    tracks, notes = [], []
    for stream in streams:
        if stream.get("codec_type") != "subtitle":
            continue
        tags, codec = stream.get("tags") or {}, stream.get("codec_name", "unknown")
        language = tag(tags.get("language"))
        if codec in TEXT_SUBTITLES:
            forced = bool(stream.get("disposition", {}).get("forced"))
            tracks.append(SubtitleTrack(stream["index"], language, tags.get("title", "").strip(), forced, codec))
        else:
            notes.append(f"its {language} subtitles are pictures ({codec}) and are left out; add them as an .srt file")
    return tuple(tracks), notes


def _float(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:  # ffprobe writes N/A
        return None
