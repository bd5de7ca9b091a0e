"""Pure: the FFmpeg filter text that turns a source's pictures into a ladder's.

FFmpeg itself turns rotated pictures upright before the first filter.
"""
from .ladder import Rendition
from .probe import Source

# Screens of the SDR world are taken to shine 100 nits where the picture is white.
SDR_WHITE_NITS = 100


def ladder_graph(source: Source, renditions: list[Rendition], start: float) -> str:
    """One chain that is split at its end: outputs `[v0]`, `[v1]`, … in the ladder's order.

    `start`: second of the source at which the first frame out stands. Frames read before it are dropped.
    """
    chain = ",".join(common(source, start))
    branches = "".join(f"[s{n}]" for n in range(len(renditions)))
    graph = [f"[0:{source.video_index}]{chain},split={len(renditions)}{branches}"]
    graph += [f"[s{n}]{fit(r.width, r.height)}[v{n}]" for n, r in enumerate(renditions)]
    return ";".join(graph)


def common(source: Source, start: float) -> list[str]:
    """What every rendition shares, in the order in which it must happen."""
    steps = []
    if source.interlaced:
        steps.append("bwdif=mode=send_frame:deint=interlaced")
    # The last picture stands until the end, however long that is: a slide show, or sound that goes on.
    steps.append(f"tpad=stop_mode=clone:stop_duration={source.duration - source.last_picture + 1:.6f}")
    steps.append(f"fps=fps={source.rate}:start_time={start:.6f}")
    return steps + tone_map(source)


def tone_map(source: Source) -> list[str]:
    """HDR to SDR (BT.709); nothing for an SDR source. The input's colours are named, for not every frame says them."""
    if not source.hdr_transfer:
        return []
    # Where a file names no colours, or odd ones, it is taken for BT.2020, which HDR films have.
    primaries = source.colour_primaries if source.colour_primaries in ("bt2020", "bt709", "smpte432") else "bt2020"
    matrix = source.colour_matrix if source.colour_matrix in ("bt2020nc", "bt2020c", "bt709") else "bt2020nc"
    return [
        f"zscale=tin={source.hdr_transfer}:pin={primaries}:min={matrix}:t=linear:npl={SDR_WHITE_NITS}",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=t=bt709:m=bt709:r=tv",
    ]


def fit(width: int, height: int) -> str:
    return f"scale={width}:{height}:flags=bicubic,setsar=1,format=yuv420p"
