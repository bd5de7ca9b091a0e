"""What comes out of good files of every kind."""
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

import chromium
from hlspublish import aes, captions, playlist
from support import H264, PublishTest, clip, film, moving, opened, revision_of, run_ffmpeg, streams_of, tone


def master_of(folder: Path) -> playlist.MasterPlaylist:
    return playlist.parse_master((folder / "master.m3u8").read_text())


def media_of(file: Path) -> playlist.MediaPlaylist:
    return playlist.parse_media(file.read_text())


class Ordinary(PublishTest):
    def test_a_film_becomes_a_stream_a_poster_and_an_entry(self):
        for container, extension in (("fmp4", "m4s"), ("ts", "ts")):
            with self.subTest(container):
                self.out = self.folder / container
                # 29.97 a second, several chunks, and a last segment that is not a whole one
                source = film(seconds=14, size="640x360", rate="30000/1001")
                video = self.publish("--container", container, "--chunk", "6", "--title", "A “film”", source)
                self.assertRegex(video, r"\A[0-9a-f]{16}\Z")
                master = master_of(self.stream(video))
                self.assertEqual({v.attributes["RESOLUTION"] for v in master.variants}, {"640x360", "426x240"})
                for variant in master.variants:
                    media = media_of(self.stream(video) / variant.uri)
                    self.assertEqual([round(s.seconds, 4) for s in media.segments], [2.002, 2.002, 2.002, 6.006, 2.002])
                    self.assertTrue(all(s.uri.endswith(f".{extension}") for s in media.segments))
                    self.assertRegex(variant.attributes["CODECS"], r"\Aavc1\.[0-9A-F]{6},mp4a\.40\.2\Z")
                poster = streams_of(self.out / "posters" / f"{video}.jpg")[0]
                self.assertEqual((poster["codec_name"], poster["width"], poster["height"]), ("mjpeg", 640, 360))
                self.assertEqual(self.catalogue(), [{
                    "id": video, "title": "A “film”", "poster": f"/posters/{video}.jpg?{self.made(video).name}", "duration": 14.014,
                    "width": 640, "height": 360,
                    "thumbnails": f"/hls/{video}/{self.made(video).name}/thumbnails/index.vtt"}])
                self.conforms(self.stream(video))
                self.assertFalse((self.out / "hls" / ".publish").exists())
                self._the_same_pictures(self.stream(video) / "master.m3u8", source)

    def _the_same_pictures(self, stream: Path, source: Path) -> None:
        """Every frame of the stream is the source's frame of the same time, at the seams of chunks too."""
        log = self.folder / "psnr.log"
        run_ffmpeg("-v", "error", *opened(stream), "-i", source, "-filter_complex",
                   f"[0:v:0]fps=30000/1001,scale=640:360[a];[1:v]fps=30000/1001[b];[a][b]psnr=stats_file={log}",
                   "-map", "0:a:0", "-f", "null", "-")
        values = [float(v) for v in re.findall(r"psnr_avg:([\d.]+)", log.read_text())]
        self.assertEqual(len(values), 420)
        # The wrong neighbour of a frame of this picture has about 20 dB.
        self.assertGreater(min(values), 28)

    @staticmethod
    def _sound_begins(file: Path) -> float:
        """Second at which the tone begins or is first heard, to the millisecond."""
        found = run_ffmpeg("-v", "info", *opened(file), "-map", "0:a:0", "-af",
                           "atrim=end=3,silencedetect=noise=-30dB:duration=0.005", "-f", "null", "-")
        ends = re.findall(r"silence_end: ([\d.]+)", found)
        return float(ends[0]) if ends else 0.0

    def test_sound_that_begins_late_begins_late_in_the_stream(self):
        source = clip("late.mp4", *moving(seconds=4), "-itsoffset", "1.5", *tone(2), *H264, "-c:a", "aac")
        for container in ("fmp4", "ts"):
            video = self.publish("--again", "--container", container, source)
            stream = self.stream(video) / "master.m3u8"
            self.assertAlmostEqual(self._sound_begins(source), 1.5, delta=0.03)
            self.assertAlmostEqual(self._sound_begins(stream), self._sound_begins(source), delta=0.012)

    def test_every_uri_is_relative(self):
        video = self.publish("--encrypt", film())
        for file in self.stream(video).rglob("*.m3u8"):
            self.assertNotRegex(file.read_text(), r'://|URI="/|^/', file)

    def test_the_same_content_has_the_same_id_and_is_made_once(self):
        first = self.publish(film())
        made = (self.stream(first) / "master.m3u8").stat().st_ino
        again = self.publish(self.copy(film(), "another name.mp4"))
        self.assertEqual(again, first)
        self.assertEqual((self.stream(first) / "master.m3u8").stat().st_ino, made)
        self.assertEqual([v["title"] for v in self.catalogue()], ["film"])
        self.publish("--title", "New", film())
        self.assertEqual([v["title"] for v in self.catalogue()], ["New"])
        edited = json.loads((self.out / "videos.json").read_text())
        edited["videos"][0]["price"] = "by hand"
        (self.out / "videos.json").write_text(json.dumps(edited))
        self.publish("--again", "--container", "ts", film())
        self.assertEqual(self.catalogue()[0]["price"], "by hand")
        self.assertTrue(list(self.stream(first).rglob("*.ts")))
        self.assertFalse(list(self.made(first).rglob("*.m4s")))
        self.assertEqual([v["title"] for v in self.catalogue()], ["New"])
        (self.out / "videos.json").unlink()
        self.publish(film())
        self.assertEqual([v["id"] for v in self.catalogue()], [first])

    def test_what_is_made_again_has_other_names(self):
        """Caches may keep for a year what lies in a revision's folder; only the master playlist changes, by a rename."""
        source = film()
        video = self.publish("--preview", "2", source)
        first = {file: file.read_bytes() for root in (self.stream(video), self.out / "previews" / video)
                 for file in root.rglob("*") if file.is_file() and file.name != "master.m3u8"}
        self.assertTrue(first)
        for file in first:
            self.assertRegex(str(file), rf"/{video}/rev-[0-9a-f]{{8,64}}/")
        self.publish("--again", "--preview", "2", "--ladder", "90", source)
        # Who watches the film goes on with the revision that their player knows.
        for file, content in first.items():
            self.assertEqual(file.read_bytes(), content)
        self.assertNotIn(str(self.made(video)), str(list(first)))
        self.conforms(self.stream(video))
        self.assertIn(self.made(video).name, self.catalogue()[0]["poster"])
        old = next(child for child in self.stream(video).glob("rev-*") if child != self.made(video))
        # A day later the next one clears it away.
        os.utime(old, (0, 0))
        self.publish("--again", "--ladder", "90", source)
        self.assertFalse(old.exists())
        self.assertEqual(len(list(self.stream(video).glob("rev-*"))), 2)

    def test_players_begin_with_what_a_slow_line_carries(self):
        """The first variant is where players start; its first segments are short, in every rendition alike."""
        noise = clip("noise.mp4", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=25:duration=15,noise=alls=30:allf=t", *tone(15), *H264,
                     "-c:a", "aac", "-shortest")
        video = self.publish("--ladder", "720,360,90", noise)
        variants = master_of(self.stream(video)).variants
        self.assertEqual([v.attributes["RESOLUTION"] for v in variants], ["160x90", "1280x720", "640x360"])
        self.assertLessEqual(int(variants[0].attributes["AVERAGE-BANDWIDTH"]), 700_000)
        for variant in variants:
            self.assertEqual((variant.attributes["VIDEO-RANGE"], variant.attributes["CLOSED-CAPTIONS"]), ("SDR", "NONE"))
        for name in ("720p", "360p", "90p", "audio0"):
            seconds = [s.seconds for s in media_of(self.made(video) / name / "index.m3u8").segments]
            self.assertEqual([round(s) for s in seconds], [2, 2, 2, 6, 3])

    def test_folders_and_paths_are_the_operators(self):
        video = self.publish("--streams", self.folder / "s", "--posters", self.folder / "p", "--previews", self.folder / "v",
                             "--catalogue", self.folder / "site" / "list.json", "--posters-path", "/img/",
                             "--previews-path", "/free", "--preview", "2", film())
        self.conforms(self.folder / "s" / video)
        self.assertTrue((self.folder / "p" / f"{video}.jpg").exists())
        entry = (self.folder / "site" / "list.json").read_text()
        self.assertIn(f'"/img/{video}.jpg?rev-', entry)
        self.assertIn(f'"/free/{video}/master.m3u8"', entry)
        self.assertFalse(self.out.exists())


class Kinds(PublishTest):
    def test_without_sound(self):
        video = self.publish(clip("mute.mp4", *moving(seconds=3), *H264))
        self.assertIn("there is no sound", self.log)
        self.assertEqual([s["codec_type"] for s in streams_of(self.stream(video) / "master.m3u8")], ["video"])
        self.assertNotIn("mp4a", (self.stream(video) / "master.m3u8").read_text())
        self.conforms(self.stream(video))

    def test_a_turned_phone_video_stands_upright(self):
        """Left half red, right half blue, to be turned by a quarter: red and blue must end above each other."""
        flat = clip("flat.mp4", "-f", "lavfi", "-i", "color=red:size=160x180:rate=25:duration=3", "-f", "lavfi", "-i",
                    "color=blue:size=160x180:rate=25:duration=3", "-filter_complex", "hstack", *H264)
        source = clip("phone.mp4", "-i", str(flat), "-c", "copy", "-metadata:s:v:0", "rotate=90")
        video = self.publish(source)
        entry = self.catalogue()[0]
        self.assertEqual((entry["width"], entry["height"]), (180, 320))
        for file in (self.made(video) / "180p" / "index.m3u8", self.out / "posters" / f"{video}.jpg"):
            shown, wanted = self.first_picture(file), self.first_picture(source)
            self.assertTrue(all(abs(a - b) < 40 for a, b in zip(shown, wanted)), file)
            top, bottom = shown[:3], shown[-3:]
            self.assertNotEqual(top[0] > top[2], bottom[0] > bottom[2])
        self.conforms(self.stream(video))

    def test_a_varying_frame_rate_becomes_constant(self):
        # Dense at first, then a picture every half second: a screen recording.
        source = clip("screen.mkv", *moving(rate="50", seconds=9), *tone(9), "-vf",
                      "select='lt(t,4)+not(mod(n,25))'", "-vsync", "vfr", *H264, "-c:a", "aac")
        video = self.publish("--chunk", "6", source)
        self.assertIn("frame rate varies", self.log)
        self.assertAlmostEqual(self.catalogue()[0]["duration"], 9, delta=0.6)
        self.assertEqual(master_of(self.stream(video)).variants[0].attributes["FRAME-RATE"], "50.000")
        self.conforms(self.stream(video))

    def test_hdr_is_turned_into_ordinary_colours(self):
        """White of 100 nits in PQ: untouched it would be a dull grey on an ordinary screen."""
        source = clip("hdr.mp4", "-f", "lavfi", "-i", "color=white:size=160x90:rate=25:duration=2", "-vf",
                      "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv,"
                      "zscale=t=linear:npl=100,format=gbrpf32le,"
                      "zscale=p=bt2020:t=smpte2084:m=bt2020nc:r=tv:npl=100,format=yuv420p10le", "-c:v", "libx265",
                      "-preset", "ultrafast", "-x265-params",
                      "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", "-tag:v", "hvc1",
                      "-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc")
        untouched = self.first_picture(source)[0]
        video = self.publish(source)
        for file in (self.made(video) / "90p" / "index.m3u8", self.out / "posters" / f"{video}.jpg"):
            self.assertGreater(self.first_picture(file)[0], untouched + 15, file)
        made = streams_of(self.stream(video) / "master.m3u8")[0]
        self.assertEqual((made["codec_name"], made["pix_fmt"], made.get("color_transfer")), ("h264", "yuv420p", "bt709"))

    def test_pictures_without_a_container_of_their_own(self):
        for file in (clip("raw.y4m", *moving(size="160x90", seconds=1)), clip("moving.apng", *moving(size="160x90", seconds=1), "-plays", "0")):
            self.assertAlmostEqual(self.entry_of(self.publish(file))["duration"], 1, delta=0.05)

    def entry_of(self, video: str) -> dict:
        return next(entry for entry in self.catalogue() if entry["id"] == video)

    def test_odd_sizes_and_stretched_pixels(self):
        self.publish(clip("odd.mkv", *moving(size="161x91", seconds=2), "-c:v", "ffv1"))
        self.publish(clip("pal.mpg", *moving(size="720x576", seconds=2), "-vf", "setsar=64/45", "-c:v", "mpeg2video"))
        self.assertEqual([(v["width"], v["height"]) for v in self.catalogue()], [(160, 90), (1024, 576)])

    def test_containers_without_an_index(self):
        """Transport streams and WebM from a browser's recorder: no index, no duration, times that begin anywhere."""
        ts = clip("tv.ts", *moving(seconds=14), *tone(14), *H264, "-g", "60", "-c:a", "aac", "-output_ts_offset", "5000")
        webm = clip("live.webm", *moving(size="160x90", seconds=4), *tone(4), "-c:v", "libvpx", "-deadline", "realtime",
                    "-c:a", "libopus", "-live", "1")
        for source, seconds in ((ts, 14), (webm, 4)):
            video = self.publish("--chunk", "6", source)
            self.assertAlmostEqual(self.catalogue()[-1]["duration"], seconds, delta=0.1)
            self.conforms(self.stream(video))

    def test_sound_that_goes_on_is_kept_over_the_last_picture(self):
        video = self.publish(clip("slides.mp4", *moving(seconds=2), *tone(9), *H264, "-c:a", "aac"))
        self.assertAlmostEqual(self.catalogue()[0]["duration"], 9, delta=0.1)
        self.conforms(self.stream(video))

    def test_several_languages_of_sound(self):
        video = self.publish(clip(
            "film.mkv", *moving(seconds=2), *tone(2, 440), *tone(2, 880), "-map", "0", "-map", "1", "-map", "2", *H264,
            "-c:a", "aac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger", "-disposition:a:1", "default",
            "-disposition:a:0", "0"))
        sound = [m for m in master_of(self.stream(video)).media if m["TYPE"] == "AUDIO"]
        self.assertEqual([(m["NAME"], m["LANGUAGE"], m["DEFAULT"]) for m in sound],
                         [("English", "en", "NO"), ("Deutsch", "de", "YES")])
        self.conforms(self.stream(video))

    def test_names_that_mean_something_to_a_tool(self):
        """Of the file, and of the folder that everything goes to."""
        for name in ("-i.mp4", "a:b 'c' %05d \"d\".mp4", "concat:x.mp4", "ünïcode 🎬.mp4", "two\nlines\x1b[2J.mp4"):
            with self.subTest(name):
                file = self.copy(clip("short.mp4", *moving(size="160x90", seconds=1), *H264), name)
                out = Path(name).stem
                # Relative, so that the name itself is what begins the paths.
                done = self.run_publish(f"--out={out}", "--", file, cwd=self.folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                video, = [line.split()[0] for line in done.stdout.splitlines()]
                self.assertNotIn("\x1b", done.stdout + done.stderr)
                self.out = self.folder / out
                self.assertEqual(self.catalogue()[0]["title"], out)
                self.conforms(self.stream(video))

    def test_a_name_that_is_not_text(self):
        file = self.copy(clip("short.mp4", *moving(size="160x90", seconds=1), *H264), os.fsdecode(b"caf\xe9.mp4"))
        self.publish(file)
        self.assertEqual(self.catalogue()[0]["title"], "caf\ufffd")


class Captions(PublishTest):
    SRT = "1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n00:00:05,500 --> 00:00:06,500\nacross\n"

    def test_embedded_and_beside_it(self):
        srt = self.folder / "in.srt"
        srt.write_text(self.SRT)
        inner = self.folder / "inner.mkv"
        run_ffmpeg("-v", "error", "-i", film(), "-i", srt, "-map", "0", "-map", "1", "-c", "copy", "-c:s", "srt",
                   "-metadata:s:s:0", "language=eng", inner)
        source = self.copy(inner, "film.mkv")
        (source.parent / "film.de.srt").write_bytes("1\r\n00:00:01,000 --> 00:00:02,000\r\nGrüße\r\n".encode("cp1252"))
        (source.parent / "film.en.vtt").write_text("WEBVTT\n\n00:03.000 --> 00:04.000\nother\n", encoding="utf-8-sig")
        video = self.publish("--preview", "3", source)
        self.assertEqual([(c["lang"], c["label"], c["src"]) for c in self.catalogue()[0]["captions"]], [
            ("en", "English", f"/hls/{video}/{self.made(video).name}/captions/en.vtt"), ("de", "Deutsch", f"/hls/{video}/{self.made(video).name}/captions/de.vtt"),
            ("en", "English-2", f"/hls/{video}/{self.made(video).name}/captions/en-2.vtt")])
        folder = self.made(video) / "captions"
        self.assertIn("Grüße", (folder / "de.vtt").read_text(encoding="utf-8"))
        self.assertIn("film.de.srt are not in UTF-8; they are taken for cp1252", self.log)
        # To the frame of sound that players skip at this file's beginning.
        self.assertAlmostEqual(captions.parse((folder / "en.vtt").read_text())[1].start, 5.5, delta=0.022)
        for segment in ("00002.vtt", "00003.vtt"):
            self.assertIn("across", (folder / "en" / segment).read_text())
        preview = revision_of(self.out / "previews" / video) / "captions"
        self.assertIn("Hello", (preview / "en.vtt").read_text())
        self.assertNotIn("across", (preview / "en.vtt").read_text())
        self.conforms(self.stream(video))
        self.conforms(self.out / "previews" / video)

    def test_pictures_for_subtitles_are_named_and_left_out(self):
        srt = self.folder / "in.srt"
        srt.write_text(self.SRT)
        source = self.folder / "dvd.mkv"
        run_ffmpeg("-v", "error", "-i", film(), "-f", "lavfi", "-i", "color=black:size=320x180:duration=1", "-map", "0",
                   "-c", "copy", self.folder / "plain.mkv")
        # A DVD subtitle track is made from a text one's bitmap, which FFmpeg cannot draw; an empty one shows the codec.
        run_ffmpeg("-v", "error", "-i", self.folder / "plain.mkv", "-f", "vobsub", "-i", _vobsub(self.folder), "-map", "0",
                   "-map", "1", "-c", "copy", source)
        self.publish(source)
        self.assertIn("subtitles are pictures (dvd_subtitle)", self.log)
        self.assertNotIn("captions", self.catalogue()[0])


def _vobsub(folder: Path) -> Path:
    """A smallest VobSub: an index, and one MPEG programme stream packet with an empty picture."""
    index = folder / "sub.idx"
    index.write_text("# VobSub index file, v7 (do not modify this line!)\nsize: 320x180\nid: en, index: 0\n"
                     "timestamp: 00:00:01:000, filepos: 000000000\n")
    pack = bytes.fromhex("000001ba440004000401 0189c3f8".replace(" ", ""))
    body = bytes.fromhex("0004 0004".replace(" ", ""))
    pes = b"\x00\x00\x01\xbd" + (len(body) + 9).to_bytes(2, "big") + bytes.fromhex("8180052100057e41") + b"\x20" + body
    (folder / "sub.sub").write_bytes((pack + pes).ljust(2048, b"\xff"))
    return index


def run_raw(file: Path, steps: str) -> int:
    """The one byte that is left of a picture."""
    return subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", file, "-vf", steps, "-frames:v", "1", "-f", "rawvideo", "-"],
                          capture_output=True, check=True).stdout[0]


class Options(PublishTest):
    def test_a_preview_is_free_short_and_lasts_as_asked(self):
        video = self.publish("--preview", "8", "--encrypt", film(seconds=13))
        preview = self.out / "previews" / video
        media = media_of(preview / master_of(preview).variants[0].uri)
        self.assertAlmostEqual(media.starts()[-1], 8, delta=0.001)
        self.assertEqual(media.key_uri, "")
        self.assertEqual(self.catalogue()[0]["preview"], f"/previews/{video}/master.m3u8")
        self.assertAlmostEqual(self.catalogue()[0]["duration"], 13, delta=0.05)
        self.conforms(preview)
        self.conforms(self.stream(video))

    def test_av1_stands_beside_h264_with_the_same_boundaries_and_fewer_bytes(self):
        source = clip("grain.mp4", "-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=25", "-t", "8", *H264, "-crf", "12")
        video = self.publish("--codecs", "h264,av1", "--ladder", "180", "--preset", "medium", source)
        old, new = master_of(self.stream(video)).variants
        self.assertRegex(old.attributes["CODECS"], r"\Aavc1\.")
        self.assertRegex(new.attributes["CODECS"], r"\Aav01\.0\.0\dM\.08\Z")
        self.assertEqual(new.uri.split("/")[1], "180p-av1")
        self.assertLess(int(new.attributes["AVERAGE-BANDWIDTH"]), 0.9 * int(old.attributes["AVERAGE-BANDWIDTH"]))
        self.conforms(self.stream(video))
        made = streams_of(self.stream(video) / new.uri)[0]
        self.assertEqual((made["codec_name"], made["color_space"]), ("av1", streams_of(self.stream(video) / old.uri)[0]["color_space"]))
        points = [[0.3, 0.4], [0.5, 0.5]]
        seen = chromium.shown([{"kind": "stream", "path": self.made(video) / name, "points": points} for name in ("180p", "180p-av1")])
        for row, like in zip(seen[1]["rows"], seen[0]["rows"], strict=True):
            self.assertTrue(all(abs(a - b) < 24 for a, b in zip(row, like)), seen)

    def test_chapters_come_from_the_file_or_from_a_text_beside_it(self):
        meta = self.folder / "meta"
        meta.write_text(";FFMETADATA1\n" + "".join(
            f"[CHAPTER]\nTIMEBASE=1/1\nSTART={start}\nEND={end}\ntitle={title}\n" for start, end, title in ((0, 3, "One"), (3, 7, "Two <b>"))))
        inner = self.folder / "inner.mkv"
        run_ffmpeg("-v", "error", "-i", film(), "-i", meta, "-map_metadata", "1", "-map", "0", "-c", "copy", inner)
        source = self.copy(inner, "film.mkv")
        for text, expected in (("", [(0, 3, "One"), (3, 7, "Two &lt;b>")]), ("0:00 Start\n\n0:05 – End\n", [(0, 5, "Start"), (5, 7, "End")])):
            if text:
                (source.parent / "film.chapters.txt").write_text(text)
            video = self.publish("--again", source)
            entry = self.catalogue()[0]["chapters"]
            self.assertEqual(entry, f"/hls/{video}/{self.made(video).name}/chapters.vtt")
            cues = captions.parse((self.out / entry[1:]).read_text())
            self.assertEqual([(round(c.start, 1), round(c.end, 1), c.text) for c in cues], expected)
            self.conforms(self.stream(video))
        (source.parent / "film.chapters.txt").write_text("0:05 End\n0:01 Start\n")
        done = self.run_publish("--again", source)
        self.assertEqual((done.returncode, "line 2 of the chapters film.chapters.txt" in done.stderr), (1, True), done.stderr)

    def test_thumbnails_show_the_film_at_their_second(self):
        """The picture's left half grows lighter with time; each thumbnail is compared with what its second has."""
        source = clip("fade.mp4", "-f", "lavfi", "-i", "color=black:size=320x180:rate=25:duration=61,geq=lum='16+3*T':cb=128:cr=128", *H264)
        video = self.publish("--encrypt", "--ladder", "180", source)
        folder = self.made(video) / "thumbnails"
        cues = captions.parse((folder / "index.vtt").read_text())
        self.assertEqual((len(cues), round(cues[-1].end)), (31, 61))
        self.assertEqual(sorted(f.name for f in folder.iterdir()), ["000.jpg", "001.jpg", "index.vtt"])
        for cue in (cues[0], cues[7], cues[24], cues[25], cues[30]):
            name, box = cue.text.split("#xywh=")
            x, y, width, height = map(int, box.split(","))
            done = run_raw(folder / name, f"crop={width}:{height}:{x}:{y},scale=1:1,format=gray")
            self.assertAlmostEqual(done, 3 * cue.start * 255 / 219, delta=8)

    def test_a_download_is_the_whole_film_behind_the_gate(self):
        video = self.publish("--download", "--chunk", "6", film(seconds=14))
        file = self.out / self.catalogue()[0]["download"][1:]
        self.assertTrue(file.is_relative_to(self.stream(video)))
        kinds = {s["codec_type"]: s for s in streams_of(file)}
        self.assertEqual(int(kinds["video"]["nb_frames"]), 350)
        self.assertAlmostEqual(float(kinds["audio"]["duration"]), 14, delta=0.1)
        data = file.read_bytes()
        self.assertLess(data.find(b"moov"), data.find(b"mdat"))
        self.conforms(self.stream(video))

    def test_winding_shows_one_picture_for_each_keyframe(self):
        """Each range of the I-frame playlist, after the initialisation, is a picture: the film's at its second."""
        source = film(seconds=14)
        video = self.publish("--chunk", "6", source)
        said, = master_of(self.stream(video)).iframes
        self.assertEqual((said["RESOLUTION"], said["URI"]), ("320x180", f"{self.made(video).name}/180p/iframes.m3u8"))
        folder = self.made(video) / "180p"
        iframes = media_of(folder / "iframes.m3u8")
        self.assertEqual((iframes.iframes_only, [round(s.seconds, 3) for s in iframes.segments]), (True, [2.0] * 7))
        at = 0.0
        for n, segment in enumerate(iframes.segments):
            size, start = segment.range
            alone = self.folder / f"{n}.mp4"
            alone.write_bytes((folder / iframes.map_uri).read_bytes() + (folder / segment.uri).read_bytes()[start:start + size])
            wanted = self.folder / f"{n}.mkv"
            run_ffmpeg("-v", "error", "-ss", at, "-i", source, "-frames:v", "1", "-an", "-c:v", "ffv1", wanted)
            difference = [abs(a - b) for a, b in zip(self.first_picture(alone), self.first_picture(wanted), strict=True)]
            self.assertLess(max(difference), 30, f"picture {n}")
            at += segment.seconds
        self.conforms(self.stream(video))
        self.publish("--again", "--encrypt", source)
        self.assertEqual(master_of(self.stream(video)).iframes, [])

    def test_encrypted_segments_open_with_the_key_alone(self):
        for container in ("fmp4", "ts"):
            video = self.publish("--again", "--encrypt", "--container", container, film())
            folder = self.made(video)
            key = (folder / "key").read_bytes()
            self.assertEqual(len(key), 16)
            for rendition in ("180p", "audio0"):
                media = media_of(folder / rendition / "index.m3u8")
                self.assertEqual(media.key_uri, "../key")
                for number, segment in enumerate(media.segments):
                    secret = (folder / rendition / segment.uri).read_bytes()
                    plain = aes.decrypt(key, aes.sequence_iv(number), secret)
                    self.assertTrue(plain.startswith(b"\x47\x40") if container == "ts" else plain[4:8] == b"styp")
            run_ffmpeg("-v", "error", "-xerror", *opened(self.stream(video) / "master.m3u8"), "-f", "null", "-")
            self.conforms(self.stream(video))
            (folder / "key").write_bytes(bytes(16))
            done = self.run_publish("--check", self.stream(video))
            self.assertEqual(done.returncode, 1, "another key opened it")

    def test_segments_for_a_cdn_lie_apart_and_the_key_does_not(self):
        url = "https://cdn.example/films"
        video = self.publish("--encrypt", "--segments-url", url + "/", film())
        public = self.out / "segments" / video
        self.assertEqual({f.suffix for f in public.rglob("*") if f.is_file()}, {".m4s", ".mp4"})
        self.assertFalse([f for f in self.stream(video).rglob("*") if f.suffix in (".m4s", ".mp4")])
        media = media_of(self.made(video) / "180p" / "index.m3u8")
        self.assertEqual([s.uri for s in media.segments], [f"{url}/{video}/{self.made(video).name}/180p/0000{n}.m4s" for n in range(4)])
        self.assertEqual((media.map_uri, media.key_uri), (f"{url}/{video}/{self.made(video).name}/180p/init.mp4", "../key"))
        self.conforms(self.stream(video), "--segments-url", url)
        self.assertEqual(self.run_publish("--check", self.stream(video)).returncode, 1)
        refused = self.run_publish("--segments-url", url, film())
        self.assertEqual((refused.returncode, "needs --encrypt" in refused.stderr), (2, True))

    def test_loudness_is_brought_to_the_target(self):
        quiet = clip("quiet.mp4", *moving(seconds=5), "-f", "lavfi", "-i",
                     "anoisesrc=colour=pink:amplitude=0.02:seed=7:sample_rate=48000:duration=5", *H264, "-c:a", "aac")
        before = self._lufs(quiet)
        after = self._lufs(self.made(self.publish("--loudness", quiet)) / "audio0" / "index.m3u8")
        self.assertLess(before, -30)
        self.assertAlmostEqual(after, -16, delta=1.0)

    @staticmethod
    def _lufs(file: Path) -> float:
        report = run_ffmpeg("-v", "info", *opened(file), "-map", "0:a", "-af", "ebur128",
                            "-f", "null", "-")
        return float(re.findall(r"I:\s+(-?[\d.]+) LUFS", report)[-1])

    def test_silence_stays_silent(self):
        silent = clip("silent.mp4", *moving(seconds=2), "-f", "lavfi", "-i", "anullsrc=sample_rate=48000:duration=2", *H264,
                      "-c:a", "aac", "-shortest")
        self.conforms(self.stream(self.publish("--loudness", silent)))

    def test_wrong_usage_is_told(self):
        for arguments, expected in (
                ((), "name FILEs"), (("--once", "x"), "--watch"), (("--ladder", "big", "x"), "short sides"),
                (("--jobs", "0", "x"), "1 to 99"), (("--preview", "-1", "x"), "more than 0"),
                (("--preview", "nan", "x"), "number"),
                (("--title", "t", "a", "b"), "one FILE"), (("--segments-url", "cdn", "--encrypt", "x"), "address"),
                (("--watch", "a", "b"), "FILEs"), (("--streams-path", "hls", "x"), "/hls"),
                (("--prev", "5", "x"), "unrecognized"),
                (("--codecs", "av1", "x"), "h264"), (("--codecs", "h264,av1", "--container", "ts", "x"), "fmp4")):
            done = self.run_publish(*arguments)
            self.assertEqual((done.returncode, expected in done.stderr), (2, True), (arguments, done.stderr))


if __name__ == "__main__":
    unittest.main()
