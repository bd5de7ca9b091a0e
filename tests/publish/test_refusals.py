"""Bad input of every kind: what was wrong is said, what to do is said, and nothing stays behind."""
import json
import os
import shutil
import socket
import subprocess
import unittest
from pathlib import Path

from support import DEADLINE, H264, PublishTest, clip, film, moving, run_ffmpeg, tone


class Refusals(PublishTest):
    def refused(self, file: Path | str, *expected: str, options: tuple = (), **run_options) -> str:
        done = self.run_publish(*options, file, **run_options)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertIn("error: ", done.stderr)
        self.assertIn("  hint: ", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        for text in expected:
            self.assertIn(text, done.stderr)
        self.assertEqual(self.left_behind(), [])
        return done.stderr

    def test_no_such_file(self):
        self.refused(self.folder / "none.mp4", "there is no such file")

    def test_a_folder(self):
        self.refused(self.folder, "not a file", "--watch")

    def test_an_empty_file(self):
        file = self.folder / "empty.mp4"
        file.touch()
        self.refused(file, "is empty")

    def test_not_a_video(self):
        file = self.folder / "letter.mp4"
        file.write_text("Dear viewer,\n" * 500)
        self.refused(file, "not a video")

    def test_random_bytes(self):
        file = self.folder / "noise.mp4"
        file.write_bytes(bytes(range(256)) * 400)
        self.refused(file, "not a video")

    def test_a_still_picture(self):
        for name in ("still.png", "still.jpg"):
            self.refused(clip(name, *moving(seconds=1), "-frames:v", "1"), "not a video")
        self.refused(clip("one.mp4", *moving(seconds=1), "-frames:v", "1", *H264), "no moving picture")

    def test_pictures_of_a_camera_or_a_browser(self):
        heic = self.folder / "IMG_1.HEIC"
        heic.write_bytes((24).to_bytes(4, "big") + b"ftypheic\0\0\0\0mif1heic" + bytes(200))
        self.refused(heic, "it is a picture (HEIC)")
        self.refused(clip("moving.webp", *moving(size="64x36", seconds=1), "-c:v", "libwebp_anim"), "it is a picture (WebP)")

    def test_raw_streams_lack_times(self):
        for name, codec in (("raw.h264", "libx264"), ("raw.hevc", "libx265")):
            self.refused(clip(name, *moving(size="160x90", seconds=1), "-c:v", codec), "raw stream", "ffmpeg -r 25")

    def test_only_sound(self):
        self.refused(clip("song.mp3", *tone(2)), "only sound")
        cover = clip("cover.png", *moving(seconds=1), "-frames:v", "1")
        self.refused(clip("covered.m4a", *tone(2), "-i", str(cover), "-map", "0", "-map", "1", "-c:a", "aac", "-c:v", "png",
                          "-disposition:v:0", "attached_pic"), "only sound")

    def test_a_playlist_in_disguise(self):
        """A list of other files must not make the server read them."""
        asked = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(0)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/film.mp4"
            for text in (f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
                         f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film()}\n#EXT-X-ENDLIST\n",
                         f"ffconcat version 1.0\nfile '{url}'\n", f"ffconcat version 1.0\nfile '{film()}'\n",
                         f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
                         f"<AdaptationSet><BaseURL>{url}</BaseURL></AdaptationSet></Period></MPD>",
                         f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>',
                         "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"):
                file = self.folder / "film.mp4"
                file.write_text(text)
                self.refused(file, "not a video")
            # As captions beside a good film.
            good = self.copy(film())
            (good.parent / "film.en.vtt").write_text(f"#EXTM3U\n#EXTINF:1,\n{url}\n")
            self.refused(good, "no caption")
            try:
                asked.append(listener.accept())
            except BlockingIOError:
                pass
        self.assertEqual(asked, [], "an address was asked")

    def test_recordings_pieced_together(self):
        """Their clocks have nothing to do with one another: taken at their word, two films of 2 s would last 50 minutes."""
        early, late = (clip("part.ts", *moving(seconds=2), *H264, "-output_ts_offset", str(at)) for at in (0, 3000))
        for order in ((early, late), (late, early)):
            file = self.folder / "pieces.ts"
            file.write_bytes(b"".join(part.read_bytes() for part in order))
            self.refused(file, "its clock jumps", "ffmpeg -i")
            run_ffmpeg("-v", "error", "-i", file, "-c", "copy", self.folder / "repaired.mp4")
        self.publish(self.folder / "repaired.mp4")
        self.assertAlmostEqual(self.catalogue()[-1]["duration"], 4, delta=0.2)

    def test_a_file_that_changes_meanwhile(self):
        """The id is that of the content: of a file that still grows it would be nobody's."""
        file = self.copy(clip("tv.ts", *moving(seconds=7), *tone(7), *H264, "-c:a", "aac"))
        child = self.start(file)
        self.await_true(lambda: list(self.out.glob("hls/.publish/*/chunks/*")) or child.poll() is not None, "it encodes")
        with file.open("ab") as upload:
            upload.write(file.read_bytes())
        _, stderr = child.communicate(timeout=DEADLINE)
        self.assertIn("changed while it was being published", stderr)
        self.assertEqual((child.returncode, self.left_behind()), (1, []))

    def test_cut_off_files(self):
        indexed = clip("front.mp4", "-i", str(film()), "-c", "copy", "-movflags", "+faststart")
        sources = {"index at the end": film(), "index in front": indexed,
                   "matroska": clip("film.mkv", "-i", str(film()), "-c", "copy"),
                   "avi": clip("film.avi", *moving(seconds=5), "-c:v", "mpeg4"),
                   "flv": clip("film.flv", "-i", str(film()), "-c", "copy")}
        for kind, source in sources.items():
            with self.subTest(kind):
                file = self.copy(source)
                os.truncate(file, file.stat().st_size * 6 // 10)
                self.refused(file, "cut off", "again")

    def test_pictures_that_cannot_be_decoded(self):
        """The container is sound; what is in it is not."""
        file = self.copy(film())
        packets = json.loads(subprocess.run(
            ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=pos,size", "-of", "json", str(file)],
            capture_output=True, check=True).stdout)["packets"]
        with file.open("r+b") as out:
            for packet in packets:
                out.seek(int(packet["pos"]))
                out.write(b"\xff" * int(packet["size"]))
        self.refused(file, "decoded")

    def test_hdr_without_the_filter(self):
        hdr = clip("hdr.mp4", *moving(size="160x90", seconds=1), "-c:v", "libx264", "-preset", "ultrafast", "-x264-params",
                   "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc", "-color_trc", "smpte2084")
        # An FFmpeg built without libzimg.
        tools = self.folder / "tools"
        tools.mkdir()
        real = shutil.which("ffmpeg")
        (tools / "ffmpeg").write_text(f'#!/bin/sh\ncase "$*" in *-filters*) {real} "$@" | grep -v zscale;; '
                                      f'*) exec {real} "$@";; esac\n')
        (tools / "ffmpeg").chmod(0o755)
        self.refused(hdr, "HDR (smpte2084)", "zscale", env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"})

    def test_captions_that_are_none(self):
        file = self.copy(film())
        (file.parent / "film.en.srt").write_text("no captions at all\n")
        self.refused(file, "film.en.srt", "SubRip")

    def test_a_broken_catalogue_is_found_out_first_and_left_as_it_is(self):
        self.out.mkdir()
        for text in ("{", "[]", '{"videos": [1]}'):
            (self.out / "videos.json").write_text(text)
            done = self.run_publish(film())
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("videos.json", done.stderr)
            self.assertEqual(self.left_behind(), ["videos.json"])
            self.assertEqual((self.out / "videos.json").read_text(), text)

    def test_one_bad_file_does_not_keep_the_others(self):
        bad = self.folder / "bad.mp4"
        bad.write_text("no")
        done = self.run_publish(bad, film())
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (1, 1), done.stderr)
        self.assertEqual(len(self.catalogue()), 1)


class FullDisk(PublishTest):
    """On a file system of a few hundred KiB, in a mount namespace of its own."""

    def on_small_disk(self, size: str, *arguments: object, before: str = "") -> tuple[int, str, str]:
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        self.out = disk / "out"
        script = (f'mount -t tmpfs -o size={size} small "$0" || exit 99; {before or ":"}; "$@"; status=$?; '
                  'echo "left:"; find "$0" -type f; exit $status')
        command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, str(disk), *self.command(*arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
        self.assertNotEqual(done.returncode, 99, f"no small file system could be mounted: {done.stderr}")
        return done.returncode, done.stderr, done.stdout.partition("left:\n")[2]

    def test_it_is_asked_before_the_work(self):
        status, stderr, left = self.on_small_disk("200k", film())
        self.assertEqual((status, left), (1, ""), stderr)
        self.assertRegex(stderr, r"not be enough disk space: up to [\d.]+ [KM]iB are needed, and [\d.]+ KiB are free")
        self.assertIn("--ladder", stderr)

    def test_it_fills_up_in_mid_encode(self):
        """The estimate is met, then another program takes the space away before FFmpeg does."""
        noise = clip("noise.mp4", "-f", "lavfi", "-i", "nullsrc=size=320x180:rate=25:duration=8,geq=random(1)*255:128:128",
                     "-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-pix_fmt", "yuv420p")
        tools = self.folder / "tools"
        tools.mkdir()
        real, filler = shutil.which("ffmpeg"), self.folder / "disk" / "other"
        # The first call that encodes a chunk finds the disk filled by somebody else.
        (tools / "ffmpeg").write_text(
            f'#!/bin/sh\ncase "$*" in *filter_complex*) head -c 100m /dev/zero > {filler} 2>/dev/null; '
            f'truncate -s -60k {filler};; esac\nexec {real} "$@"\n')
        (tools / "ffmpeg").chmod(0o755)
        status, stderr, left = self.on_small_disk("3m", noise, before=f'PATH="{tools}:$PATH"; export PATH')
        self.assertEqual((status, left.split()), (1, [str(filler)]), stderr)
        self.assertIn("the disk is full", stderr)
        self.assertIn("free some space", stderr)


if __name__ == "__main__":
    unittest.main()
