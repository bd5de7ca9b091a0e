"""Pure: which colours a source's numbers mean, which the stream gets, and the filters in between.

What the file shows, the stream shows: numbers that every player understands are kept and named as what they are (BT.601,
BT.709 and BT.2020 in limited range); all else (RGB, full range, rarer matrices, HDR) is computed into one of these. A file
that names nothing is taken for what players take it for, and the stream then says it.
Source: ITU-T H.273 for the numbers and FFmpeg's names of them.
"""
from dataclasses import dataclass, replace

PQ, HLG = "smpte2084", "arib-std-b67"
HDR_TRANSFERS = (PQ, HLG)
# Screens of the SDR world are taken to shine 100 nits where the picture is white.
SDR_WHITE_NITS = 100
# From here on a film that names no colours counts as HD, and so as BT.709: wider than PAL, or higher.
HD_WIDTH, HD_HEIGHT = 1280, 720

_KEPT_MATRICES = ("bt709", "bt470bg", "smpte170m", "bt2020nc")
_RARE_MATRICES = ("fcc", "smpte240m", "ycgco", "bt2020c")
# primaries: the matrix that belongs to them
_KEPT_PRIMARIES = {"bt709": "bt709", "bt470bg": "bt470bg", "smpte170m": "smpte170m", "bt2020": "bt2020nc"}
_KEPT_TRANSFERS = ("bt709", "smpte170m", "iec61966-2-1", "bt2020-10", "bt2020-12", "bt470m", "bt470bg")
_HDR_PRIMARIES = ("bt2020", "bt709", "smpte432")
_HDR_MATRICES = ("bt2020nc", "bt2020c", "bt709")
_ALPHA = ("yuva", "gbrap", "rgba", "bgra", "argb", "abgr", "ya8", "ya16", "ayuv", "pal8")
_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8", "mono")
# Names that the zscale filter spells in its own way.
_ZSCALE = {"smpte240m": "smpte2400m"}
_RANGE = {False: "limited", True: "full"}
# Primaries that browsers tell apart from sRGB's.
_SEEN_PRIMARIES = ("bt470bg", "bt2020")
# Names of the scale filter; those of BT.601's two kinds share their numbers.
_SCALE = {"bt709": "bt709", "bt470bg": "bt601", "smpte170m": "bt601", "bt2020nc": "bt2020"}


@dataclass(frozen=True)
class Colours:
    """- `primaries`, `transfer`, `matrix`: FFmpeg's names, never unknown. `matrix` is `gbr` for RGB.
    - `full`: full range (0 to 255), and not limited (16 to 235).
    - `alpha`: the picture is transparent in places.
    """

    primaries: str = "bt709"
    transfer: str = "bt709"
    matrix: str = "bt709"
    full: bool = False
    alpha: bool = False

    @property
    def hdr(self) -> bool:
        return self.transfer in HDR_TRANSFERS

    @property
    def wide(self) -> bool:
        """Whether zscale has to compute them: for the rest no numbers change, or only their range."""
        return self.hdr or self.alpha or self.matrix not in _KEPT_MATRICES


def of_stream(stream: dict) -> Colours:
    """What ffprobe's `stream` means, with what players assume where it says nothing."""
    pixels, said = stream.get("pix_fmt", ""), {name: stream.get(key, "") for name, key in (
        ("primaries", "color_primaries"), ("transfer", "color_transfer"), ("matrix", "color_space"))}
    alpha = pixels.startswith(_ALPHA) or has_side_alpha(stream)
    if said["transfer"] in HDR_TRANSFERS:
        # Where an HDR file names no colours, or odd ones, it is taken for BT.2020, which HDR films have.
        return Colours(said["primaries"] if said["primaries"] in _HDR_PRIMARIES else "bt2020", said["transfer"],
                       said["matrix"] if said["matrix"] in _HDR_MATRICES else "bt2020nc",
                       stream.get("color_range") == "pc", alpha)
    if pixels.startswith(_RGB) or said["matrix"] == "gbr":
        matrix, full = "gbr", True
    else:
        full = stream.get("color_range") == "pc" or pixels.startswith("yuvj")
        matrix = said["matrix"]
        if matrix not in (*_KEPT_MATRICES, *_RARE_MATRICES):
            matrix = _KEPT_PRIMARIES.get(said["primaries"]) or _assumed(stream, full)
    primaries = said["primaries"] if said["primaries"] in _KEPT_PRIMARIES else _assumed_primaries(matrix, full)
    transfer = said["transfer"] if said["transfer"] in _KEPT_TRANSFERS else "bt709"
    return Colours(primaries, transfer, matrix, full, alpha)


def has_side_alpha(stream: dict) -> bool:
    """WebM keeps VP8's and VP9's transparency beside the picture, where FFmpeg's own decoders do not look."""
    tags = {name.lower(): value for name, value in (stream.get("tags") or {}).items()}
    return stream.get("codec_name") in ("vp8", "vp9") and tags.get("alpha_mode") == "1"


def _assumed(stream: dict, full: bool) -> str:
    """The matrix of a file that names none. Full range without a name is the way of JPEG and of cameras: BT.601."""
    width, height = stream.get("width", 0), stream.get("height", 0)
    if not full and (width >= HD_WIDTH or height >= HD_HEIGHT):
        return "bt709"
    return "smpte170m"


def _assumed_primaries(matrix: str, full: bool) -> str:
    """JPEG's are those of sRGB; browsers take every unnamed BT.601 for the American kind."""
    if matrix == "bt2020nc":
        return "bt2020"
    return "smpte170m" if matrix in ("smpte170m", "bt470bg") and not full else "bt709"


def output(source: Colours) -> Colours:
    """The stream's colours: always limited range, opaque, and not HDR."""
    if source.hdr:
        return Colours()
    matrix = source.matrix if source.matrix in _KEPT_MATRICES else "bt709"
    return replace(source, matrix=matrix, full=False, alpha=False)


def convert(source: Colours) -> list[str]:
    """Filters after which the pictures have `output(source)`, but for the range; nothing where only that differs."""
    steps, made, rgb = [], output(source), replace(source, matrix="gbr", full=True)
    if source.alpha:
        # Over black, as a page with a dark player shows it: each colour times its opacity.
        steps += [_zscale(source, rgb)] * (source.matrix != "gbr") + ["format=gbrap", "premultiply=inplace=1", "format=gbrp"]
        source = rgb
    if source.hdr:
        named = f"pin={source.primaries}:tin={source.transfer}:min={source.matrix}:rin={_RANGE[source.full]}"
        steps += [f"zscale={named}:t=linear:npl={SDR_WHITE_NITS}", "format=gbrpf32le", "zscale=p=bt709",
                  "tonemap=tonemap=hable:desat=0", "zscale=t=bt709:m=bt709:r=limited", "format=yuv420p"]
    elif source.matrix not in _KEPT_MATRICES:
        if source.matrix == "gbr" and not source.alpha:
            steps.append("format=gbrp")
        steps += [_zscale(source, made), "format=yuv444p"]
    return steps


def _zscale(before: Colours, after: Colours) -> str:
    """Everything is named on both sides: not every frame says its colours, and zscale computes from no unknown ones."""
    def names(one: Colours, side: str) -> str:
        return (f"p{side}={one.primaries}:t{side}={one.transfer}:m{side}={_ZSCALE.get(one.matrix, one.matrix)}"
                f":r{side}={_RANGE[one.full]}")
    return f"zscale={names(before, 'in')}:{names(after, '')}"


def fit(source: Colours, width: int, height: int) -> str:
    """Filters that follow `convert`: a rendition's size, format, range and names."""
    made = output(source)
    return (f"scale={width}:{height}:flags=bicubic:{_matrices(made, made)}:in_range={_range_left(source)}:out_range=limited,"
            f"setsar=1,format=yuv420p,{_names(made)}")


def fit_jpeg(source: Colours, width: int, height: int) -> str:
    """The same for a JPEG, which by its standard (JFIF) has BT.601's matrix in full range, and no name: sRGB to everybody."""
    made, picture = output(source), Colours(transfer="iec61966-2-1", matrix="smpte170m", full=True)
    size = f"scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int"
    if made.primaries in _SEEN_PRIMARIES:
        # Browsers take every SDR curve for sRGB's when they compute primaries.
        before = replace(made, transfer=picture.transfer, full=source.full and not source.wide)
        # As RGB in between, where what no sRGB screen can show is cut off colour by colour.
        steps = f"{_zscale(before, replace(picture, matrix='gbr'))},format=gbrp,{size}:out_color_matrix=bt601:out_range=full"
    else:
        steps = f"{size}:{_matrices(made, picture)}:in_range={_range_left(source)}:out_range=full"
    return f"{steps},setsar=1,format=yuvj420p"


def options(source: Colours) -> list[str]:
    """The encoder's names for the stream's colours."""
    made = output(source)
    return ["-color_primaries", made.primaries, "-color_trc", made.transfer, "-colorspace", made.matrix, "-color_range", "tv"]


def _range_left(source: Colours) -> str:
    return "full" if source.full and not source.wide else "limited"


def _matrices(before: Colours, after: Colours) -> str:
    return f"in_color_matrix={_SCALE[before.matrix]}:out_color_matrix={_SCALE[after.matrix]}"


def _names(made: Colours) -> str:
    return (f"setparams=color_primaries={made.primaries}:color_trc={made.transfer}:colorspace={made.matrix}:range=limited")
