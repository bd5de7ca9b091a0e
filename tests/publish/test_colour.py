"""A stream and its poster have the colours of their file, in a real browser, and say which they are."""
import itertools
import subprocess
import unittest
from pathlib import Path

import chromium
from support import PublishTest, clip, run_ffmpeg, streams_of

BARS = [(192, 192, 192), (192, 192, 16), (16, 192, 192), (16, 192, 16), (192, 16, 192), (192, 16, 16), (16, 16, 192), (40, 40, 40)]
POINTS = [[(n + 0.5) / len(BARS), 0.5] for n in range(len(BARS))]
TOLERANCE = 3
FRAMES = 10
# What each kind names: primaries, transfer, matrix.
KINDS = {
    "601": ("smpte170m", "smpte170m", "smpte170m"),
    "PAL": ("bt470bg", "bt709", "bt470bg"),
    "709": ("bt709", "bt709", "bt709"),
    "2020": ("bt2020", "bt2020-10", "bt2020nc"),
}
LOSSLESS = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "2"]


def bars(name: str, size: str, *arguments: str) -> Path:
    """A clip of colour bars that begins as RGB; `arguments` say what becomes of it."""
    width, height = map(int, size.split("x"))
    raw = clip(f"{size}.rgb", "-f", "lavfi", "-i", f"color=black:size={size}:rate=25", "-frames:v", "1", "-f", "rawvideo",
               "-pix_fmt", "rgb24")
    row = b"".join(bytes(BARS[x * len(BARS) // width]) for x in range(width))
    raw.write_bytes(row * height * FRAMES)
    return clip(name, "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", "25", "-i", str(raw), *arguments)


def yuv(kind: str, full: bool, tagged: bool, size: str) -> Path:
    primaries, transfer, matrix = KINDS[kind]
    names = f"color_primaries={primaries}:color_trc={transfer}:colorspace={matrix}" if tagged else \
        "color_primaries=unknown:color_trc=unknown:colorspace=unknown"
    # Only the matrix is computed: Chromium looks at no primaries, and the bars stay comparable.
    steps = (f"zscale=min=gbr:rin=full:m={matrix}:r={'full' if full else 'limited'},format=yuv420p,"
             f"setparams={names}:range={'pc' if full else 'tv' if tagged else 'unknown'}")
    label = f"{kind}-{'full' if full else 'limited'}-{'tagged' if tagged else 'untagged'}-{size}.mp4"
    return bars(label, size, "-vf", steps, *LOSSLESS)


class Colours(PublishTest):
    def published(self, files: list[Path], *options: str) -> dict[Path, str]:
        done = self.run_publish(*options, *files)
        self.assertEqual(done.returncode, 0, done.stderr)
        ids = {Path(line.partition(" ")[2]): line.split()[0] for line in done.stdout.splitlines()}
        self.assertEqual(set(ids), set(files), "two of them are the same")
        return ids

    def looks(self, video: str) -> list[dict]:
        """For the browser: the largest rendition of the stream, and the poster."""
        folder = next(f for f in self.made(video).iterdir() if f.is_dir() and f.name.endswith("p"))
        return [{"kind": "stream", "path": folder, "points": POINTS},
                {"kind": "image", "path": self.out / "posters" / f"{video}.jpg", "points": POINTS}]

    def alike(self, name: str, expected: list, seen: dict, tolerance: int = TOLERANCE) -> None:
        self.assertNotIn("error", seen, name)
        worst = max(abs(a - b) for row, wanted in zip(seen["rows"], expected, strict=True) for a, b in zip(row, wanted))
        self.assertLessEqual(worst, tolerance, f"{name}: {seen['rows']} where {expected} was expected")

    def named(self, video: str, matrix: str | None = None) -> None:
        stream = streams_of(self.stream(video) / "master.m3u8")[0]
        for name in ("color_range", "color_space", "color_transfer", "color_primaries"):
            self.assertNotIn(stream.get(name, "unknown"), ("unknown", "pc"), name)
        if matrix:
            self.assertEqual(stream["color_space"], matrix)

    def test_every_kind_of_file_is_shown_the_same_as_a_stream_and_as_a_poster(self):
        files = [yuv(*case) for case in itertools.product(("601", "709", "2020"), (False, True), (True, False),
                                                          ("320x180", "1280x720"))]
        files += [yuv("PAL", False, True, "320x180"), yuv("PAL", False, True, "1280x720")]
        ids = self.published(files, "--ladder", "720,180")
        items = []
        for file in files:
            items += [{"kind": "file", "path": file, "points": POINTS}, *self.looks(ids[file])]
        seen = chromium.shown(items)
        for n, file in enumerate(files):
            source, stream, poster = seen[3 * n:3 * n + 3]
            with self.subTest(file.stem):
                self.assertNotIn("error", source)
                self.alike("the stream", source["rows"], stream)
                self.alike("the poster", source["rows"], poster)
                self.named(ids[file], KINDS[file.stem.split("-")[0]][2] if "-tagged" in file.stem else None)

    def test_rgb_pictures_and_rare_matrices_keep_their_colours(self):
        """Browsers play few of these as files; their bars are known."""
        files = [
            bars("animation.mov", "320x180", "-c:v", "qtrle"),
            bars("picture.gif", "320x180", "-vf", "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"),
            bars("rgb.mp4", "320x180", "-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0"),
            bars("png.mov", "1280x720", "-c:v", "png"), bars("deep.mkv", "320x180", "-c:v", "ffv1", "-pix_fmt", "gbrp10le"),
            bars("ycgco.mp4", "320x180", "-vf", "zscale=min=gbr:rin=full:m=ycgco:r=limited,format=yuv444p", *LOSSLESS,
                 "-colorspace", "ycgco"),
            bars("motion.avi", "320x180", "-vf", "zscale=min=gbr:rin=full:m=470bg:r=full,format=yuvj444p", "-c:v", "mjpeg", "-q:v", "1"),
        ]
        ids = self.published(files)
        items = [item for file in files for item in self.looks(ids[file])]
        seen = chromium.shown(items)
        for n, file in enumerate(files):
            with self.subTest(file.name):
                self.alike("the stream", BARS, seen[2 * n])
                self.alike("the poster", BARS, seen[2 * n + 1])
                self.named(ids[file])

    def test_transparent_pictures_stand_over_black(self):
        half = "format=gbrap,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(Y,H/2),255,if(lt(Y,3*H/4),128,0))'"
        files = [bars("alpha.mov", "320x180", "-vf", half, "-c:v", "qtrle", "-pix_fmt", "argb"),
                 bars("alpha.mkv", "320x180", "-vf", half, "-c:v", "ffv1", "-pix_fmt", "bgra"),
                 bars("alpha.webm", "320x180", "-vf",
                      f"{half},zscale=min=gbr:rin=full:m=170m:r=limited,format=yuva420p,setparams=colorspace=smpte170m:range=tv",
                      "-c:v", "libvpx-vp9", "-crf", "4", "-b:v", "0", "-cpu-used", "8", "-auto-alt-ref", "0")]
        ids = self.published(files)
        levels = ((0.25, 1.0), (0.625, 128 / 255), (0.875, 0.0))
        items = [item | {"points": [[x, y] for y, _ in levels for x, _ in POINTS]}
                 for file in files for item in self.looks(ids[file])]
        expected = [[round(c * share) for c in bar] for _, share in levels for bar in BARS]
        seen = chromium.shown(items)
        for n, file in enumerate(files):
            with self.subTest(file.name):
                self.alike("the stream", expected, seen[2 * n])
                self.alike("the poster", expected, seen[2 * n + 1])

    def test_hdr_becomes_bt709_and_says_so(self):
        """Through Chromium a stream's picture is what its names make of its numbers, and its hues are the film's."""
        files = []
        for transfer in ("smpte2084", "arib-std-b67"):
            files.append(bars(
                f"{transfer}.mp4", "320x180", "-vf",
                f"setparams=color_primaries=bt709:color_trc=bt709:colorspace=gbr:range=pc,zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=2020:t={transfer}:m=2020_ncl:"
                "r=limited:npl=100,format=yuv420p10le", "-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
                f"log-level=error:crf=4:colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc", "-tag:v", "hvc1"))
        ids = self.published(files)
        seen = chromium.shown([item for file in files for item in self.looks(ids[file])])
        for n, file in enumerate(files):
            with self.subTest(file.stem):
                self.named(ids[file], "bt709")
                stream, poster = seen[2 * n:2 * n + 2]
                # Ten bits of film grain from x265 go differently through x264 and JPEG.
                self.alike("the poster", stream["rows"], poster, 2 * TOLERANCE)
                self.alike("the numbers", self.numbers(ids[file]), stream)
                for bar, row in zip(BARS, stream["rows"], strict=True):
                    for channel, value in zip(bar, row):
                        # A tone mapping bends lightness; what has none of a colour gets none.
                        self.assertTrue(value < 45 if channel == 16 else value > 100 if channel == 192 else True, (bar, row))

    def numbers(self, video: str) -> list:
        """The stream's colours as BT.709's formulas make them of its bytes."""
        folder = next(f for f in self.made(video).iterdir() if f.is_dir() and f.name.endswith("p"))
        done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-allowed_extensions", "ALL", "-i", folder / "index.m3u8",
                               "-ss", "0.2", "-frames:v", "1", "-vf", "zscale=min=709:rin=limited:m=gbr:r=full,format=gbrp,format=rgb24",
                               "-f", "rawvideo", "-"], capture_output=True, check=True)
        width, height = 320, 180
        at = [int(y * height) * width + int(x * width) for x, y in POINTS]
        return [list(done.stdout[3 * place:3 * place + 3]) for place in at]


if __name__ == "__main__":
    unittest.main()
