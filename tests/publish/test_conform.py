"""The conformity check finds what is broken: a good stream is broken in one way at a time."""
import re
import shutil
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path

from hlspublish import rules
from hlspublish.conform import Check, _Rendition
from hlspublish.playlist import MasterPlaylist, Variant, parse_master
from hlspublish.rules import Measured
from support import PublishTest, film, revision_of


class Conform(PublishTest):
    good: dict[str, Path] = {}

    def setUp(self) -> None:
        super().setUp()
        for container in ("fmp4", "ts"):
            if container not in self.good:
                self.out = Path(self.enterClassContext(_kept_folder()))
                extra = ("--encrypt",) if container == "ts" else ()
                srt = self.copy(film(seconds=14))
                (srt.parent / "film.en.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
                self.good[container] = self.stream(self.publish("--ladder", "180,90", "--container", container, *extra, srt))
        self.broken = self.folder / "broken"

    def findings(self, container: str, change) -> str:
        shutil.rmtree(self.broken, ignore_errors=True)
        shutil.copytree(self.good[container], self.broken)
        change(revision_of(self.broken))
        problems = Check(self.broken).run()
        self.assertTrue(problems, "it passes")
        return "\n".join(problems)

    def test_good_streams_pass_alone_and_together(self):
        for folder in self.good.values():
            self.conforms(folder)
            self.conforms(folder.parent)

    def test_each_fault_is_found_and_named(self):
        def edit(name: str, pattern: str, replacement: str):
            def change(folder: Path) -> None:
                file = (folder.parent if name == "master.m3u8" else folder) / name
                text = file.read_text()
                made = re.sub(pattern, replacement, text, count=1, flags=re.DOTALL)
                self.assertNotEqual(text, made)
                file.write_text(made)
            return change

        def swap(folder: Path) -> None:
            a, b = folder / "180p/00000.m4s", folder / "180p/00001.m4s"
            first, second = a.read_bytes(), b.read_bytes()
            a.write_bytes(second)
            b.write_bytes(first)

        def truncate(name: str, share: float):
            def change(folder: Path) -> None:
                data = (folder / name).read_bytes()
                (folder / name).write_bytes(data[:int(len(data) * share)])
            return change

        def copy(source: str, target: str):
            return lambda folder: shutil.copyfile(folder / source, folder / target)

        def merge(folder: Path) -> None:
            """Two segments in one: plays, but its boundaries are not those of the others."""
            a, b = folder / "90p/00000.m4s", folder / "90p/00001.m4s"
            a.write_bytes(a.read_bytes() + b.read_bytes())
            b.unlink()
            edit("90p/index.m3u8", r"#EXTINF:2\.0+,\n00000.m4s\n#EXTINF:2\.0+,\n00001.m4s", "#EXTINF:4,\n00000.m4s")(folder)

        faults = {
            "no master": (lambda f: (f.parent / "master.m3u8").unlink(), "master.m3u8: there is no such file"),
            "empty master": (lambda f: (f.parent / "master.m3u8").write_text(""), "#EXTM3U"),
            "a rendition is missing": (lambda f: shutil.rmtree(f / "90p"), "90p/index.m3u8 is named, and there is no such"),
            "a segment is missing": (lambda f: (f / "90p/00001.m4s").unlink(), "00001.m4s is named, and there is no such"),
            "a segment is empty": (truncate("90p/00001.m4s", 0), "00001.m4s is empty"),
            "a segment is cut off": (truncate("90p/00001.m4s", 0.5), "90p"),
            "two segments are swapped": (swap, "180p"),
            "a segment of another place": (copy("180p/00000.m4s", "180p/00001.m4s"), "180p"),
            "a rendition in another's place": (
                edit("master.m3u8", "320x180", "1280x720"), "its pictures are 320x180, and the master playlist says 1280x720"),
            "wrong initialisation": (copy("audio0/init.mp4", "180p/init.mp4"), "180p"),
            "no initialisation": (lambda f: (f / "audio0/init.mp4").unlink(), "init.mp4 is named"),
            "target duration too small": (edit("180p/index.m3u8", "TARGETDURATION:6", "TARGETDURATION:5"), "TARGETDURATION is 5"),
            "target duration too large": (edit("180p/index.m3u8", "TARGETDURATION:6", "TARGETDURATION:60"), "TARGETDURATION is 60"),
            "no end": (edit("180p/index.m3u8", "#EXT-X-ENDLIST", ""), "ENDLIST is missing"),
            "other boundaries": (merge, "90p/index.m3u8: it has 4 segments, and rev-"),
            "durations that lie": (edit("90p/index.m3u8", r"EXTINF:6\.0+,", "EXTINF:5.5,"), "segment 4 begins at 11.500 s"),
            "an absolute address": (edit("180p/index.m3u8", "00000.m4s", "https://cdn.example/0.m4s"), "not relative"),
            "an absolute path": (edit("180p/index.m3u8", "00000.m4s", "/hls/x/0.m4s"), "not relative"),
            "out of the folder": (edit("180p/index.m3u8", "00000.m4s", "../../../other/0.m4s"), "leads out"),
            "bandwidth too small": (edit("master.m3u8", r":BANDWIDTH=\d+", ":BANDWIDTH=1000"), "BANDWIDTH 1000"),
            "a group that is not there": (edit("master.m3u8", 'AUDIO="audio"', 'AUDIO="sound"'), "group sound"),
            "captions of another length": (
                edit("captions/en/index.m3u8", r"#EXTINF:2\.0+,\n00001.vtt\n", ""), "captions/en/index.m3u8: it has 4 segments"),
            "ranges that lie": (edit("180p/iframes.m3u8", r"#EXT-X-BYTERANGE:(\d+)@\d+", r"#EXT-X-BYTERANGE:\1@7"), "are no keyframe's"),
            "ranges beyond the end": (edit("180p/iframes.m3u8", "#EXT-X-BYTERANGE:", "#EXT-X-BYTERANGE:9999999"), "are no keyframe's"),
            "an I-frame playlist that does not say so": (edit("180p/iframes.m3u8", "#EXT-X-I-FRAMES-ONLY\n", ""), "I-FRAMES-ONLY is missing"),
            "a leftover": (lambda f: (f / "180p/00009.m4s").write_bytes(b"x"), "180p/00009.m4s: no playlist names this file"),
        }
        for name, (change, expected) in faults.items():
            with self.subTest(name):
                self.assertIn(expected, self.findings("fmp4", change))

    def test_keys(self):
        def rewrite(folder: Path) -> None:
            playlist = folder / "180p/index.m3u8"
            playlist.write_text(playlist.read_text().replace("AES-128", "SAMPLE-AES"))
        for change, expected in (
                (lambda f: (f / "key").unlink(), "../key is named"), (lambda f: (f / "key").write_bytes(b"short"), "5 bytes"),
                (lambda f: (f / "key").write_bytes(bytes(16)), "180p"), (rewrite, "SAMPLE-AES")):
            self.assertIn(expected, self.findings("ts", change))

    def test_the_command_lists_the_findings(self):
        shutil.copytree(self.good["fmp4"], self.broken)
        (self.broken / "stray").touch()
        done = self.run_publish("--check", self.broken)
        self.assertEqual((done.returncode, "  stray: no playlist names this file" in done.stdout), (1, True), done.stderr)

    def test_rates_are_measured_and_the_rules_that_are_not_held_are_named(self):
        done = self.run_publish("--check", self.good["fmp4"])
        self.assertRegex(done.stdout, r"180p/index\.m3u8: \d+ kbit/s at the peak, \d+ on average")
        master = parse_master((self.good["fmp4"] / "master.m3u8").read_text())
        for variant in master.variants:
            bytes_sent = sum(f.stat().st_size for name in (Path(variant.uri).parent.name, "audio0")
                             for f in (revision_of(self.good["fmp4"]) / name).glob("0*.m4s"))
            average = int(re.search(rf"{variant.uri}: \d+ kbit/s at the peak, (\d+) on average", done.stdout)[1])
            self.assertAlmostEqual(average, bytes_sent * 8 / 14 / 1000, delta=average * 0.01 + 2)
        encrypted = self.run_publish("--check", self.good["ts"])
        self.assertIn("not as Apple asks: there are no I-frame playlists", encrypted.stdout)
        self.assertEqual((done.returncode, encrypted.returncode), (0, 0))

    def test_each_of_apples_rules(self):
        attributes = {"CODECS": "avc1.64001F", "BANDWIDTH": "1000000", "AVERAGE-BANDWIDTH": "600000"}

        def unheld(changes: dict, *measured: Measured) -> str:
            variants = [Variant(one.uri, attributes | changes) for one in measured]
            return "\n".join(rules.unheld(MasterPlaylist(variants, iframes=[{}]), list(measured)))
        good = Measured("a", 1_000_000, 600_000, 6, 2.0)
        self.assertEqual(unheld({}, good), "")
        for expected, changes, one in (
                ("first variant", {"BANDWIDTH": "2100000"}, replace(good, peak=2_100_000, average=1_100_000)),
                ("a: BANDWIDTH says", {"BANDWIDTH": "1200000"}, good), ("a: AVERAGE-BANDWIDTH says", {"AVERAGE-BANDWIDTH": "700000"}, good),
                ("more than twice its average", {}, replace(good, average=499_999)), ("segments of 10 s", {}, replace(good, target=10)),
                ("keyframes 6.0 s apart", {}, replace(good, keyframe_distance=6.0))):
            self.assertIn(expected, unheld(changes, one))
        self.assertIn("more than twice, so the step", unheld({}, good, replace(good, uri="b", average=1_200_001, peak=2_000_000)))

    def test_colours_without_a_name_are_found(self):
        with tempfile.TemporaryDirectory() as folder:
            made = Check(Path(folder))
            made._named_colours(_Rendition("x", "video", None), {"color_range": "tv", "color_space": "bt709", "color_transfer": "unknown"})
            self.assertIn("x: it does not name its color_transfer, color_primaries", made.problems[0])

    def test_a_folder_without_streams_is_told(self):
        done = self.run_publish("--check", self.folder / "none")
        self.assertEqual((done.returncode, "holds no stream" in done.stderr), (1, True))


class _kept_folder:
    """A folder for the whole class."""

    def __enter__(self) -> str:
        import tempfile
        self.folder = tempfile.TemporaryDirectory(prefix="hlspublish-good.")
        return self.folder.name

    def __exit__(self, *_exception) -> None:
        self.folder.cleanup()


if __name__ == "__main__":
    unittest.main()
