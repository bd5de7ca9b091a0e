"""The parts that touch no video: ladder, plan, playlists, captions, languages, cut-off files, AES, progress."""
import io
import subprocess
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path

from hlspublish import aes, captions, charset, colour, filters, ladder, languages, plan, playlist, structure, timing
from hlspublish.errors import Refused
from hlspublish.probe import Source
from hlspublish.progress import Progress, clock_text
from support import COMMAND


def source(**changes) -> Source:
    facts = dict(path=Path("/film.mp4"), title="film", video_index=0, width=1920, height=1080, rate=Fraction(25),
                 duration=100.0, last_picture=99.96, variable_rate=False, interlacing="", rotated=False,
                 colours=colour.Colours(), pictures=timing.Pictures((0.0, 0.04), (0.0,)), seek_offset=0.0)
    return Source(**(facts | changes))


class Ladder(unittest.TestCase):
    def sizes(self, width, height, **options):
        return [(r.width, r.height) for r in ladder.renditions(width, height, Fraction(25), **options)]

    def test_it_begins_at_the_source_and_is_never_enlarged(self):
        cases = {
            (3840, 2160): [(3840, 2160), (2560, 1440), (1920, 1080), (1280, 720), (852, 480), (640, 360), (426, 240)],
            (1920, 1080): [(1920, 1080), (1280, 720), (852, 480), (640, 360), (426, 240)],
            (1920, 800): [(1920, 800), (1728, 720), (1152, 480), (864, 360), (576, 240)],
            (1280, 720): [(1280, 720), (852, 480), (640, 360), (426, 240)],
            (640, 480): [(640, 480), (480, 360), (320, 240)],
            (160, 90): [(160, 90)],
        }
        for size, expected in cases.items():
            self.assertEqual(self.sizes(*size), expected, size)

    def test_no_size_is_enlarged_odd_or_out_of_shape(self):
        for width in (161, 333, 854, 1366, 1921, 4096, 7680):
            for height in (91, 333, 480, 767, 1079, 2304, 4320):
                made = self.sizes(width, height)
                self.assertTrue(made, (width, height))
                for w, h in made:
                    self.assertTrue(w <= width and h <= height and w % 2 == 0 and h % 2 == 0, (width, height, w, h))
                    self.assertAlmostEqual(w / h, width / height, delta=width / height * 0.05)

    def test_an_upright_film_is_judged_by_its_short_side(self):
        self.assertEqual(self.sizes(1080, 1920)[:2], [(1080, 1920), (720, 1280)])

    def test_larger_than_the_largest_rung_is_reduced_to_it(self):
        self.assertEqual(self.sizes(7680, 4320)[0], (3840, 2160))
        self.assertEqual(self.sizes(1920, 1080, rungs=(720, 360)), [(1280, 720), (640, 360)])

    def test_a_rung_just_below_the_source_is_left_out(self):
        self.assertEqual(self.sizes(1366, 768)[:2], [(1366, 768), (852, 480)])

    def test_bit_rates_fall_with_the_size_and_rise_with_the_rate(self):
        peaks = [r.peak_kbit for r in ladder.renditions(3840, 2160, Fraction(25))]
        self.assertEqual(peaks, sorted(peaks, reverse=True))
        self.assertGreater(ladder.peak_kbit(1920 * 1080, Fraction(50)), ladder.peak_kbit(1920 * 1080, Fraction(30)))

    def test_rates_are_those_whose_segments_are_whole_frames(self):
        cases = {25.0: "25", 29.97: "30000/1001", 23.976: "24000/1001", 59.94: "60000/1001", 12.5: "25/2", 15.0: "15",
                 24.0003: "24", 60.0: "60", 120.0: "60", 119.88: "60000/1001", 240.0: "60"}
        for measured, expected in cases.items():
            self.assertEqual(ladder.output_rate(measured), Fraction(expected), measured)
        for measured in [n / 7 for n in range(7, 7 * 130)]:
            rate = ladder.output_rate(measured)
            seconds = Fraction(ladder.segment_frames(rate)) / rate
            self.assertIn(seconds, (Fraction(6), Fraction(6006, 1000)), measured)
            self.assertEqual(ladder.segment_frames(rate) % ladder.keyframe_interval(rate), 0)

    def test_a_varying_rate_becomes_a_usual_one(self):
        for measured, expected in {3.0: 15, 24.0: 24, 29.8: 30, 30.3: 30, 48.0: 50, 59.0: 60, 144.0: 60}.items():
            self.assertEqual(ladder.usual_rate(measured), expected)

    def test_the_estimate_holds_every_rendition_and_the_largest_twice(self):
        rungs = [ladder.Rendition("a", 2, 2, 800), ladder.Rendition("b", 2, 2, 400)]
        self.assertEqual(ladder.disk_bytes(rungs, 10, 0), int((800 + 800 + 400) * 125 * 10 * ladder.OVERHEAD))


class Plans(unittest.TestCase):
    def test_chunks_are_whole_segments_and_cover_every_frame_once(self):
        for frames in (1, 149, 150, 151, 1500, 1501, 4000):
            made = plan.for_stream(source(duration=frames / 25), plan.Settings(chunk=20), "v")
            self.assertEqual(made.chunk_frames % made.segment_frames, 0)
            spans = [made.chunk_span(n) for n in range(made.chunks)]
            self.assertEqual(sum(count for _, count in spans), frames)
            self.assertTrue(all(count > 0 for _, count in spans))

    def test_work_of_other_settings_is_told_apart(self):
        base = plan.for_stream(source(), plan.Settings(), "v").fingerprint(source())
        self.assertEqual(base, plan.for_stream(source(), plan.Settings(), "v").fingerprint(source()))
        for change in (dict(container="ts"), dict(preset="fast"), dict(encrypt=True), dict(loudness=True), dict(chunk=30),
                       dict(rungs=(480,)), dict(encrypt=True, segments_url="https://cdn.example")):
            other = plan.for_stream(source(), plan.Settings(**change), "v").fingerprint(source())
            self.assertNotEqual(base, other, change)

    def test_a_preview_is_small_short_and_in_the_clear(self):
        settings = plan.Settings(preview=10, encrypt=True, segments_url="https://cdn.example")
        made = plan.for_preview(source(), settings)
        self.assertEqual((made.seconds, made.encrypt, made.segments_url), (10, False, ""))
        self.assertEqual([r.name for r in made.renditions], ["480p", "360p", "240p"])
        self.assertEqual(plan.for_preview(source(duration=4), settings).seconds, 4)

    def test_an_interlaced_source_is_deinterlaced(self):
        for found, expected in (("flagged", "deint=interlaced"), ("bff", "deint=all:parity=bff")):
            self.assertIn(expected, filters.common(source(interlacing=found), 0)[1])
        self.assertNotIn("bwdif", "".join(filters.common(source(), 0)))

    def test_hdr_colours_that_a_file_does_not_name_are_bt2020(self):
        for given, expected in ((("bt2020", "bt2020nc"), ("bt2020", "bt2020nc")), (("", ""), ("bt2020", "bt2020nc")),
                                (("smpte432", "bt2020c"), ("smpte432", "bt2020c")), (("unknown", "ictcp"), ("bt2020", "bt2020nc"))):
            found = colour.of_stream({"color_transfer": "smpte2084", "color_primaries": given[0], "color_space": given[1]})
            self.assertIn(f":min={expected[1]}:", colour.convert(found)[0])
            self.assertIn(f"pin={expected[0]}:", colour.convert(found)[0])
            self.assertEqual(colour.output(found), colour.Colours())

    def test_colours_that_a_file_does_not_name_are_those_that_players_assume(self):
        for stream, expected in (
                ({"height": 480, "width": 854}, ("smpte170m", "smpte170m")), ({"height": 576, "width": 720}, ("smpte170m", "smpte170m")),
                ({"height": 720, "width": 1280}, ("bt709", "bt709")), ({"height": 544, "width": 1280}, ("bt709", "bt709")),
                ({"height": 720, "width": 1280, "pix_fmt": "yuvj420p"}, ("bt709", "smpte170m")),
                ({"height": 480, "color_space": "bt709"}, ("bt709", "bt709")),
                ({"height": 480, "color_primaries": "bt2020"}, ("bt2020", "bt2020nc")),
                ({"height": 1080, "pix_fmt": "bgra"}, ("bt709", "gbr")), ({"pix_fmt": "yuv420p", "color_space": "gbr"}, ("bt709", "gbr"))):
            found = colour.of_stream(stream)
            self.assertEqual((found.primaries, found.matrix), expected, stream)

    def test_what_every_player_knows_is_not_computed(self):
        for matrix in ("bt709", "smpte170m", "bt470bg", "bt2020nc"):
            self.assertEqual(colour.convert(colour.of_stream({"color_space": matrix, "pix_fmt": "yuv420p"})), [])


class Playlists(unittest.TestCase):
    def test_what_is_written_is_read_again(self):
        media = playlist.MediaPlaylist(version=7, map_uri="init.mp4", key_uri="../key",
                                       segments=[playlist.Segment("0.m4s", 6.006), playlist.Segment("1.m4s", 2.5)])
        read = playlist.parse_media(media.render())
        self.assertEqual((read.target, read.map_uri, read.key_uri, read.key_method, read.ended),
                         (6, "init.mp4", "../key", "AES-128", True))
        self.assertEqual(read.starts(), [0, 6.006, 8.506])

    def test_the_map_stands_before_the_key_and_so_in_the_clear(self):
        text = playlist.MediaPlaylist(map_uri="init.mp4", key_uri="key", segments=[playlist.Segment("0", 1)]).render()
        self.assertLess(text.index("EXT-X-MAP"), text.index("EXT-X-KEY"))

    def test_target_duration_is_rounded_to_the_nearest(self):
        for seconds, target in ((6.006, 6), (6.5, 7), (5.4, 5), (0.04, 1)):
            self.assertEqual(playlist.MediaPlaylist(segments=[playlist.Segment("x", seconds)]).right_target(), target)

    def test_names_cannot_leave_their_quotes(self):
        rendered = playlist.render_attributes({"NAME": 'a "b"\n#EXT-X-KEY', "DEFAULT": "YES"})
        self.assertEqual(playlist.parse_attributes(rendered), {"NAME": "a 'b' #EXT-X-KEY", "DEFAULT": "YES"})

    def test_what_is_no_playlist_is_refused(self):
        for text in ("", "hello", "#EXTM3U\n", "#EXTM3U\n0.ts\n", "#EXTM3U\n#EXTINF:abc,\n0.ts\n",
                     "#EXTM3U\n#EXT-X-TARGETDURATION:six\n#EXTINF:6,\n0.ts"):
            with self.assertRaises(playlist.BadPlaylist, msg=text):
                playlist.parse_media(text)


class Captions(unittest.TestCase):
    VTT = "WEBVTT\n\nNOTE no\n\nid\n00:05.000 --> 00:07.000 align:left\nacross\n\n00:00:01.000 --> 00:00:02.500\nfirst\nline\n"

    def test_cues_are_read_in_order_with_their_settings(self):
        cues = captions.parse(self.VTT)
        self.assertEqual([(c.start, c.end, c.settings, c.text) for c in cues],
                         [(1, 2.5, "", "first\nline"), (5, 7, "align:left", "across")])

    def test_styles_and_regions_are_left_out_and_do_not_refuse_the_file(self):
        cues = captions.parse("WEBVTT\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:fred\nwidth:40%\n\n"
                              "1\n00:01.000 --> 00:02.000 region:fred align:left\n<v Ann>Hi</v> <c.red>there</c>\n")
        self.assertEqual([(c.settings, c.text) for c in cues], [("align:left", "<v Ann>Hi</v> <c.red>there</c>")])

    def test_what_only_looks_like_a_tag_is_shown(self):
        for vtt, given, expected in (
                (True, "I <3 you", "I &lt;3 you"), (True, "&lt;b&gt; is bold", "&lt;b&gt; is bold"), (True, "<b>bold</b>", "<b>bold</b>"),
                (True, "R&D &amp; &nbsp;", "R&amp;D &amp; &nbsp;"), (True, "<script>x</script>", "&lt;script>x&lt;/script>"),
                (False, "I <3 you", "I &lt;3 you"), (False, "&lt;b&gt; is bold", "&lt;b&gt; is bold"), (False, "<I>it</I>", "<i>it</i>"),
                (False, '<font color="#ff0">warm</font>', "warm"), (False, "{\\an8}above {sic}", "above {sic}"),
                (False, "1 < 2 & 3 > 2", "1 &lt; 2 &amp; 3 > 2"), (False, "a --> b", "a --&gt; b")):
            self.assertEqual(captions.clean(given, vtt), expected)

    def test_subrip_is_read_as_people_write_it(self):
        cues = captions.parse("1\n00:00:01,5 --> 00:00:02,000\none\ntwo\n2\n0:00:03,000-->0:00:04,000 X1:1\n12\n\n\n3\nno time\n")
        self.assertEqual([(c.start, c.end, c.settings, c.text) for c in cues], [(1.5, 2, "", "one\ntwo"), (3, 4, "", "12")])

    def test_letters_from_before_utf_8(self):
        russian = "Здравствуйте, как ваши дела сегодня? Я очень рад вас видеть."
        for data, language, chosen, expected in (
                (russian.encode("cp1251"), "ru", "", (russian, "cp1251")), (russian.encode("cp1251"), "und", "", (russian, "cp1251")),
                (russian.encode("koi8-r"), "ru", "koi8-r", (russian, "")), ("\ufeff".encode() + b"x", "und", "", ("x", "")),
                (russian.encode("utf-16"), "und", "", (russian, "")), ("Grüße".encode("cp1252"), "de", "", ("Grüße", "cp1252")),
                ("Žluťoučký kůň".encode("cp1250"), "cs", "", ("Žluťoučký kůň", "cp1250")), ("日本語".encode("cp932"), "ja", "", ("日本語", "cp932"))):
            self.assertEqual(charset.decode(data, language, chosen), expected)
        with self.assertRaises(Refused):
            charset.decode(b"\xff\xff", "und", "utf-8")

    def test_a_cue_over_a_boundary_stands_in_both_segments(self):
        first, second = captions.segments(captions.parse(self.VTT), [0, 6, 10], "ts")
        self.assertIn("across", first)
        self.assertIn("across", second)
        self.assertNotIn("first", second)
        self.assertIn("MPEGTS:900000", first)
        self.assertIn("MPEGTS:0", captions.segments(captions.parse(self.VTT), [0, 6], "fmp4")[0])

    def test_a_preview_holds_no_more_than_its_seconds(self):
        self.assertEqual([(c.start, c.end) for c in captions.clipped(captions.parse(self.VTT), 5.5)], [(1, 2.5), (5, 5.5)])
        self.assertEqual(len(captions.clipped(captions.parse(self.VTT), 5)), 1)

    def test_sidecars_are_those_of_this_video(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("film.srt", "film.en.vtt", "film.ger.srt", "film.pt-BR.srt", "film2.srt", "film.notes extra.srt",
                         "film.mp4", "other.srt"):
                Path(folder, name).touch()
            found = [(f.name, language) for f, language in captions.sidecars(Path(folder, "film.mp4"))]
        self.assertEqual(found, [("film.en.vtt", "en"), ("film.ger.srt", "de"), ("film.pt-BR.srt", "pt-BR"), ("film.srt", "und")])


class Small(unittest.TestCase):
    def test_languages(self):
        for given, expected in {"ger": "de", "deu": "de", "eng": "en", "en": "en", "EN": "en", "pt-BR": "pt-BR", "und": "und",
                                None: "und", "": "und", "english please": "und", "gsw": "gsw"}.items():
            self.assertEqual(languages.tag(given), expected, given)
        self.assertEqual(languages.label("de", "x"), "Deutsch")
        self.assertEqual(languages.label("und", "x"), "x")

    def test_aes_against_nist_sp_800_38a(self):
        """F.2.1, CBC-AES128.Encrypt; the last block here is the padding, which the standard's example lacks."""
        key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
        iv = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
        plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
        secret = aes.encrypt(key, iv, plain)
        self.assertEqual(secret[:32].hex(), "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")
        self.assertEqual(len(secret), 48)
        self.assertEqual(aes.decrypt(key, iv, secret), plain)
        with self.assertRaises(ValueError):
            aes.decrypt(bytes(16), iv, secret)
        with self.assertRaises(ValueError):
            aes.encrypt(b"short", iv, plain)
        with self.assertRaises(ValueError):
            aes.decrypt(key, iv, secret[:-1])

    def test_a_missing_library_is_named(self):
        # Without its site packages Python is as on a machine that has none.
        done = subprocess.run(["/usr/bin/python3", "-S", COMMAND, "--help"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"\Aerror: .* apt install python3-cryptography\n\Z")

    def test_missing_bytes_are_counted(self):
        box = (16).to_bytes(4, "big") + b"ftypisom\0\0\0\0"
        data = box + (100).to_bytes(4, "big") + b"mdat" + bytes(92)
        large = box + (1).to_bytes(4, "big") + b"mdat" + (1000).to_bytes(8, "big")
        mkv = structure.EBML_MAGIC + b"\x81\x00" + structure.SEGMENT_ID + b"\x48\x00" + bytes(2048)
        live = structure.EBML_MAGIC + b"\x81\x00" + structure.SEGMENT_ID + b"\x01" + b"\xff" * 7 + bytes(100)
        avi = b"RIFF" + (1000).to_bytes(4, "little") + b"AVI " + bytes(988 + 8)
        cases = [(data, 0), (data[:-1], 1), (data[:30], len(data) - 30), (data + b"\0\0\0\0junk", 0), (large, 984),
                 (mkv, 0), (mkv[:-5], 5), (live, 0), (avi, 0), (avi[:-7], 7), (b"plain text, no container", 0), (b"", 0)]
        with tempfile.TemporaryDirectory() as folder:
            for n, (content, expected) in enumerate(cases):
                file = Path(folder, str(n))
                file.write_bytes(content)
                self.assertEqual(structure.missing_bytes(file), expected, n)

    def test_time_left_comes_from_this_runs_pace(self):
        now = [0.0]
        progress = Progress("film", stream=io.StringIO(), clock=lambda: now[0])
        progress.stage("encoding", 1000, already=400)
        now[0] = 20
        progress.part("a", 100)  # 5 a second, and 500 are to come
        self.assertEqual((progress.fraction(), progress.seconds_left()), (0.5, 100))
        self.assertEqual([clock_text(s) for s in (42, 725, 7390)], ["0:42", "12:05", "2:03:10"])

    def test_a_log_gets_few_lines_and_a_terminal_a_bar(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True
        for stream, expected in ((io.StringIO(), "film: encoding 38%, 0:25 left\n"),
                                 (Terminal(), "[##############..............]  50%, 0:20 left")):
            now = [0.0]
            progress = Progress("film", stream=stream, clock=lambda: now[0])
            progress.stage("encoding", 100)
            for n in range(51):
                now[0] = n * 0.4
                progress.part("a", n)
            self.assertIn(expected, stream.getvalue())
            self.assertEqual(stream.getvalue().count("\n") <= 2, True)


if __name__ == "__main__":
    unittest.main()
