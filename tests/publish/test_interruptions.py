"""Killed, stopped, started twice: nothing half-made is ever seen, nothing finished is made again, nothing is lost."""
import json
import os
import signal
import subprocess
import threading
import time
import unittest
from pathlib import Path

from hlspublish import catalogue, desk
from hlspublish.catalogue import Folders
from support import DEADLINE, H264, PublishTest, children_of, clip, film, moving, tone

# Looking all the time would take the processor away from what is looked at.
LOOK_EVERY = 0.05


class Interruptions(PublishTest):
    def setUp(self) -> None:
        super().setUp()
        self.source = film(name="long.mp4", seconds=27)

    @property
    def work(self) -> Path:
        return self.out / "hls" / ".publish"

    def chunks(self) -> dict[str, int]:
        """Finished chunks and when they were made."""
        return {f.name: f.stat().st_mtime_ns for f in self.work.glob("*/chunks/?????") if f.is_dir()}

    def start_and_await_chunk(self, **options) -> subprocess.Popen:
        child = self.start("--chunk", "6", self.source, **options)
        self.await_true(lambda: self.chunks() or child.poll() is not None, "a chunk is finished")
        self.assertIsNone(child.poll(), "it ended before it could be interrupted")
        return child

    def test_killed_in_mid_encode_it_goes_on_where_it_was(self):
        child = self.start_and_await_chunk()
        helpers = children_of(child.pid)
        child.kill()
        child.wait()
        self.await_true(lambda: not any(Path("/proc", str(pid)).exists() and _alive(pid) for pid in helpers),
                        "the children of the killed one have ended")
        done_before = self.chunks()
        self.assertTrue(0 < len(done_before) < 5, done_before)
        self.assertFalse((self.out / "videos.json").exists())
        self.assertEqual([p for p in (self.out / "hls").iterdir() if p.name != ".publish"], [])
        again = self.start("--chunk", "6", self.source)
        kept = {}

        def watch() -> bool:
            now = self.chunks()
            kept.update({name: time for name, time in now.items() if name in done_before and name not in kept})
            return len(now) > len(done_before) or again.poll() is not None
        self.await_true(watch, "the second run has made another chunk")
        self.assertEqual(kept, done_before, "a finished chunk was made again")
        stdout, stderr = again.communicate(timeout=DEADLINE)
        self.assertEqual(again.returncode, 0, stderr)
        self.assertIn("going on where", stderr)
        video = stdout.split()[0]
        self.conforms(self.stream(video))
        self.assertEqual([v["id"] for v in self.catalogue()], [video])
        self.assertFalse(self.work.exists())

    def test_stopped_politely_it_says_how_to_go_on(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.subTest(number.name):
                self.out = self.folder / number.name
                # To the whole group, as Ctrl-C at a terminal is sent.
                child = self.start_and_await_chunk(start_new_session=True)
                os.killpg(child.pid, number)
                _, stderr = child.communicate(timeout=DEADLINE)
                self.assertEqual(child.returncode, status, stderr)
                self.assertIn("goes on where", stderr)
                self.assertNotIn("Traceback", stderr)
                self.assertTrue(self.chunks())

    def test_other_settings_do_not_mix_with_old_work(self):
        child = self.start_and_await_chunk()
        child.kill()
        child.wait()
        video = self.publish("--chunk", "6", "--container", "ts", "--ladder", "90", self.source)
        self.assertEqual([v["height"] for v in self.catalogue()], [90])
        self.conforms(self.stream(video))

    def test_two_at_the_same_video_do_not_disturb_each_other(self):
        child = self.start_and_await_chunk()
        done = self.run_publish("--chunk", "6", self.source)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another process is publishing this video", done.stderr)
        stdout, stderr = child.communicate(timeout=DEADLINE)
        self.assertEqual(child.returncode, 0, stderr)
        self.conforms(self.stream(stdout.split()[0]))

    def test_a_half_made_video_is_never_seen(self):
        """Looks all the time while it works: either there is nothing, or there is a whole stream."""
        child = self.start("--chunk", "6", "--encrypt", "--preview", "6", self.source)
        looks, wrong = 0, []
        while child.poll() is None:
            entries = [p for p in (self.out / "hls").glob("[!.]*")] + [p for p in (self.out / "previews").glob("[!.]*")]
            for folder in entries:
                if not (folder / "master.m3u8").is_file() or [p for p in folder.rglob("*.part*")]:
                    wrong.append(folder.name)
            if (self.out / "videos.json").exists():
                for video in self.catalogue():  # fails if half a file is read
                    if not (self.stream(video["id"]) / "master.m3u8").exists():
                        wrong.append("entry before stream")
            looks += 1
            time.sleep(LOOK_EVERY)
        self.assertEqual((child.returncode, wrong), (0, []))
        self.assertGreater(looks, 20)

    def test_jobs_are_bounded(self):
        for jobs in (1, 3):
            child = self.start("--again", "--chunk", "12", "--jobs", str(jobs), self.source)
            most = 0
            while child.poll() is None:
                most = max(most, len(children_of(child.pid)))
                time.sleep(LOOK_EVERY)
            child.communicate()
            self.assertEqual((child.returncode, most), (0, jobs))


class Moves(PublishTest):
    def test_interrupted_between_the_renames_it_is_finished_later(self):
        """Stream shown, entry not yet written: the next run adds it."""
        video = self.publish(film())
        (self.out / "videos.json").unlink()
        self.publish(film())
        self.assertEqual([v["id"] for v in self.catalogue()], [video])

    def test_over_file_systems(self):
        """Posters elsewhere than streams: copied beside their place under a hidden name, then renamed."""
        other = Path("/dev/shm") / f"hlspublish-test.{os.getpid()}"
        self.addCleanup(lambda: subprocess.run(["rm", "-rf", str(other)], check=True))
        other.mkdir()
        self.assertNotEqual(other.stat().st_dev, self.folder.stat().st_dev, "/dev/shm is not a file system of its own here")
        for again in ((), ("--again",)):
            video = self.publish(*again, "--posters", other / "p", "--previews", other / "v", "--preview", "2", film())
            self.assertEqual([p.name for p in (other / "p").iterdir()], [f"{video}.jpg"])
            self.assertEqual([p.name for p in (other / "v").iterdir()], [video])
            self.conforms(other / "v" / video)


class Catalogue(PublishTest):
    def test_many_writers_lose_nothing_and_readers_see_whole_files(self):
        file = self.folder / "videos.json"
        file.write_text('{"videos": [{"id": "mine", "title": "by hand", "stars": 5}], "note": "keep"}')
        stop, broken = threading.Event(), []

        def read() -> None:
            while not stop.is_set():
                try:
                    json.loads(file.read_text())
                except ValueError as error:
                    broken.append(str(error))
                time.sleep(0.001)  # lets the writers have the processor, too
        reader = threading.Thread(target=read)
        reader.start()
        writers = []
        script = ("import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from hlspublish import catalogue\n"
                  "for n in range(25): catalogue.add(Path(sys.argv[2]), {'id': f'{sys.argv[3]}-{n}', 'title': 't'})")
        for n in range(6):
            writers.append(subprocess.Popen(["python3", "-c", script, str(Path(catalogue.__file__).parents[1]), str(file), str(n)]))
        self.assertEqual([w.wait(timeout=DEADLINE) for w in writers], [0] * 6)
        stop.set()
        reader.join()
        made = json.loads(file.read_text())
        self.assertEqual(broken, [])
        self.assertEqual(len(made["videos"]), 151)
        self.assertEqual((made["videos"][0]["stars"], made["note"]), (5, "keep"))
        self.assertEqual({p.name for p in self.folder.iterdir()}, {"videos.json", ".videos.json.lock"})

    def test_an_entry_is_renewed_where_it_stands(self):
        file = self.folder / "videos.json"
        for entry in ({"id": "a", "title": "1", "preview": "p"}, {"id": "b", "title": "2"}, {"id": "a", "title": "3"}):
            catalogue.add(file, entry)
        self.assertEqual(json.loads(file.read_text())["videos"], [{"id": "a", "title": "3"}, {"id": "b", "title": "2"}])

    def test_published_by_several_processes_at_once(self):
        clips = [clip(f"{n}.mp4", *moving(size="160x90", seconds=2), *tone(2, 300 + n), *H264) for n in range(3)]
        children = [self.start(file) for file in clips]
        for child in children:
            _, stderr = child.communicate(timeout=DEADLINE)
            self.assertEqual(child.returncode, 0, stderr)
        self.assertEqual(sorted(v["title"] for v in self.catalogue()), ["0", "1", "2"])


class Desks(PublishTest):
    def test_the_lock_is_not_fooled_by_a_discarded_folder(self):
        folders = Folders(self.out, self.out, self.out, self.out, self.out / "videos.json")
        with desk.Desk(folders, "v") as first:
            with self.assertRaises(desk.Busy), desk.Desk(folders, "v"):
                pass
            first.discard()
            with desk.Desk(folders, "v") as second:
                self.assertTrue(second.folder.is_dir())


def _alive(pid: int) -> bool:
    try:
        stat = Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] != "Z"


if __name__ == "__main__":
    unittest.main()
