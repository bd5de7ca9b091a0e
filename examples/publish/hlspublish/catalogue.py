"""The site's `videos.json`: what the pages list.

    {"videos": [{"id", "title", "description"?, "poster", "duration", "width", "height",
                 "captions": [{"lang", "label", "src"}]?, "chapters"?, "thumbnails"?, "download"?, "preview"?}]}

`duration` in seconds. Everything but the words is read back from the published files, so an entry can be made anew at
any time. Other entries, and members that we do not know, are kept as they are.
"""
import fcntl
import json
import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import playlist
from .errors import Later


@dataclass(frozen=True)
class Folders:
    """Where published things lie, and under which URLs nginx serves them."""

    streams: Path
    posters: Path
    previews: Path
    segments: Path
    catalogue: Path
    streams_url: str = "/hls"
    posters_url: str = "/posters"
    previews_url: str = "/previews"

    def stream(self, video: str) -> Path:
        return self.streams / video

    def poster(self, video: str) -> Path:
        return self.posters / f"{video}.jpg"

    def preview(self, video: str) -> Path:
        return self.previews / video


def entry(folders: Folders, video: str, title: str, description: str = "") -> dict:
    """The entry of a published video."""
    stream = folders.stream(video)
    master = playlist.parse_master((stream / "master.m3u8").read_text(encoding="utf-8"))
    sizes = {tuple(map(int, v.attributes["RESOLUTION"].split("x"))): v for v in master.variants}
    (width, height), largest = max(sizes.items(), key=lambda item: item[0])
    media = playlist.parse_media((stream / largest.uri).read_text(encoding="utf-8"))
    made = {"id": video, "title": title}
    if description:
        made["description"] = description
    # The revision in the address: a poster that was made anew is not the cached one.
    revision = largest.uri.partition("/")[0]
    made |= {"poster": f"{folders.posters_url}/{video}.jpg?{revision}", "duration": round(media.starts()[-1], 3),
             "width": width, "height": height}
    captions = [
        {"lang": m.get("LANGUAGE", "und"), "label": m["NAME"],
         "src": f"{folders.streams_url}/{video}/{m['URI'].removesuffix('/index.m3u8')}.vtt"}
        for m in master.media if m.get("TYPE") == "SUBTITLES"
    ]
    if captions:
        made["captions"] = captions
    for member, name in (("chapters", "chapters.vtt"), ("thumbnails", "thumbnails/index.vtt"), ("download", "film.mp4")):
        if (stream / revision / name).is_file():
            made[member] = f"{folders.streams_url}/{video}/{revision}/{name}"
    if (folders.preview(video) / "master.m3u8").is_file():
        made["preview"] = f"{folders.previews_url}/{video}/master.m3u8"
    return made


def find(file: Path, video: str) -> dict | None:
    return next((known for known in _read(file)["videos"] if known.get("id") == video), None)


def add(file: Path, new: dict) -> None:
    """Adds an entry, or renews the one with the same id where it stands. Readers see the old file or the new one."""
    with _locked(file):
        catalogue = _read(file)
        for n, known in enumerate(catalogue["videos"]):
            if known.get("id") == new["id"]:
                ours = {"description", "captions", "preview", "chapters", "thumbnails", "download"}
                catalogue["videos"][n] = {k: v for k, v in known.items() if k not in ours} | new
                break
        else:
            catalogue["videos"].append(new)
        _write(file, catalogue)


def check_readable(file: Path) -> None:
    """Finds out before hours of encoding that the entry could not be added. Errors: `Later`."""
    _read(file)


def _read(file: Path) -> dict:
    try:
        catalogue = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"videos": []}
    except (OSError, ValueError) as error:
        raise Later(f"{file} cannot be read: {error}", "repair it, or move it away to begin a new one") from error
    if not isinstance(catalogue, dict) or not isinstance(catalogue.get("videos"), list) \
            or not all(isinstance(known, dict) for known in catalogue["videos"]):
        raise Later(f'{file} is no catalogue: {{"videos": [...]}} was expected', "repair it, or move it away")
    return catalogue


@contextmanager
def _locked(file: Path):
    # A lock file of its own, which is never replaced: a lock on the catalogue would be on the version that goes away.
    file.parent.mkdir(parents=True, exist_ok=True)
    with (file.parent / f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(file: Path, catalogue: dict) -> None:
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o666 & ~_umask()
    descriptor, part = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(catalogue, out, ensure_ascii=False, indent=2)
            out.write("\n")
            out.flush()
            os.fchmod(out.fileno(), mode)
            os.fsync(out.fileno())
        os.replace(part, file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _umask() -> int:
    value = os.umask(0o022)
    os.umask(value)
    return value
