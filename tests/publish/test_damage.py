"""Damaged files are refused with the place, and whole ones of odd timing are not."""
import re
import subprocess
import unittest
from pathlib import Path

from hlspublish import playlist, probe
from support import H264, PublishTest, clip, film, moving, opened, run_ffmpeg, tone


def luma(file: Path) -> list[str]:
    """A mark for each frame, which differs where the picture does."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *opened(file), "-map", "0:v:0", "-vf", "scale=64:36", "-f", "framemd5", "-"],
                          capture_output=True, text=True, check=True)
    return [line.split(",")[-1].strip() for line in done.stdout.splitlines() if not line.startswith("#")]


class Damage(PublishTest):
    def refused(self, file: Path, *expected: str) -> None:
        done = self.run_publish("--chunk", "6", file)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        for text in (*expected, "--accept-damage"):
            self.assertIn(text, done.stderr)
        self.assertEqual(self.left_behind(), [])

    def borne(self, file: Path, seconds: float, *expected: str) -> None:
        video = self.publish("--chunk", "6", "--accept-damage", file)
        for text in expected:
            self.assertIn(text, self.log)
        self.assertAlmostEqual(self.catalogue()[-1]["duration"], seconds, delta=0.2)
        self.conforms(self.stream(video))

    def zeroed(self, source: Path, begin: float, end: float) -> Path:
        data = bytearray(source.read_bytes())
        first, last = (data.find(b"mdat") if b"mdat" in data else 0) + 8, len(data)
        a, b = first + int((last - first) * begin), first + int((last - first) * end)
        data[a:b] = bytes(b - a)
        file = self.folder / f"zeroed{source.suffix}"
        file.write_bytes(data)
        return file

    def test_half_its_bytes_are_zero(self):
        file = self.zeroed(clip("whole.mp4", *moving(seconds=14), *H264, "-g", "25", "-movflags", "+faststart"), 0.3, 0.8)
        self.refused(file, "its pictures from second", "cannot be decoded")
        self.borne(file, 14, "damaged: its pictures from second")

    def test_a_hole_in_a_transport_stream(self):
        whole = clip("whole.ts", *moving(seconds=14), *H264, "-g", "25")
        data = whole.read_bytes()
        file = self.folder / "hole.ts"
        # Whole packets of the pictures' payload are gone; the clock goes on.
        packets = [bytearray(data[n:n + 188]) for n in range(0, len(data), 188)]
        for packet in packets[int(len(packets) * 0.4):int(len(packets) * 0.6)]:
            packet[60:] = bytes(len(packet) - 60)
        file.write_bytes(b"".join(packets))
        self.refused(file, "damaged")

    def test_sound_that_cannot_be_decoded(self):
        whole = clip("sound.mp4", *moving(size="160x90", seconds=6), *tone(6), *H264, "-c:a", "aac", "-b:a", "256k", "-crf", "50")
        listing = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=pos,size", "-of", "csv=p=0",
                                  whole], capture_output=True, text=True, check=True).stdout
        file = self.copy(whole)
        with file.open("r+b") as out:
            for line in listing.splitlines()[100:200]:
                size, position = map(int, line.split(",")[:2])
                out.seek(position)
                out.write(bytes(size))
        self.refused(file, "packets of its sound")

    def test_an_index_that_promises_more_pictures_than_there_are(self):
        whole = clip("promise.avi", *moving(seconds=30), "-c:v", "mpeg4", "-g", "10")
        data = whole.read_bytes()
        # The list of pictures stays as long as it says it is; what is in it after six pictures is not theirs.
        at = [found.start() for found in re.finditer(b"00dc", data)][6]
        end = data.rfind(b"idx1")
        file = self.folder / "promise.avi"
        file.write_bytes(data[:at] + bytes(end - at) + b"idx1" + (96).to_bytes(4, "little") + data[end + 8:end + 8 + 96]
                         + b"JUNK" + (len(data) - end - 112).to_bytes(4, "little") + bytes(len(data) - end - 112))
        self.refused(file, "damaged: it promises 750 pictures")

    def test_keyframes_far_apart_leave_no_still_at_a_chunk(self):
        """Reading begins at a keyframe, however far before the chunk that is."""
        source = clip("far.ts", *moving(seconds=38), *H264, "-g", "900", "-keyint_min", "900", "-sc_threshold", "0")
        video = self.publish("--chunk", "6", source)
        made = luma(self.stream(video) / "master.m3u8")
        self.assertEqual(len(made), 950)
        repeated = sum(before == after for before, after in zip(made, made[1:]))
        self.assertLessEqual(repeated, 2)

    def test_a_recording_that_begins_between_keyframes_is_whole(self):
        ts = clip("tv.ts", *moving(seconds=12), *H264, "-g", "50")
        data = ts.read_bytes()
        head, cut = data[:188 * 3], 188 * (len(data) // 188 // 8)
        file = self.folder / "begins.ts"
        file.write_bytes(head + data[cut:])
        self.conforms(self.stream(self.publish(file)))


class Rates(PublishTest):
    def rate_of(self, file: Path) -> str:
        video = self.publish(file)
        self.conforms(self.stream(video))
        return playlist.parse_master((self.stream(video) / "master.m3u8").read_text()).variants[0].attributes["FRAME-RATE"]

    def test_a_rate_is_the_one_of_most_steps(self):
        tiny = ["-s", "64x36", *H264]
        drops = "select='not(eq(mod(n,61),60)+eq(mod(n,97),50))'"
        jitter = "setpts='N*1000/30+2*(mod(N*7,5)-2)/2'"
        cases = {
            "29.970": clip("drops.mp4", *moving(rate="30000/1001", seconds=8), "-vf", drops, "-vsync", "vfr", *tiny),
            "59.940": clip("sixty.mkv", *moving(rate="60000/1001", seconds=6), "-vf", drops, "-vsync", "vfr", *tiny),
            "30.000": clip("jitter.mkv", *moving(rate="30", seconds=8), "-vf", f"settb=1/1000,{jitter}", "-vsync", "passthrough",
                           "-enc_time_base", "1/1000", *tiny),
            "25.000": clip("null.mp4", *moving(rate="25", seconds=8), "-vf", "select='not(eq(n,100))'", "-vsync", "vfr", *tiny),
            "23.976": clip("film.mkv", *moving(rate="24000/1001", seconds=3), *tiny),
            "24.000": clip("cinema.mkv", *moving(rate="24", seconds=9), *tiny),
        }
        for expected, file in cases.items():
            with self.subTest(file.name):
                self.assertEqual(self.rate_of(file), expected)


class Interlaced(PublishTest):
    def test_combed_pictures_are_put_right_whatever_the_header_says(self):
        """Moving edges of two moments in one picture: the lines of one field differ from those of the other."""
        fields = "interlace=scan=tff:lowpass=off"
        pan = ["-f", "lavfi", "-i", "testsrc2=size=1440x576:rate=50:duration=4", "-vf",
               f"crop=720:576:x='mod(n*12,700)':y=0,{fields}"]
        files = {
            "dv": clip("tape.dv", *pan, "-c:v", "dvvideo", "-pix_fmt", "yuv420p", "-flags", "+ildct+ilme"),
            "mpeg4": clip("old.avi", *pan, "-c:v", "mpeg4", "-q:v", "2", "-flags", "+ildct+ilme"),
            "unflagged": clip("unflagged.mkv", *pan[:-1], pan[-1] + ",setfield=prog", "-c:v", "ffv1"),
            "mpegts": clip("tv.ts", *pan, "-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme", "-top", "1"),
        }
        for name, file in files.items():
            with self.subTest(name):
                self.assertGreater(self.combing(file), 0.5)
                video = self.publish("--ladder", "576", file)
                self.assertLess(self.combing(self.stream(video) / "master.m3u8"), 0.1)

    def test_progressive_pictures_are_left_alone(self):
        fine = clip("fine.mkv", "-f", "lavfi", "-i", "mandelbrot=size=720x576:rate=25", "-t", "2", *H264)
        for file in (film(), fine):
            self.assertEqual(probe.probe(file).interlacing, "")

    @staticmethod
    def combing(file: Path) -> float:
        """The share of pictures that look interlaced."""
        said = run_ffmpeg("-v", "info", *opened(file), "-map", "0:v:0", "-vf", "setfield=prog,idet", "-f", "null", "-")
        top, bottom, progressive, unsure = map(int, re.findall(
            r"Multi frame detection: TFF: *(\d+) BFF: *(\d+) Progressive: *(\d+) Undetermined: *(\d+)", said)[-1])
        return (top + bottom) / max(1, top + bottom + progressive + unsure)


if __name__ == "__main__":
    unittest.main()
