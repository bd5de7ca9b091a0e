"""The conformity check: what a stream must be before it is shown, and what `--check` tells about one.

It looks at the playlists, at the files, and, through ffprobe, at every packet. Each finding is one line that says where,
what is wrong, and what was expected.
"""
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from . import aes, ffmpeg, package, playlist, rules, storyboard
from .playlist import BadPlaylist, MasterPlaylist, MediaPlaylist
from .rules import Measured

# EXTINF has microseconds and a transport stream counts in 1/90000 s.
EXACT = 0.001
# Sound is cut between its own frames (1024 samples, 21 ms at 48 kHz).
AUDIO_FRAME = 0.05
COLOUR_NAMES = ("color_range", "color_space", "color_transfer", "color_primaries")


@dataclass
class _Rendition:
    name: str  # its playlist's path in the folder
    kind: str  # video, audio, captions
    media: MediaPlaylist
    files: list[Path] = field(default_factory=list)  # the initialisation first, if there is one
    key_file: Path | None = None
    keyframe_distance: float = 0.0  # seconds, the longest


class _Packet(NamedTuple):
    decoded: float  # seconds
    shown: float
    key: bool


class Check:
    """One look at one stream. `problems` is empty when it conforms.

    - `segments_url`, `segments_folder`: where segments on a CDN are named, and the folder they are filled from.
    """

    def __init__(self, folder: Path, segments_url: str = "", segments_folder: Path | None = None) -> None:
        self.folder = folder.resolve()
        self.segments_url = segments_url
        self.segments_folder = segments_folder.resolve() if segments_folder else None
        self.problems: list[str] = []
        self.named: set[Path] = set()
        self.seconds = 0.0
        # Filled when there is no problem: the rates that were measured, and the rules of Apple's that are not held.
        self.measured: list[Measured] = []
        self.unheld: list[str] = []

    def run(self) -> list[str]:
        master_file = self.folder / "master.m3u8"
        try:
            master = playlist.parse_master(master_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ["master.m3u8: there is no such file, and every stream begins with it"]
        except (BadPlaylist, UnicodeDecodeError) as error:
            return [f"master.m3u8: {error}"]
        self.named.add(master_file)
        videos = self._renditions("video", [variant.uri for variant in master.variants])
        audio = self._renditions("audio", self._media_uris(master, "AUDIO"))
        texts = self._renditions("captions", self._media_uris(master, "SUBTITLES"))
        if len(videos) == len(master.variants):
            self._boundaries(videos, audio, texts)
        self._groups(master)
        for rendition in [*videos, *audio]:
            self._packets(rendition, master)
        for iframes in master.iframes:
            self._iframes(iframes)
        if not self.problems:
            self._bandwidths(master, videos, audio)
            self.measured = _measure(videos, audio)
            self.unheld = rules.unheld(master, self.measured)
        self._strays()
        return self.problems

    def _say(self, where: str, what: str) -> None:
        self.problems.append(f"{where}: {what}")

    def _media_uris(self, master: MasterPlaylist, kind: str) -> list[str]:
        return [media["URI"] for media in master.media if media.get("TYPE") == kind and "URI" in media]

    def _renditions(self, kind: str, uris: list[str]) -> list[_Rendition]:
        read = (self._rendition(kind, uri) for uri in dict.fromkeys(uris))
        return [rendition for rendition in read if rendition is not None]

    def _rendition(self, kind: str, uri: str) -> _Rendition | None:
        file = self._file("master.m3u8", self.folder, uri)
        if file is None:
            return None
        try:
            media = playlist.parse_media(file.read_text(encoding="utf-8"))
        except (BadPlaylist, UnicodeDecodeError) as error:
            self._say(uri, str(error))
            return None
        rendition = _Rendition(uri, kind, media)
        if not media.ended:
            self._say(uri, "EXT-X-ENDLIST is missing, so players would take it for a live stream")
        if media.discontinuous:
            self._say(uri, "it has an EXT-X-DISCONTINUITY, and one film has none")
        longest = media.right_target()
        if media.target != longest:
            self._say(uri, f"EXT-X-TARGETDURATION is {media.target}, and the longest segment asks for {longest}")
        names = [*([media.map_uri] if media.map_uri else []), *(segment.uri for segment in media.segments)]
        files = [self._file(uri, file.parent, name) for name in names]
        if None in files:
            return None
        rendition.files = files
        return rendition if self._key(rendition, file.parent) else None

    def _file(self, where: str, base: Path, uri: str) -> Path | None:
        """The file a URI names, or None after saying what is wrong with it."""
        if self.segments_url and uri.startswith(self.segments_url) and self.segments_folder is not None:
            root, path = self.segments_folder, self.segments_folder / unquote(uri[len(self.segments_url):])
        elif "://" in uri or uri.startswith("/"):
            self._say(where, f"{uri} is not relative, so a token in the path would not reach it"
                             " (for segments on a CDN, give --segments-url and --segments)")
            return None
        else:
            root, path = self.folder, base / unquote(uri.partition("?")[0])
        path = path.resolve()
        if not path.is_relative_to(root):
            self._say(where, f"{uri} leads out of the stream's folder")
        elif not path.is_file():
            self._say(where, f"{uri} is named, and there is no such file")
        elif path.stat().st_size == 0:
            self._say(where, f"{uri} is empty")
        else:
            self.named.add(path)
            return path
        return None

    def _key(self, rendition: _Rendition, base: Path) -> bool:
        media = rendition.media
        if not media.key_method or media.key_method == "NONE":
            return True
        if media.key_method != "AES-128":
            self._say(rendition.name, f"its encryption is {media.key_method}, and AES-128 was expected")
            return False
        file = self._file(rendition.name, base, media.key_uri)
        if file is not None and file.stat().st_size != aes.KEY_LENGTH:
            self._say(rendition.name, f"the key has {file.stat().st_size} bytes, and an AES-128 key has {aes.KEY_LENGTH}")
            return False
        rendition.key_file = file
        return file is not None

    def _boundaries(self, videos: list[_Rendition], audio: list[_Rendition], texts: list[_Rendition]) -> None:
        first = videos[0]
        expected = first.media.starts()
        self.seconds = expected[-1]
        for rendition in [*videos[1:], *audio, *texts]:
            starts = rendition.media.starts()
            slack = AUDIO_FRAME if rendition.kind == "audio" else EXACT * len(starts)
            # Sound need not reach into a last segment that is shorter than one of its frames.
            extra = [s.seconds for s in first.media.segments[len(starts) - 1:]]
            if len(starts) > len(expected) or any(seconds > slack for seconds in extra):
                self._say(rendition.name, f"it has {len(starts) - 1} segments, and {first.name} has {len(expected) - 1}")
                continue
            for n, (mine, theirs) in enumerate(zip(starts, expected)):
                if abs(mine - theirs) > slack:
                    self._say(rendition.name, f"segment {n} begins at {mine:.3f} s, and in {first.name} at {theirs:.3f} s")
                    break

    def _groups(self, master: MasterPlaylist) -> None:
        for variant in master.variants:
            for kind, attribute in (("AUDIO", "AUDIO"), ("SUBTITLES", "SUBTITLES")):
                group = variant.attributes.get(attribute)
                if group and not any(m.get("TYPE") == kind and m.get("GROUP-ID") == group for m in master.media):
                    self._say("master.m3u8", f"{variant.uri} asks for the {kind} group {group}, which is not there")
            for needed in ("BANDWIDTH", "CODECS", "RESOLUTION"):
                if needed not in variant.attributes:
                    self._say("master.m3u8", f"{variant.uri} has no {needed}")

    def _packets(self, rendition: _Rendition, master: MasterPlaylist) -> None:
        """Reads the rendition as a player would and compares times, keyframes and sizes with the playlists."""
        try:
            stream, packets = _read(rendition)
        except ffmpeg.ToolFailed as error:
            self._say(rendition.name, f"ffprobe cannot read it: {error.last_line}")
            return
        wanted = {"video": ("h264", "av1"), "audio": ("aac",)}[rendition.kind]
        if stream.get("codec_name") not in wanted or not packets:
            self._say(rendition.name, f"ffprobe finds {stream.get('codec_name', 'nothing')} in it, and {' or '.join(wanted)} was expected")
            return
        if any(after.decoded <= before.decoded for before, after in zip(packets, packets[1:])):
            self._say(rendition.name, "its segments are not in the order of their times")
            return
        packets.sort(key=lambda packet: packet.shown)
        begin, step = packets[0].shown, _median([b.shown - a.shown for a, b in zip(packets, packets[1:])])
        for before, after in zip(packets, packets[1:]):
            if not 0.5 * step < after.shown - before.shown < 1.5 * step:
                self._say(rendition.name, f"there is a gap or a repetition at {before.shown - begin:.3f} s")
                return
        length, promised = packets[-1].shown - begin + step, rendition.media.starts()[-1]
        if abs(length - promised) > max(1.5 * step, AUDIO_FRAME if rendition.kind == "audio" else 0):
            self._say(rendition.name, f"it lasts {length:.3f} s, and its playlist says {promised:.3f} s")
        if rendition.kind == "video":
            self._keyframes(rendition, [packet.shown - begin for packet in packets if packet.key], step)
            self._size(rendition, stream, master)
            self._named_colours(rendition, stream)

    def _keyframes(self, rendition: _Rendition, keyframes: list[float], step: float) -> None:
        ends = [*keyframes[1:], rendition.media.starts()[-1]]
        rendition.keyframe_distance = max((after - before for before, after in zip(keyframes, ends)), default=0.0)
        at = 0
        for n, start in enumerate(rendition.media.starts()[:-1]):
            while at < len(keyframes) and keyframes[at] < start - step / 2:
                at += 1
            if at == len(keyframes) or abs(keyframes[at] - start) > step / 2:
                self._say(rendition.name, f"segment {n} does not begin with a keyframe at {start:.3f} s")
                return

    def _named_colours(self, rendition: _Rendition, stream: dict) -> None:
        unnamed = [name for name in COLOUR_NAMES if stream.get(name, "unknown") in ("unknown", "N/A", "unspecified")]
        if unnamed:
            self._say(rendition.name, f"it does not name its {', '.join(unnamed)}, so each player assumes colours of its own;"
                                      " `publish --again` makes it anew")

    def _size(self, rendition: _Rendition, stream: dict, master: MasterPlaylist) -> None:
        size = f"{stream.get('width')}x{stream.get('height')}"
        for variant in master.variants:
            said = variant.attributes.get("RESOLUTION", size)
            if variant.uri == rendition.name and said != size:
                self._say(rendition.name, f"its pictures are {size}, and the master playlist says {said}")

    def _bandwidths(self, master: MasterPlaylist, videos: list[_Rendition], audio: list[_Rendition]) -> None:
        sound = max((_peak(rendition) for rendition in audio), default=0)
        for variant, rendition in zip(master.variants, videos):
            needed, said = _peak(rendition) + sound, variant.attributes.get("BANDWIDTH", "")
            # A block of padding for each encrypted segment is in the files and not in the measured rate.
            if not said.isdecimal() or int(said) < needed * 0.99:
                self._say("master.m3u8", f"{variant.uri} has BANDWIDTH {said}, and its largest segments need {needed}")

    def _iframes(self, said: dict[str, str]) -> None:
        """Each range of an I-frame playlist begins with a fragment of the file and ends within it."""
        uri = said.get("URI", "")
        file = self._file("master.m3u8", self.folder, uri)
        if file is None:
            return
        try:
            media = playlist.parse_media(file.read_text(encoding="utf-8"))
        except (BadPlaylist, UnicodeDecodeError) as error:
            self._say(uri, str(error))
            return
        if not media.iframes_only:
            self._say(uri, "EXT-X-I-FRAMES-ONLY is missing, so players would take its pictures for the film")
        for segment in media.segments:
            part = self._file(uri, file.parent, segment.uri)
            if part is None:
                return
            size, start = segment.range
            with part.open("rb") as data:
                data.seek(start)
                head = data.read(8)
            if not size or head[4:] != b"moof" or start + size > part.stat().st_size:
                self._say(uri, f"{size} bytes at {start} of {segment.uri} are no keyframe's")
                return

    def _strays(self) -> None:
        """A file that nothing names is half-made, left over, or in the wrong place.

        Not so captions, chapters, thumbnails and the download, which are for the page, and the revision before, which is for who is watching it.
        """
        roots = [self.folder] + ([self.segments_folder] if self.segments_folder else [])
        for root in roots:
            for file in sorted(root.rglob("*")):
                for_the_page = (file.parent.name == "captions" and file.suffix == ".vtt" or file.parent.name == storyboard.FOLDER
                                or file.name in (package.CHAPTERS, package.DOWNLOAD))
                first = file.relative_to(root).parts[0]
                earlier = first.startswith(package.REVISION_PREFIX) and not any(name.is_relative_to(root / first) for name in self.named)
                if file.is_file() and file.resolve() not in self.named and not for_the_page and not earlier:
                    self._say(str(file.relative_to(root)), "no playlist names this file")


def _read(rendition: _Rendition) -> tuple[dict, list[_Packet]]:
    """ffprobe's view: the stream, and every packet as it comes. Reads by local paths, wherever URLs point."""
    files = list(rendition.files)
    media = rendition.media
    local = MediaPlaylist(version=playlist.VERSION_FMP4, sequence=media.sequence)
    with tempfile.TemporaryDirectory(prefix="hlspublish-check.") as folder:
        # Links with plain names: a path may hold characters that mean something in a playlist.
        def link(file: Path, name: str) -> str:
            (Path(folder) / name).symlink_to(file)
            return name
        if media.map_uri:
            local.map_uri = link(files.pop(0), "init.mp4")
        suffix = files[0].suffix
        local.segments = [playlist.Segment(link(file, f"{n}{suffix}"), segment.seconds)
                          for n, (file, segment) in enumerate(zip(files, media.segments))]
        if rendition.key_file is not None:
            local.key_uri = link(rendition.key_file, "key")
        listing = Path(folder) / "index.m3u8"
        listing.write_text(local.render())
        stream, packets = {}, []
        for line in ffmpeg.ffprobe_lines([
                "-select_streams", "0", "-show_entries", "stream=codec_name,width,height,color_range,color_space,color_transfer,color_primaries:packet=pts_time,dts_time,flags",
                "-of", "compact", "-protocol_whitelist", "file,crypto", "-allowed_extensions", "ALL", "-i", str(listing)]):
            kind, *pairs = line.strip().split("|")
            fields = dict(pair.partition("=")[::2] for pair in pairs)
            if kind == "packet":
                try:
                    packets.append(_Packet(float(fields["dts_time"]), float(fields["pts_time"]), "K" in fields["flags"]))
                except (KeyError, ValueError):  # a packet without times counts as one that is missing
                    continue
            elif kind == "stream" and not stream:
                stream = fields
    return stream, packets


def _measure(videos: list[_Rendition], audio: list[_Rendition]) -> list[Measured]:
    loudest = max(map(_peak, audio), default=0), max(map(_average, audio), default=0)
    return [Measured(video.name, _peak(video) + loudest[0], _average(video) + loudest[1], video.media.target, video.keyframe_distance)
            for video in videos]


def _average(rendition: _Rendition) -> int:
    files = rendition.files[-len(rendition.media.segments):]
    return round(sum(file.stat().st_size for file in files) * 8 / max(0.001, rendition.media.starts()[-1]))


def _peak(rendition: _Rendition) -> int:
    files = rendition.files[-len(rendition.media.segments):]
    longest = max(segment.seconds for segment in rendition.media.segments)
    return round(max(file.stat().st_size * 8 / segment.seconds
                     for file, segment in zip(files, rendition.media.segments) if segment.seconds >= longest / 2))


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0
