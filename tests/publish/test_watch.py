"""The letter-box: settled files in, published and refused files out, nothing lost."""
import os
import signal
import time
import unittest
from pathlib import Path

from hlspublish.errors import NoSpace, Refused
from hlspublish.watch import Watch
from support import DEADLINE, H264, PublishTest, clip, film, moving


class WatchFolder(PublishTest):
    def setUp(self) -> None:
        super().setUp()
        self.inbox = self.folder / "in"
        self.inbox.mkdir()

    def names(self, folder: str = "") -> list[str]:
        where = self.inbox / folder
        return sorted(p.name for p in where.iterdir()) if where.is_dir() else []

    def short(self) -> Path:
        return clip("short.mp4", *moving(size="160x90", seconds=1), *H264)

    def test_once_empties_the_folder_and_ends(self):
        self.copy(self.short(), "good.mp4")
        (self.inbox / "good.en.srt").write_text("1\n00:00:00,100 --> 00:00:00,900\nHello\n")
        (self.inbox / "good.chapters.txt").write_text("0:00 All of it\n")
        (self.inbox / "bad.mp4").write_text("no video")
        (self.inbox / ".hidden.mp4").write_text("an upload under way")
        done = self.run_publish("--watch", self.inbox, "--once", "--settle", "0.2", "--done", self.folder / "done",
                                "--refused", self.folder / "refused")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.names(), [".hidden.mp4"])
        self.assertEqual(sorted(p.name for p in (self.folder / "done").iterdir()), ["good.chapters.txt", "good.en.srt", "good.mp4"])
        self.assertEqual(sorted(p.name for p in (self.folder / "refused").iterdir()), ["bad.mp4", "bad.mp4.why.txt"])
        self.assertIn("not a video", (self.folder / "refused" / "bad.mp4.why.txt").read_text())
        self.assertEqual([(v["captions"][0]["lang"], "chapters" in v) for v in self.catalogue()], [("en", True)])

    def test_it_waits_for_an_upload_and_goes_on_watching(self):
        child = self.start("--watch", self.inbox, "--settle", "2")
        data = film().read_bytes()
        with (self.inbox / "slow.mp4").open("wb") as upload:
            for n in range(30):  # longer than it takes to settle; a write every tenth of that time
                upload.write(data[len(data) * n // 30:len(data) * (n + 1) // 30])
                upload.flush()
                self.assertFalse((self.out / "videos.json").exists())
                self.assertEqual(self.names("refused"), [])
                time.sleep(0.1)  # the pace of the upload, not a wait for something
        self.await_true(lambda: "slow.mp4" in self.names("published"), "the upload is published")
        self.copy(self.short(), "second.mp4")
        self.await_true(lambda: "second.mp4" in self.names("published"), "a second file is published")
        self.assertEqual([v["title"] for v in self.catalogue()], ["slow", "second"])
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=DEADLINE)
        self.assertEqual(child.returncode, 143)

    def test_a_folder_that_is_none(self):
        done = self.run_publish("--watch", self.folder / "none")
        self.assertEqual((done.returncode, "is not a folder" in done.stderr), (1, True))

    def watch(self, publish) -> Watch:
        return Watch(self.inbox, self.inbox / "published", self.inbox / "refused", 0.0, publish, lambda text: None)

    def test_links_are_refused_wherever_they_lead(self):
        """Whoever may put files here need not be allowed to read what a link of theirs can name."""
        (self.inbox / "film.mp4").symlink_to(self.short())
        (self.inbox / "loop.mp4").symlink_to("loop.mp4")
        (self.inbox / "none.mp4").symlink_to("nowhere")
        self.copy(self.short(), "told.mp4")
        (self.inbox / "told.srt").symlink_to("/etc/hostname")
        self.assertFalse(self.watch(lambda path: self.fail("nothing to publish")).look())
        self.assertEqual([n for n in self.names("refused") if not n.endswith(".why.txt")],
                         ["film.mp4", "loop.mp4", "none.mp4", "told.mp4", "told.srt"])

    def test_names_that_are_no_text_or_too_long_do_not_stop_it(self):
        for name in (b"caf\xe9.mp4", b"x" * 251 + b".mp4"):
            (self.inbox / os.fsdecode(name)).write_text("no")
        done = self.run_publish("--watch", self.inbox, "--once", "--settle", "0.2")
        self.assertEqual((done.returncode, self.names()), (0, ["refused"]), done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_a_broken_catalogue_or_a_closed_folder_is_not_the_files_fault(self):
        self.copy(self.short(), "good.mp4")
        self.out.mkdir()
        for name, break_it, mend in (
                ("catalogue", lambda: (self.out / "videos.json").write_text("{"), (self.out / "videos.json").unlink),
                ("folder", lambda: (self.out / "hls").write_text("a file where a folder belongs"), (self.out / "hls").unlink)):
            with self.subTest(name):
                break_it()
                child = self.start("--watch", self.inbox, "--settle", "0.2", "--quiet")
                self.assertIn("next try in", child.stderr.readline())
                child.terminate()
                child.communicate(timeout=DEADLINE)
                self.assertEqual(self.names(), ["good.mp4"])
                mend()

    def test_a_full_disk_is_not_the_files_fault(self):
        (self.inbox / "a.mp4").write_text("x")
        tried = []

        def publish(path: Path) -> str:
            tried.append(path.name)
            raise NoSpace("the disk is full")
        watch = self.watch(publish)
        self.assertTrue(watch.look())
        self.assertTrue(watch.look())
        self.assertEqual((tried, self.names()), (["a.mp4"], ["a.mp4"]))

    def test_what_another_worker_took_is_let_go(self):
        def taken(outcome):
            def publish(path: Path) -> str:
                path.unlink()
                if outcome:
                    raise outcome
                return "id"
            return publish
        for outcome in (None, Refused("there is no such file", "")):
            (self.inbox / "a.mp4").write_text("x")
            self.assertFalse(self.watch(taken(outcome)).look())
            self.assertEqual([*self.names("refused"), *self.names("published")], [])

    def test_what_is_no_video_file_is_moved_out_with_its_reason(self):
        (self.inbox / "sub").mkdir()
        (self.inbox / "lonely.srt").write_text("1")
        self.assertFalse(self.watch(lambda path: self.fail("nothing to publish")).look())
        self.assertEqual(self.names("refused"), ["lonely.srt", "lonely.srt.why.txt", "sub", "sub.why.txt"])

    def test_same_names_do_not_replace_each_other(self):
        def refuse(_path: Path) -> str:
            raise Refused("no", "no")
        for publish, folder in ((lambda path: "id", "published"), (refuse, "refused")):
            for text in ("one", "two"):
                (self.inbox / "a.mp4").write_text(text)
                self.watch(publish).look()
            kept = {p.read_text() for p in (self.inbox / folder).glob("*.mp4")}
            self.assertEqual(kept, {"one", "two"})


if __name__ == "__main__":
    unittest.main()
