"""Pure: the FFmpeg filter text that turns a source's pictures into a ladder's.

FFmpeg itself turns rotated pictures upright before the first filter.
"""
from . import colour, damage, sample
from .ladder import Rendition
from .probe import Source


def ladder_graph(source: Source, renditions: list[Rendition], start: float) -> str:
    """One chain that is split at its end: outputs `[v0]`, `[v1]`, … in the ladder's order.

    `start`: second of the source at which the first frame out stands. Frames read before it are dropped.
    """
    chain = ",".join(common(source, start))
    branches = "".join(f"[s{n}]" for n in range(len(renditions)))
    graph = [f"[0:{source.video_index}]{chain},split={len(renditions)}{branches}"]
    graph += [f"[s{n}]{colour.fit(source.colours, r.width, r.height)}[v{n}]" for n, r in enumerate(renditions)]
    return ";".join(graph)


def common(source: Source, start: float) -> list[str]:
    """What every rendition shares, in the order in which it must happen."""
    steps = [damage.SHOWINFO, *sample.deinterlace(source.interlacing)]
    # The last picture stands until the end, however long that is: a slide show, or sound that goes on. The encoder counts.
    steps.append("tpad=stop_mode=clone:stop=-1")
    steps.append(f"fps=fps={source.rate}:start_time={start:.6f}")
    return steps + colour.convert(source.colours)
