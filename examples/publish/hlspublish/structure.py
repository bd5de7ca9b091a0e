"""Is the file all there? MP4, Matroska and AVI say in their headers how long they ought to be.

A download or upload that broke off often still plays from its beginning; only these sizes tell.
Sources: ISO/IEC 14496-12 section 4.2 (boxes), RFC 8794 section 4 to 6 (EBML), the RIFF specification.
"""
import os
from pathlib import Path

EBML_MAGIC = b"\x1a\x45\xdf\xa3"
SEGMENT_ID = b"\x18\x53\x80\x67"
_PICTURE_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC",
                   b"avif": "AVIF", b"avis": "AVIF"}
FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def missing_bytes(path: Path) -> int:
    """How many bytes the container promises beyond the end of the file; 0 when whole, or when it promises nothing."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(12)
        file.seek(0)
        if magic[4:8] in FIRST_BOXES:
            end = _boxes_end(file, size)
        elif magic[:4] == EBML_MAGIC:
            end = _matroska_end(file)
        elif magic[:4] == b"RIFF" and magic[8:12] == b"AVI ":
            end = 8 + int.from_bytes(magic[4:8], "little")
        else:
            return 0
    return max(0, end - size)


def picture_kind(path: Path) -> str:
    """`HEIC`, `AVIF` or `WebP` for the picture formats that FFmpeg takes for a broken video, or for nothing; else ""."""
    with path.open("rb") as file:
        start = file.read(64)
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp":
        return _PICTURE_BRANDS.get(start[8:12], "")
    return ""


def is_boxes(path: Path) -> bool:
    """Whether it begins as an MP4 or a MOV does, whatever its name says."""
    with path.open("rb") as file:
        return file.read(8)[4:] in FIRST_BOXES


def _boxes_end(file, size: int) -> int:
    """Where the last top-level box ends. The walk stops at what is no box: some cameras append data of their own."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if not kind.isalnum():
            return at
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # "extends to the end of the file"
            return size
        if length < 8:
            return at
        at += length
    return at


def _matroska_end(file) -> int:
    """Where the Segment ends, or 0 if its size is unknown (a live recording)."""
    file.seek(4)
    header_length = _vint(file)
    if header_length is None:
        return 0
    file.seek(header_length, os.SEEK_CUR)
    if file.read(4) != SEGMENT_ID:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file) -> int | None:
    """An EBML data size; None for "unknown" (all value bits set) and at the end of the file."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    extra = 8 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0x7F >> extra)]) + file.read(extra), "big")
    return None if value == (1 << (7 * (extra + 1))) - 1 else value
