"""Chunks → segments and playlists, without encoding again.

Layout of a stream's folder:

    master.m3u8
    rev-3f9a2c41d07be83a/                    of its own for each time that the video is made: what is cached stays true
      720p/index.m3u8 init.mp4 00000.m4s …   one folder for each rendition (00000.ts … for TS)
      audio0/…                               one for each sound track
      captions/en.vtt  captions/en/…         whole for a page's <track>, in segments for HLS
      chapters.vtt  thumbnails/              for the page's player
      film.mp4                               with --download
      key                                    16 bytes, with --encrypt

Every URI is relative, so that a token in the path of the master playlist reaches everything else; only segments on a
CDN are named in full.
"""
import json
import os
import secrets
import shutil
from pathlib import Path

from . import aes, captions, chapters, ffmpeg, languages, playlist, storyboard, trickplay
from .captions import Captions
from .encode import audio_file, chunk_folder
from .plan import Plan
from .playlist import MasterPlaylist, MediaPlaylist, Segment, Variant
from .probe import Source
from .progress import Progress

AAC_LC = "mp4a.40.2"
REVISION_PREFIX = "rev-"
CHAPTERS, DOWNLOAD = "chapters.vtt", "film.mp4"
# Bits a second, sound included, that nearly every line has: the largest rendition within begins. Players go on from there
# by what they measure.
START_AVERAGE, START_PEAK = 700_000, 2_000_000
# The first segments are as short as the keyframes allow, one keyframe each, for a picture soon.
SHORT_SEGMENTS = 3
AUDIO_GROUP, CAPTIONS_GROUP = "audio", "captions"
# Where transport streams begin. They cannot hold times below zero, which frames have that are decoded before they
# are shown; 10 s is the usual room. `captions.TS_START_TICKS` is the same moment.
TS_START = captions.TS_START_TICKS / 90_000


def package(source: Source, plan: Plan, found: list[Captions], work: Path, progress: Progress) -> None:
    """Makes `work/stream`, and `work/segments` for a CDN. What an earlier run has finished is kept."""
    revision = _revision(work)
    stream = work / "stream" / revision
    stream.mkdir(parents=True, exist_ok=True)
    progress.stage("packaging", len(plan.renditions) + len(source.audio))
    key = _key(stream) if plan.encrypt else b""
    _extras(source, plan, work, stream)
    for n, rendition in enumerate(plan.renditions):
        if not (stream / rendition.name).is_dir():
            _package_video(plan, work, revision, rendition.name, key)
        # What is packaged is needed no longer; the empty chunk folders stay as a sign that they were made.
        for number in range(plan.chunks):
            (chunk_folder(work, number) / f"{rendition.name}.mp4").unlink(missing_ok=True)
        progress.part("renditions", n + 1)
    for n in range(len(source.audio)):
        name = f"audio{n}"
        if not (stream / name).is_dir():
            source_file = ["-f", "aac", "-i", str(audio_file(work, n))]
            bitstream = ["-bsf:a", "aac_adtstoasc"] if plan.container == "fmp4" else []
            _segment(plan, work, revision, name, source_file, bitstream, key, AAC_LC)
        progress.part("audio", n + 1)
    starts = playlist.parse_media((stream / plan.renditions[0].name / "index.m3u8").read_text()).starts()
    for track in found:
        _write_captions(plan, stream / "captions", track, starts)
    _write(work / "stream" / "master.m3u8", _master(source, plan, found, work, revision).render())


def _extras(source: Source, plan: Plan, work: Path, stream: Path) -> None:
    """What lies beside the playlists, under the gate: while the chunks are there that it is made of."""
    text = chapters.render(source.chapters, plan.seconds) if plan.extras else ""
    if text:
        _write(stream / CHAPTERS, text)
    if plan.extras and not (stream / storyboard.FOLDER).is_dir():
        smallest = min((r for r in plan.renditions if r.codec == "h264"), key=lambda r: r.width * r.height)
        storyboard.make(source, plan, _listing(plan, work, smallest.name), stream / storyboard.FOLDER)
    if plan.download and not (stream / DOWNLOAD).exists():
        _download(source, plan, work, stream / DOWNLOAD)


def _download(source: Source, plan: Plan, work: Path, file: Path) -> None:
    """The largest rendition with all languages of sound as one MP4 that can be watched while it is fetched."""
    largest = next(r for r in plan.renditions if r.codec == "h264")
    inputs, maps = ["-f", "concat", "-i", str(_listing(plan, work, largest.name))], ["-map", "0:v:0"]
    for n, track in enumerate(source.audio):
        inputs += ["-f", "aac", "-i", str(audio_file(work, n))]
        maps += ["-map", f"{n + 1}:a:0", f"-metadata:s:a:{n}", f"language={track.language}"]
    part = file.with_suffix(".part")
    ffmpeg.ffmpeg(["-v", "error", *inputs, *maps, "-c", "copy", *(["-bsf:a", "aac_adtstoasc"] if source.audio else []),
                   "-metadata", f"title={source.title}", "-movflags", "+faststart", "-f", "mp4", str(part)])
    part.rename(file)


def _revision(work: Path) -> str:
    """The folder's name for what is made now, kept over interruptions. Caches may hold for ever what lies under it."""
    mark = work / "revision"
    if not mark.exists():
        part = mark.with_suffix(".part")
        part.write_text(f"{REVISION_PREFIX}{secrets.token_hex(8)}")
        part.rename(mark)
    return mark.read_text()


def _key(stream: Path) -> bytes:
    """The video's key, made once. Of its own for each video: who pays for one can decrypt that one."""
    file = stream / "key"
    if not file.exists():
        part = stream / "key.part"
        part.write_bytes(secrets.token_bytes(aes.KEY_LENGTH))
        part.rename(file)
    return file.read_bytes()


def _package_video(plan: Plan, work: Path, revision: str, name: str, key: bytes) -> None:
    listing = _listing(plan, work, name)
    codec = codec_name(chunk_folder(work, 0) / f"{name}.mp4")
    _segment(plan, work, revision, name, ["-f", "concat", "-i", str(listing)], [], key, codec)
    listing.unlink()


def _listing(plan: Plan, work: Path, name: str) -> Path:
    """A rendition's chunks as one input, for FFmpeg's concat reader."""
    lines = ["ffconcat version 1.0"]
    for number in range(plan.chunks):
        # Relative to the list: a path with quotes or spaces never stands in it.
        lines.append(f"file 'chunks/{number:05}/{name}.mp4'")
        frames = plan.chunk_span(number)[1]
        lines.append(f"duration {float(frames / plan.rate):.6f}")
    listing = work / f"{name}.ffconcat"
    listing.write_text("\n".join(lines) + "\n")
    return listing


def _segment(plan: Plan, work: Path, revision: str, name: str, source: list[str], bitstream: list[str], key: bytes,
             codec: str) -> None:
    """Cuts one rendition, and gives its folder the final name when all of it is there."""
    part = work / "stream" / revision / f"{name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    extension = "m4s" if plan.container == "fmp4" else "ts"
    if plan.container == "fmp4":
        # Times below zero go into an edit list, where players look for them; shifted, the picture would lag the sound.
        timing = ["-avoid_negative_ts", "disabled"]
    else:
        timing = ["-output_ts_offset", f"{TS_START:g}", "-muxdelay", "0", "-muxpreload", "0"]
    # In its folder, for a % in the folder's path would count as the number's.
    ffmpeg.ffmpeg(["-v", "error", *source, "-map", "0:0", "-c", "copy", *bitstream, *timing,
                   "-f", "hls", "-hls_time", f"{plan.keyframe_seconds:.6f}", "-hls_playlist_type", "vod",
                   "-hls_segment_type", "fmp4" if plan.container == "fmp4" else "mpegts",
                   "-hls_segment_filename", f"%05d.{extension}", "index.m3u8"], folder=part)
    media = playlist.parse_media((part / "index.m3u8").read_text())
    pieces = _join(part, media, round(plan.segment_seconds / plan.keyframe_seconds))
    facts = _facts(part, media, codec)
    if codec.startswith("avc1.") and plan.container == "fmp4" and not key:
        iframes = trickplay.playlist_of(part, media, pieces)
        facts["iframes"] = trickplay.peak(iframes)
        _write(part / trickplay.NAME, iframes.render())
    if key:
        _encrypt(part, media, key)
    _place(plan, work, revision, name, part, media)
    (work / f"{name}.json").write_text(json.dumps(facts))
    part.rename(work / "stream" / revision / name)


def _join(folder: Path, media: MediaPlaylist, pieces: int) -> list[list[float]]:
    """The first pieces stay segments of their own; of the others each `pieces` become one. Both containers allow to append.

    Returns the seconds of each segment's pieces.
    """
    joined = [[segment] for segment in media.segments[:SHORT_SEGMENTS]]
    rest = media.segments[SHORT_SEGMENTS:]
    joined += [rest[n:n + pieces] for n in range(0, len(rest), pieces)]
    media.segments = []
    for number, parts in enumerate(joined):
        name = f"{number:05}{Path(parts[0].uri).suffix}"
        made = folder / "joined"
        with made.open("wb") as out:
            for piece in parts:
                with (folder / piece.uri).open("rb") as file:
                    shutil.copyfileobj(file, out)
                (folder / piece.uri).unlink()
        made.rename(folder / name)
        media.segments.append(Segment(name, sum(piece.seconds for piece in parts)))
    return [[piece.seconds for piece in parts] for parts in joined]


def _facts(folder: Path, media: MediaPlaylist, codec: str) -> dict:
    """What the master playlist says of a rendition, measured: bits a second at the peak and on average."""
    sizes = [(folder / segment.uri).stat().st_size * 8 for segment in media.segments]
    seconds = [max(segment.seconds, 0.001) for segment in media.segments]
    # A last segment of a few frames has a rate that says nothing about the line that is needed.
    whole = [(size, length) for size, length in zip(sizes, seconds) if length >= 0.5 * max(seconds)]
    average = round(sum(sizes) / sum(seconds))
    return {"codec": codec, "peak": max(average, *(round(size / length) for size, length in whole)), "average": average}


def _encrypt(folder: Path, media: MediaPlaylist, key: bytes) -> None:
    """Encrypts every segment in place. The IV is the segment's number, the one form that every player knows.

    Renditions share key and numbers. For CBC that tells a stranger no more than that two segments begin with the same
    blocks, which all segments do: their headers are known.
    """
    for number, segment in enumerate(media.segments):
        file = folder / segment.uri
        file.write_bytes(aes.encrypt(key, aes.sequence_iv(number), file.read_bytes()))
    media.key_uri = "../key"


def _place(plan: Plan, work: Path, revision: str, name: str, part: Path, media: MediaPlaylist) -> None:
    """Writes the playlist, and moves the segments to where the CDN is filled from."""
    media.version = playlist.VERSION_FMP4 if plan.container == "fmp4" else playlist.VERSION_TS
    if plan.segments_url:
        public = work / "segments" / revision / name
        shutil.rmtree(public, ignore_errors=True)
        public.mkdir(parents=True)
        for uri in [media.map_uri, *(segment.uri for segment in media.segments)]:
            if uri:
                (part / uri).rename(public / uri)
        prefix = f"{plan.segments_url}{revision}/{name}/"
        media.map_uri = prefix + media.map_uri if media.map_uri else ""
        for segment in media.segments:
            segment.uri = prefix + segment.uri
    _write(part / "index.m3u8", media.render())


def _write_captions(plan: Plan, folder: Path, track: Captions, starts: list[float]) -> None:
    """Captions stay under the gate in the clear, even where the segments are on a CDN: they are small."""
    cues = captions.clipped(track.cues, plan.seconds)
    own = folder / track.name
    own.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{track.name}.vtt", captions.render(cues))
    media = MediaPlaylist(version=playlist.VERSION_TS)
    for n, text in enumerate(captions.segments(cues, starts, plan.container)):
        _write(own / f"{n:05}.vtt", text)
        media.segments.append(Segment(f"{n:05}.vtt", starts[n + 1] - starts[n]))
    _write(own / "index.m3u8", media.render())


def _master(source: Source, plan: Plan, found: list[Captions], work: Path, revision: str) -> MasterPlaylist:
    master = MasterPlaylist(version=playlist.VERSION_FMP4 if plan.container == "fmp4" else playlist.VERSION_TS)
    sound = [json.loads((work / f"audio{n}.json").read_text()) for n in range(len(source.audio))]
    master.media = [entry | {"URI": f"{revision}/{entry['URI']}"} for entry in _audio_media(source) + _caption_media(found)]
    for rendition in plan.renditions:
        facts = json.loads((work / f"{rendition.name}.json").read_text())
        attributes = {
            "BANDWIDTH": str(facts["peak"] + max((s["peak"] for s in sound), default=0)),
            "AVERAGE-BANDWIDTH": str(facts["average"] + max((s["average"] for s in sound), default=0)),
            "RESOLUTION": f"{rendition.width}x{rendition.height}",
            "FRAME-RATE": f"{float(plan.rate):.3f}",
            "VIDEO-RANGE": "SDR",
            "CODECS": ",".join([facts["codec"], *([AAC_LC] if sound else [])]),
        }
        if sound:
            attributes["AUDIO"] = AUDIO_GROUP
        if found:
            attributes["SUBTITLES"] = CAPTIONS_GROUP
        if "iframes" in facts:
            master.iframes.append({"BANDWIDTH": str(facts["iframes"]), "RESOLUTION": attributes["RESOLUTION"], "CODECS": facts["codec"],
                                   "VIDEO-RANGE": "SDR", "URI": f"{revision}/{rendition.name}/{trickplay.NAME}"})
        # No captions in the pictures themselves: without this, players show a menu entry for them.
        attributes["CLOSED-CAPTIONS"] = "NONE"
        master.variants.append(Variant(f"{revision}/{rendition.name}/index.m3u8", attributes))
    master.variants = _starting_first(master.variants)
    return master


def _starting_first(variants: list[Variant]) -> list[Variant]:
    """Players begin with the variant that stands first: the largest that starts well on a slow line, then the largest down.

    H.264 comes first of all, which every player takes.
    """
    def starts_well(variant: Variant) -> bool:
        return (int(variant.attributes["AVERAGE-BANDWIDTH"]) <= START_AVERAGE
                and int(variant.attributes["BANDWIDTH"]) <= START_PEAK)
    everywhere = [variant for variant in variants if variant.attributes["CODECS"].startswith("avc1.")]
    first = next(filter(starts_well, everywhere), everywhere[-1])
    return [first, *(variant for variant in variants if variant is not first)]


def _audio_media(source: Source) -> list[dict[str, str]]:
    default = next((n for n, track in enumerate(source.audio) if track.default), 0)
    names: list[str] = []
    media = []
    for n, track in enumerate(source.audio):
        label = captions.unique(track.title or languages.label(track.language, "Original"), names)
        names.append(label)
        entry = {"TYPE": "AUDIO", "GROUP-ID": AUDIO_GROUP, "NAME": label}
        if track.language != languages.UNDETERMINED:
            entry["LANGUAGE"] = track.language
        entry |= {"DEFAULT": "YES" if n == default else "NO", "AUTOSELECT": "YES", "CHANNELS": "2",
                  "URI": f"audio{n}/index.m3u8"}
        media.append(entry)
    return media


def _caption_media(found: list[Captions]) -> list[dict[str, str]]:
    media = []
    for track in found:
        entry = {"TYPE": "SUBTITLES", "GROUP-ID": CAPTIONS_GROUP, "NAME": track.label}
        if track.language != languages.UNDETERMINED:
            entry["LANGUAGE"] = track.language
        entry |= {"DEFAULT": "NO", "AUTOSELECT": "YES", "FORCED": "YES" if track.forced else "NO",
                  "URI": f"captions/{track.name}/index.m3u8"}
        media.append(entry)
    return media


def codec_name(file: Path) -> str:
    """What CODECS says, from an MP4's decoder configuration.

    `avc1.64001F`: profile, constraints and level (RFC 6381 section 3.3). `av01.0.04M.08`: profile, level, tier and depth
    (AV1 Codec ISO Media File Format Binding, section 5).
    """
    data = file.read_bytes()
    at = data.rfind(b"avcC")
    if at >= 0:
        return "avc1." + data[at + 5:at + 8].hex().upper()
    at = data.rfind(b"av1C")
    if at < 0:
        raise ffmpeg.ToolFailed("ffmpeg", f"{file.name} has no H.264 or AV1 configuration")
    first, second = data[at + 5], data[at + 6]
    tier, depth = "H" if second & 0x80 else "M", "10" if second & 0x40 else "08"
    return f"av01.{first >> 5}.{first & 31:02}{tier}.{depth}"


def _write(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)
