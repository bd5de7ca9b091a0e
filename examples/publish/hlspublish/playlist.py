"""M3U8 (RFC 8216): reads and writes the two kinds of playlist, and knows no file."""
import re
from dataclasses import dataclass, field

# 7 is the version under which EXT-X-MAP is allowed in any playlist; 3 the one for fractions of a second.
VERSION_FMP4 = 7
VERSION_TS = 3

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]*)(?:,|\Z)')


class BadPlaylist(ValueError):
    """Not a playlist that a player would take; the text says why."""


@dataclass
class Segment:
    uri: str
    seconds: float
    range: tuple[int, int] = (0, 0)  # bytes, and from where; (0, 0) for the whole file


@dataclass
class MediaPlaylist:
    segments: list[Segment] = field(default_factory=list)
    target: int = 0
    map_uri: str = ""
    key_uri: str = ""
    key_method: str = ""
    version: int = 1
    sequence: int = 0
    ended: bool = False
    discontinuous: bool = False
    iframes_only: bool = False

    def starts(self) -> list[float]:
        """Where each segment begins, and at last where the stream ends."""
        at, starts = 0.0, [0.0]
        for segment in self.segments:
            at += segment.seconds
            starts.append(at)
        return starts

    def right_target(self) -> int:
        """The longest segment, rounded to the nearest second (section 4.3.3.1); 0 would tell players nothing."""
        return max([1, *(int(s.seconds + 0.5) for s in self.segments)])

    def render(self) -> str:
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{self.version}", f"#EXT-X-TARGETDURATION:{self.right_target()}",
                 f"#EXT-X-MEDIA-SEQUENCE:{self.sequence}", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-INDEPENDENT-SEGMENTS"]
        if self.iframes_only:
            lines.append("#EXT-X-I-FRAMES-ONLY")
        if self.map_uri:
            lines.append(f'#EXT-X-MAP:URI="{self.map_uri}"')
        # After the map: what stands before a key is in the clear, and the initialisation holds no picture or sound.
        if self.key_uri:
            lines.append(f'#EXT-X-KEY:METHOD=AES-128,URI="{self.key_uri}"')
        for segment in self.segments:
            place = [f"#EXT-X-BYTERANGE:{segment.range[0]}@{segment.range[1]}"] if segment.range[0] else []
            lines += [f"#EXTINF:{segment.seconds:.6f},", *place, segment.uri]
        return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


@dataclass
class Variant:
    uri: str
    attributes: dict[str, str]


@dataclass
class MasterPlaylist:
    variants: list[Variant] = field(default_factory=list)
    media: list[dict[str, str]] = field(default_factory=list)
    iframes: list[dict[str, str]] = field(default_factory=list)
    version: int = 1

    def render(self) -> str:
        lines = ["#EXTM3U", f"#EXT-X-VERSION:{self.version}", "#EXT-X-INDEPENDENT-SEGMENTS"]
        lines += [f"#EXT-X-MEDIA:{render_attributes(media)}" for media in self.media]
        for variant in self.variants:
            lines += [f"#EXT-X-STREAM-INF:{render_attributes(variant.attributes)}", variant.uri]
        lines += [f"#EXT-X-I-FRAME-STREAM-INF:{render_attributes(iframes)}" for iframes in self.iframes]
        return "\n".join([*lines, ""])


# Attributes that are quoted strings (sections 4.3.4.1 and 4.3.4.2); the others are numbers or words.
QUOTED = {"URI", "GROUP-ID", "NAME", "LANGUAGE", "CHANNELS", "CODECS", "AUDIO", "SUBTITLES"}


def render_attributes(attributes: dict[str, str]) -> str:
    return ",".join(f'{k}="{quotable(v)}"' if k in QUOTED else f"{k}={v}" for k, v in attributes.items())


def quotable(text: str) -> str:
    """A quoted string holds no double quote and no line break (section 4.2)."""
    return "".join("'" if c == '"' else " " if c in "\r\n" else c for c in text)


def parse_attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def parse_master(text: str) -> MasterPlaylist:
    """Errors: `BadPlaylist`."""
    master, pending = MasterPlaylist(), None
    for tag, value in _lines(text):
        if tag == "#EXT-X-VERSION":
            master.version = _integer(tag, value)
        elif tag == "#EXT-X-MEDIA":
            master.media.append(parse_attributes(value))
        elif tag == "#EXT-X-I-FRAME-STREAM-INF":
            master.iframes.append(parse_attributes(value))
        elif tag == "#EXT-X-STREAM-INF":
            pending = parse_attributes(value)
        elif tag == "" and pending is not None:
            master.variants.append(Variant(value, pending))
            pending = None
        elif tag in ("", "#EXTINF"):
            raise BadPlaylist(f"{value!r} does not belong into a master playlist")
    if not master.variants:
        raise BadPlaylist("it names no variant")
    return master


def parse_media(text: str) -> MediaPlaylist:
    """Errors: `BadPlaylist`."""
    media, seconds, place = MediaPlaylist(), None, (0, 0)
    for tag, value in _lines(text):
        if tag == "#EXTINF":
            seconds = _number(tag, value.partition(",")[0])
        elif tag == "":
            if seconds is None:
                raise BadPlaylist(f"{value!r} has no EXTINF before it")
            media.segments.append(Segment(value, seconds, place))
            seconds, place = None, (0, 0)
        elif tag == "#EXT-X-BYTERANGE":
            size, _, start = value.partition("@")
            place = (_integer(tag, size), _integer(tag, start))
        elif tag == "#EXT-X-I-FRAMES-ONLY":
            media.iframes_only = True
        elif tag == "#EXT-X-TARGETDURATION":
            media.target = _integer(tag, value)
        elif tag == "#EXT-X-VERSION":
            media.version = _integer(tag, value)
        elif tag == "#EXT-X-MEDIA-SEQUENCE":
            media.sequence = _integer(tag, value)
        elif tag == "#EXT-X-MAP":
            media.map_uri = parse_attributes(value).get("URI", "")
        elif tag == "#EXT-X-KEY":
            attributes = parse_attributes(value)
            media.key_method, media.key_uri = attributes.get("METHOD", ""), attributes.get("URI", "")
        elif tag == "#EXT-X-DISCONTINUITY":
            media.discontinuous = True
        elif tag == "#EXT-X-ENDLIST":
            media.ended = True
    if not media.segments:
        raise BadPlaylist("it names no segment")
    return media


def _lines(text: str):
    """(tag, value) for each line that says something; a URI has the tag ""."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "#EXTM3U":
        raise BadPlaylist("its first line is not #EXTM3U")
    for line in lines[1:]:
        if not line.startswith("#"):
            yield "", line
        elif line.startswith("#EXT"):
            tag, _, value = line.partition(":")
            yield tag, value


def _integer(tag: str, text: str) -> int:
    if not text.isdecimal():
        raise BadPlaylist(f"{tag} has {text!r} where a whole number belongs")
    return int(text)


def _number(tag: str, text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise BadPlaylist(f"{tag} has {text!r} where seconds belong")
    return float(text)
