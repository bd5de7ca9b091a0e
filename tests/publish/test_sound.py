"""Levels: what was loud enough stays so, and nothing clips."""
import re
import unittest
from pathlib import Path

from support import H264, PublishTest, clip, moving, opened, run_ffmpeg

SECONDS = 4


def with_sound(name: str, source: str, *options: str) -> Path:
    return clip(name, *moving(size="64x36", seconds=SECONDS), "-f", "lavfi", "-i", source, *H264, *options, "-shortest")


def levels(file: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBTP."""
    said = run_ffmpeg("-v", "info", *opened(file), "-map", "0:a:0", "-af", "ebur128=peak=true", "-f", "null", "-")
    return float(re.findall(r"I: +(-?[\d.]+) LUFS", said)[-1]), float(re.findall(r"Peak: +(-?[\d.]+) dBFS", said)[-1])


class Levels(PublishTest):
    def sound(self, video: str) -> Path:
        return self.made(video) / "audio0" / "index.m3u8"

    def test_many_channels_at_full_scale_become_stereo_below_the_true_peak(self):
        layouts = {"5.1": 6, "7.1": 8, "quad": 4}
        for layout, count in layouts.items():
            # The channels agree at their peaks, which is the worst that they can do.
            expressions = "|".join(["0.98*sin(2*PI*440*t)*if(gt(mod(t,1),0.5),1,0.3)"] * count)
            source = f"aevalsrc='{expressions}':c={layout}:s=48000:d={SECONDS}"
            for codec in (["-c:a", "flac"], ["-c:a", "pcm_f32le"]):
                with self.subTest(layout + codec[1]):
                    video = self.publish(with_sound(f"{layout}{codec[1]}.mkv", source, *codec))
                    loudness, peak = levels(self.sound(video))
                    self.assertLessEqual(peak, -1.0)
                    self.assertGreater(loudness, -10)  # and not made quiet instead

    def test_one_channel_is_as_loud_in_each_speaker_as_it_was(self):
        file = with_sound("mono.mkv", f"aevalsrc='0.4*sin(2*PI*440*t)':c=mono:s=48000:d={SECONDS}", "-c:a", "flac")
        video = self.publish(file)
        self.assertAlmostEqual(levels(self.sound(video))[1], levels(file)[1], delta=0.5)

    def test_loudness_is_brought_to_the_target_where_the_channels_sum_above_full_scale(self):
        expressions = "|".join(["0.98*sin(2*PI*440*t)"] * 6)
        file = with_sound("loud.mkv", f"aevalsrc='{expressions}':c=5.1:s=48000:d={SECONDS}", "-c:a", "pcm_f32le")
        loudness, peak = levels(self.sound(self.publish("--loudness", file)))
        self.assertAlmostEqual(loudness, -16, delta=1)
        self.assertLessEqual(peak, -1.0)

    def test_sound_keeps_its_time_through_the_limiter(self):
        """A click at one second, in all six channels."""
        expressions = "|".join(["if(between(t,1,1.01),0.99*sin(2*PI*1000*t),0)"] * 6)
        file = with_sound("click.mkv", f"aevalsrc='{expressions}':c=5.1:s=48000:d={SECONDS}", "-c:a", "flac")
        video = self.publish(file)
        begins = [float(re.findall(r"silence_end: ([\d.]+)", run_ffmpeg(
            "-v", "info", *opened(one), "-map", "0:a:0", "-af", "silencedetect=noise=-30dB:duration=0.1", "-f", "null", "-"))[0])
            for one in (file, self.sound(video))]
        self.assertAlmostEqual(begins[0], begins[1], delta=0.004)

    def test_a_track_without_packets_is_left_out_with_a_word(self):
        ts = clip("empty-pid.ts", *moving(seconds=2), "-f", "lavfi", "-i", "sine=d=2", *H264, "-c:a", "mp2", "-streamid", "1:0x123")
        data = ts.read_bytes()
        file = self.folder / "pid.ts"
        file.write_bytes(b"".join(data[n:n + 188] for n in range(0, len(data), 188)
                                  if int.from_bytes(data[n + 1:n + 3], "big") & 0x1FFF != 0x123))
        video = self.publish(file)
        self.assertIn("is empty", self.log)
        self.conforms(self.stream(video))


if __name__ == "__main__":
    unittest.main()
