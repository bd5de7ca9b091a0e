"""Pure: which of Apple's rules for HLS a stream does not hold, as far as they can be measured. None of them keeps it from playing.

Source: HLS Authoring Specification for Apple Devices; docs/publishing.md has the table.
"""
from dataclasses import dataclass

from .playlist import MasterPlaylist

FIRST_VARIANT = 2_000_000
PEAK_BY_AVERAGE = 2.0
STATED_WITHIN = 1.1
STEP_AT_MOST = 2.0
KEYFRAME_SECONDS = 2.05
TARGET_SECONDS = 6


@dataclass(frozen=True)
class Measured:
    """A variant as it is, its largest sound included. Bits a second, and seconds."""

    uri: str
    peak: int
    average: int
    target: int
    keyframe_distance: float


def unheld(master: MasterPlaylist, measured: list[Measured]) -> list[str]:
    """One line for each rule that is not held: what was found, and what is asked for."""
    said = {variant.uri: variant.attributes for variant in master.variants}
    found = []
    first = said[master.variants[0].uri]
    if int(first["BANDWIDTH"]) > FIRST_VARIANT:
        found.append(f"the first variant needs {_mbit(int(first['BANDWIDTH']))}, and at most {_mbit(FIRST_VARIANT)} are asked for, to begin soon")
    for one in measured:
        for name, value in (("BANDWIDTH", one.peak), ("AVERAGE-BANDWIDTH", one.average)):
            stated = int(said[one.uri].get(name, 0))
            if stated > value * STATED_WITHIN:
                found.append(f"{one.uri}: {name} says {_mbit(stated)} where {_mbit(value)} were measured; at most a tenth more is asked for")
        if one.peak > one.average * PEAK_BY_AVERAGE:
            found.append(f"{one.uri}: its peak of {_mbit(one.peak)} is more than twice its average of {_mbit(one.average)}")
        if one.target > TARGET_SECONDS:
            found.append(f"{one.uri}: segments of {one.target} s, and {TARGET_SECONDS} s are asked for")
        if one.keyframe_distance > KEYFRAME_SECONDS:
            found.append(f"{one.uri}: keyframes {one.keyframe_distance:.1f} s apart, and 2 s are asked for")
    for codec in ("avc1", "av01"):
        rates = sorted(one.average for one in measured if said[one.uri].get("CODECS", "").startswith(codec))
        for low, high in zip(rates, rates[1:]):
            if high > low * STEP_AT_MOST:
                found.append(f"{codec}: from {_mbit(low)} to {_mbit(high)} is more than twice, so the step between is seen")
    if not master.iframes:
        found.append("there are no I-frame playlists, so winding shows no pictures")
    return found


def _mbit(bits: int) -> str:
    return f"{bits / 1_000_000:.2f} Mbit/s"
