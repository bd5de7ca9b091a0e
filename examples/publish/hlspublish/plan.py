"""Pure: a source and the settings → what exactly is going to be made, and whether half-made work still fits it."""
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction

from . import ladder
from .ladder import Rendition
from .probe import Source

# Raised when encoding changes in a way that must not be mixed with chunks of before.
RECIPE = 3
PREVIEW_SHORT_SIDE = 480


@dataclass(frozen=True)
class Settings:
    """What the operator chose; the command line's options of the same names."""

    container: str = "fmp4"
    rungs: tuple[int, ...] = ladder.DEFAULT_RUNGS
    preset: str = "medium"
    loudness: bool = False
    encrypt: bool = False
    segments_url: str = ""
    preview: float = 0.0
    poster_at: float | None = None
    chunk: float = 60.0
    accept_damage: bool = False
    captions_encoding: str = ""
    codecs: tuple[str, ...] = ("h264",)
    download: bool = False


@dataclass(frozen=True)
class Plan:
    """One stream: the video itself, or its preview."""

    renditions: tuple[Rendition, ...]
    rate: Fraction
    frames: int
    segment_frames: int
    chunk_frames: int
    container: str
    preset: str
    loudness: bool
    encrypt: bool
    segments_url: str  # "" or ends with "/VIDEO/"
    accept_damage: bool
    extras: bool  # chapters and thumbnails
    download: bool

    @property
    def seconds(self) -> float:
        return float(self.frames / self.rate)

    @property
    def segment_seconds(self) -> float:
        return float(self.segment_frames / self.rate)

    @property
    def keyframe_seconds(self) -> float:
        return float(ladder.keyframe_interval(self.rate) / self.rate)

    @property
    def chunks(self) -> int:
        return -(-self.frames // self.chunk_frames)

    def chunk_span(self, number: int) -> tuple[float, int]:
        """The chunk's first second and how many frames it has."""
        first = number * self.chunk_frames
        return float(first / self.rate), min(self.chunk_frames, self.frames - first)

    def fingerprint(self, source: Source) -> str:
        """Differs when chunks of one plan do not fit into the other."""
        parts = [RECIPE, dataclasses.asdict(self), [dataclasses.asdict(track) for track in source.audio]]
        return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()


def for_stream(source: Source, settings: Settings, video: str) -> Plan:
    url = f"{settings.segments_url.rstrip('/')}/{video}/" if settings.segments_url else ""
    return _plan(source, settings, source.total_frames, settings.rungs, settings.encrypt, url, settings.codecs, True)


def for_preview(source: Source, settings: Settings) -> Plan:
    """The first seconds, free for all: small renditions, no encryption, nothing on the CDN."""
    frames = min(source.total_frames, max(1, round(settings.preview * source.rate)))
    rungs = tuple(r for r in settings.rungs if r <= PREVIEW_SHORT_SIDE) or (min(settings.rungs),)
    return _plan(source, settings, frames, rungs, False, "", ("h264",), False)


def _plan(source: Source, settings: Settings, frames: int, rungs: tuple[int, ...], encrypt: bool, url: str,
          codecs: tuple[str, ...], whole: bool) -> Plan:
    segment = ladder.segment_frames(source.rate)
    segments_a_chunk = max(1, round(settings.chunk / ladder.SEGMENT_SECONDS))
    return Plan(
        renditions=tuple(ladder.in_codecs(ladder.renditions(source.width, source.height, source.rate, rungs), codecs)),
        rate=source.rate, frames=frames, segment_frames=segment, chunk_frames=segment * segments_a_chunk,
        container=settings.container, preset=settings.preset, loudness=settings.loudness,
        encrypt=encrypt, segments_url=url, accept_damage=settings.accept_damage,
        extras=whole, download=whole and settings.download,
    )
