"""The worker with a newer FFmpeg than Debian's: other words in its log, other options, other arithmetic of colours.

`run` puts that FFmpeg's folder into NEWER_FFMPEG; ffprobe stays Debian's.
"""
import os
import unittest
from pathlib import Path

import chromium
import test_colour  # as a module, or its tests would run here once more
from support import H264, PublishTest, clip, film, moving, tone


class NewerFfmpeg(PublishTest):
    def setUp(self) -> None:
        super().setUp()
        folder = os.environ.get("NEWER_FFMPEG", "")
        self.assertTrue(folder and (Path(folder) / "ffmpeg").exists(), "NEWER_FFMPEG names no folder with an ffmpeg; use tests/publish/run")
        self.environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}

    def newer(self, *arguments: object) -> str:
        done = self.run_publish(*arguments, env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()[0]

    def test_every_kind_of_stream_is_made_and_conforms(self):
        surround = clip("surround.mkv", *moving(seconds=7), "-f", "lavfi", "-i",
                        "aevalsrc='0.9*sin(440*t*6.28)|0.9*sin(440*t*6.28)|0|0|0|0':c=5.1:d=7", *H264, "-c:a", "flac")
        combed = clip("combed.ts", *moving(size="720x576", rate="50", seconds=2), "-vf", "interlace=scan=tff:lowpass=off", "-c:v", "mpeg2video",
                      "-flags", "+ildct+ilme", "-top", "1")
        for options, file in ((("--chunk", "6", "--preview", "2"), film()), (("--container", "ts", "--encrypt", "--loudness"), surround),
                              (("--codecs", "h264,av1", "--download"), film(seconds=3)), (("--ladder", "240"), combed)):
            with self.subTest(options):
                self.conforms(self.stream(self.newer(*options, file)))

    def test_colours_are_the_files(self):
        file = test_colour.bars("newer.mov", "320x180", "-c:v", "qtrle")
        video = self.newer(file)
        seen = chromium.shown([{"kind": "stream", "path": self.made(video) / "180p", "points": test_colour.POINTS},
                               {"kind": "image", "path": self.out / "posters" / f"{video}.jpg", "points": test_colour.POINTS}])
        for one in seen:
            test_colour.Colours.alike(self, "newer", test_colour.BARS, one)

    def test_damage_is_found_in_its_log_too(self):
        data = bytearray(clip("whole.mp4", *moving(seconds=8), *tone(8), *H264, "-g", "25", "-c:a", "aac", "-movflags", "+faststart").read_bytes())
        begin = data.find(b"mdat") + 8
        first, last = begin + (len(data) - begin) // 3, begin + 2 * (len(data) - begin) // 3
        data[first:last] = bytes(last - first)
        file = self.folder / "damaged.mp4"
        file.write_bytes(data)
        done = self.run_publish(file, env=self.environment)
        self.assertEqual((done.returncode, "the file is damaged" in done.stderr), (1, True), done.stderr)


if __name__ == "__main__":
    unittest.main()
