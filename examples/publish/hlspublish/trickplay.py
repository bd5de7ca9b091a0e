"""I-frame playlists: where in the segments each keyframe lies, so that players show pictures while somebody seeks or winds.

For fragmented MP4 alone. A fragment begins with its keyframe, so the range from the fragment to the end of its first sample
holds one picture (RFC 8216 section 4.3.3.6). Encrypted segments have none: a range of theirs cannot be decrypted by itself.
Source: ISO/IEC 14496-12 section 8.8 for the boxes.
"""
from pathlib import Path

from .playlist import MediaPlaylist, Segment

NAME = "iframes.m3u8"
# Flags of `tfhd` and `trun` that say which fields follow.
_TFHD_OFFSET, _TFHD_DESCRIPTION, _TFHD_DURATION, _TFHD_SIZE = 0x1, 0x2, 0x8, 0x10
_TRUN_DATA_OFFSET, _TRUN_FIRST_FLAGS, _TRUN_DURATION, _TRUN_SIZE = 0x1, 0x4, 0x100, 0x200


class BadFragment(ValueError):
    """Not a fragment as FFmpeg writes them."""


def keyframes(data: bytes) -> list[tuple[int, int]]:
    """Offset and length of each fragment's keyframe, its headers included."""
    found = []
    for kind, at, end in _boxes(data, 0, len(data)):
        if kind == b"moof":
            found.append((at, _first_sample_end(data, at, end) - at))
    return found


def playlist_of(folder: Path, media: MediaPlaylist, seconds: list[list[float]]) -> MediaPlaylist:
    """The I-frame playlist of a rendition. `seconds`: for each segment, how long each of its fragments is shown."""
    made = MediaPlaylist(version=media.version, map_uri=media.map_uri, iframes_only=True)
    for segment, lengths in zip(media.segments, seconds, strict=True):
        ranges = keyframes((folder / segment.uri).read_bytes())
        if len(ranges) != len(lengths):
            raise BadFragment(f"{segment.uri} has {len(ranges)} fragments, and {len(lengths)} were expected")
        made.segments += [Segment(segment.uri, length, (size, at)) for (at, size), length in zip(ranges, lengths)]
    return made


def peak(made: MediaPlaylist) -> int:
    """Bits a second that its pictures need at normal speed, at most."""
    return max(round(segment.range[0] * 8 / max(segment.seconds, 0.001)) for segment in made.segments)


def _boxes(data: bytes, at: int, end: int):
    while at + 8 <= end:
        size, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        if size < 8 or at + size > end:
            raise BadFragment(f"a box {kind!r} of {size} bytes at {at}")
        yield kind, at, at + size
        at += size


def _first_sample_end(data: bytes, moof: int, end: int) -> int:
    traf = next(((at, stop) for kind, at, stop in _boxes(data, moof + 8, end) if kind == b"traf"), None)
    if traf is None:
        raise BadFragment("a fragment without a track")
    usual = 0
    for kind, at, _stop in _boxes(data, traf[0] + 8, traf[1]):
        flags, field = int.from_bytes(data[at + 9:at + 12], "big"), at + 12
        if kind == b"tfhd":
            field += 4 + 8 * bool(flags & _TFHD_OFFSET) + 4 * bool(flags & _TFHD_DESCRIPTION) + 4 * bool(flags & _TFHD_DURATION)
            usual = int.from_bytes(data[field:field + 4], "big") if flags & _TFHD_SIZE else 0
        elif kind == b"trun":
            if not flags & _TRUN_DATA_OFFSET:
                raise BadFragment("a run of samples that does not say where they are")
            offset = int.from_bytes(data[field + 4:field + 8], "big", signed=True)
            field += 8 + 4 * bool(flags & _TRUN_FIRST_FLAGS) + 4 * bool(flags & _TRUN_DURATION)
            size = int.from_bytes(data[field:field + 4], "big") if flags & _TRUN_SIZE else usual
            return moof + offset + size
    raise BadFragment("a fragment without samples")
