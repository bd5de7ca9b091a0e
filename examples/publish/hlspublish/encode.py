"""Chunks of video and tracks of sound, each made once and kept across interruptions.

The pictures are cut into chunks of whole segments (a minute by default). One FFmpeg reads a chunk's span once and
encodes it in all sizes; a chunk counts only when its folder has its final name. Frames stand on a fixed grid of
`frame / rate` seconds, so chunks made on different days join without a seam: same number of frames, same keyframes.

Layout under the work folder: `chunks/0000/720p.mp4`, `audio/0.aac`, `audio/0.json` (measured loudness).
"""
import concurrent.futures
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from . import colour, ffmpeg, filters, ladder
from .damage import Tally, sound_problem
from .errors import Refused
from .plan import Plan
from .probe import AudioTrack, Source
from .progress import Progress

# Chosen by VMAF: two steps less cost a fifth more bytes for less than a viewer sees.
CRF = 23
# SVT-AV1's, for the same VMAF with about two thirds of the bytes; and its presets that take about as long as x264's.
AV1_CRF = 35
AV1_PRESET = 8
AV1_PRESETS = {"ultrafast": 12, "superfast": 12, "veryfast": 11, "faster": 10, "fast": 9, "slow": 6, "slower": 5, "veryslow": 4}
# EBU R 128 speaks of -23 LUFS for television; -16 is what streaming and mobile players commonly aim at.
LOUDNESS = "I=-16:TP=-1.5:LRA=11"
SAMPLE_RATE = 48000
# ITU-R BS.775's sum of 5.1 channels is up to 7.7 dB above full scale; what is above it after this the limiter takes.
DOWNMIX_GAIN = "-3dB"
# At four times the rate, as BS.1770 measures true peaks; 2 dB below full scale, of which AAC needs some.
LIMITER = [f"aresample={4 * SAMPLE_RATE}", "alimiter=level=false:limit=0.794:attack=5:release=100:latency=true", f"aresample={SAMPLE_RATE}"]
# An AAC encoder puts one frame of silence in front. We leave out as much of the sound's beginning, so that the rest
# is in time without an edit list, which not every player reads.
AAC_PRIMING = 1024
# Compared with a frame of video, what a frame's worth of sound costs, for the progress bar.
AUDIO_SHARE = 0.05


def encode(source: Source, plan: Plan, work: Path, jobs: int, progress: Progress) -> None:
    """Makes what is missing, with at most `jobs` FFmpeg processes at a time."""
    chunks = [n for n in range(plan.chunks) if not chunk_folder(work, n).is_dir()]
    tracks = [n for n in range(len(source.audio)) if not audio_file(work, n).exists()]
    weight = plan.frames * AUDIO_SHARE
    todo = sum(plan.chunk_span(n)[1] for n in chunks) + len(tracks) * weight
    total = plan.frames + len(source.audio) * weight
    progress.stage("encoding", total, total - todo)
    (work / "chunks").mkdir(exist_ok=True)
    (work / "audio").mkdir(exist_ok=True)

    def video(number: int) -> None:
        make_chunk(source, plan, work, number, lambda frames: progress.part(("video", number), frames), progress.say)

    def sound(number: int) -> None:
        def report(share: float) -> None:
            progress.part(("audio", number), share * weight)
        make_audio(source, plan, work, number, report, progress.say)

    _bounded([lambda n=n: sound(n) for n in tracks] + [lambda n=n: video(n) for n in chunks], jobs)


def chunk_folder(work: Path, number: int) -> Path:
    return work / "chunks" / f"{number:05}"


def audio_file(work: Path, number: int) -> Path:
    return work / "audio" / f"{number}.aac"


def make_chunk(source: Source, plan: Plan, work: Path, number: int, report: Callable[[int], None],
               say: Callable[[str], None]) -> None:
    start, frames = plan.chunk_span(number)
    final = chunk_folder(work, number)
    part = final.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    tally, begins = Tally(), [source.pictures.reading_start(start)]
    if plan.accept_damage:
        # A span without any picture shows the last one before it, wherever that is.
        begins += [source.pictures.reading_start(start - plan.seconds / 10), 0.0]
    for begin in begins:
        try:
            ffmpeg.ffmpeg(_chunk_arguments(source, plan, part, begin, start, frames), lambda done, _seconds: report(min(done, frames)),
                          on_line=tally.take)
            break
        except ffmpeg.ToolFailed as error:
            if begin > 0 and begin != begins[-1]:
                continue
            raise Refused(f"FFmpeg cannot decode or encode it from second {start:.0f} on: {error.last_line}",
                          "play the file in a player around that place; if it breaks there too, export it again") from error
    for rendition in plan.renditions:
        _whole_chunk(part / f"{rendition.name}.mp4", frames, start)
    _bear(tally.problem(source.pictures, start, start + float(frames / plan.rate)), plan, say)
    _sync_folder(part)
    part.rename(final)
    report(frames)


def _chunk_arguments(source: Source, plan: Plan, part: Path, begin: float, start: float, frames: int) -> list[str]:
    # Reading begins at a keyframe before the span, however far back that is; the frame grid drops what comes too early.
    # FFmpeg's own exact seek would drop by a time that is not on the grid.
    seek = ["-noaccurate_seek", "-ss", f"{max(0.0, begin + source.seek_offset):.6f}"] if begin > 0 else []
    arguments = ["-v", "level+info", *seek, "-copyts", "-start_at_zero", *source.video_input(),
                 "-filter_complex", filters.ladder_graph(source, list(plan.renditions), start)]
    for n, rendition in enumerate(plan.renditions):
        arguments += ["-map", f"[v{n}]", "-frames:v", str(frames), *_video_options(plan, rendition),
                      *colour.options(source.colours), "-output_ts_offset", f"-{start:.6f}", "-f", "mp4",
                      str(part / f"{rendition.name}.mp4")]
    return arguments


def _bear(problem: str, plan: Plan, say: Callable[[str], None]) -> None:
    """Damage is refused, or borne with a word by whoever asked for that."""
    if problem and not plan.accept_damage:
        raise Refused(f"the file is damaged: {problem}",
                      "copy it or export it again; --accept-damage publishes it as it is, with stills and gaps")
    if problem:
        say(f"damaged: {problem}")


def _video_options(plan: Plan, rendition: ladder.Rendition) -> list[str]:
    interval = str(ladder.keyframe_interval(plan.rate))
    # Constant and known ticks, so that chunks join; nothing of the source's words.
    common = ["-video_track_timescale", str(plan.rate.numerator * (1 if plan.rate.numerator >= 1000 else 1000)),
              "-map_metadata", "-1", "-map_chapters", "-1"]
    if rendition.codec == "av1":
        return ["-c:v", "libsvtav1", "-preset", str(AV1_PRESETS.get(plan.preset, AV1_PRESET)), "-crf", str(AV1_CRF),
                "-maxrate", f"{rendition.peak_kbit}k", "-bufsize", f"{rendition.peak_kbit * 2}k", "-g", interval,
                # Every keyframe can be begun with; scene changes make none, or the segments of the sizes would not agree.
                "-svtav1-params", "irefresh-type=2:scd=0", *common]
    peak_kbit = rendition.peak_kbit
    return [
        "-c:v", "libx264", "-profile:v", "high", "-preset", plan.preset,
        "-crf", str(CRF), "-maxrate", f"{peak_kbit}k", "-bufsize", f"{peak_kbit * 2}k",
        # Keyframes exactly on the grid and nowhere else, or segments of different renditions would not agree.
        "-g", interval, "-keyint_min", interval, "-sc_threshold", "0",
        # Same headers in every chunk, whatever it shows: they are joined without encoding again.
        "-x264-params", "stitchable=1",
        *common,
    ]


def _whole_chunk(file: Path, frames: int, start: float) -> None:
    answer = ffmpeg.ffprobe_json(["-show_entries", "stream=nb_frames", str(file)])
    made = int(answer["streams"][0].get("nb_frames", 0)) if answer.get("streams") else 0
    if made != frames:
        raise Refused(f"its pictures break off at second {start:.0f}: {made} of {frames} frames could be decoded there",
                      "the file is damaged; copy it or export it again")


def make_audio(source: Source, plan: Plan, work: Path, number: int, report: Callable[[float], None],
               say: Callable[[str], None]) -> None:
    track, final = source.audio[number], audio_file(work, number)
    part = final.with_suffix(".part")
    steps = [f"aresample={SAMPLE_RATE}:async=1000:first_pts=0", *stereo(track.channels)]
    if plan.loudness:
        gain = _loudness_filter(source, track, steps, final.with_suffix(".json"), lambda done: report(done * 0.4))
        # loudnorm works at 192 kHz inside and says so at its end.
        steps += [gain, f"aresample={SAMPLE_RATE}"] if gain else []
    first = AAC_PRIMING / SAMPLE_RATE
    steps.append(f"apad,atrim=start={first:.9f}:end={plan.seconds:.6f},asetpts=PTS-STARTPTS")
    arguments = ["-v", "error", "-copyts", "-start_at_zero", *ffmpeg.media_input(source.path),
                 "-map", f"0:{track.index}", "-af", ",".join(steps),
                 "-c:a", "aac", "-b:a", f"{ladder.AUDIO_KBIT}k", "-f", "adts", str(part)]
    base = 0.4 if plan.loudness else 0.0
    tally = Tally()
    try:
        ffmpeg.ffmpeg(arguments, lambda _frames, at: report(base + (1 - base) * min(1.0, at / plan.seconds)), on_line=tally.take)
    except ffmpeg.ToolFailed as error:
        raise Refused(f"its sound cannot be decoded: {error.last_line}", "export the file with AAC sound") from error
    _bear(sound_problem(tally, track.packets), plan, say)
    _sync(part)
    part.rename(final)
    report(1.0)


def stereo(channels: int) -> list[str]:
    """Filters that make stereo of a track without loss of level, and without clipping."""
    if channels == 1:
        # Both speakers get the whole: FFmpeg's own way would halve its power.
        return ["pan=stereo|c0=c0|c1=c0"]
    if channels <= 2:
        return ["aformat=channel_layouts=stereo"]
    # Floating point, in which the sum of the channels may pass full scale until the limiter has seen it, between samples too.
    return ["aformat=sample_fmts=fltp", f"volume={DOWNMIX_GAIN}", "aformat=sample_fmts=fltp:channel_layouts=stereo", *LIMITER]


def _loudness_filter(source: Source, track: AudioTrack, steps: list[str], memo: Path,
                     report: Callable[[float], None]) -> str:
    """The second pass of EBU R 128 normalisation; "" for a silent track, which no gain can help.

    The first pass measures the whole track, a preview's too: what is free must not be louder than what is paid for.
    """
    if memo.exists():
        measured = json.loads(memo.read_text())
    else:
        stderr = ffmpeg.ffmpeg(
            ["-v", "info", "-copyts", "-start_at_zero", *ffmpeg.media_input(source.path), "-map", f"0:{track.index}",
             "-af", ",".join([*steps, f"loudnorm={LOUDNESS}:print_format=json"]), "-f", "null", "-"],
            lambda _frames, at: report(min(1.0, at / source.duration)))
        measured = json.loads(stderr[stderr.rindex("{"):stderr.rindex("}") + 1])
        memo.write_text(json.dumps(measured))
    if "inf" in measured["input_i"] or float(measured["input_i"]) < -69:
        return ""
    # The filter takes no measure above full scale.
    measured["input_i"] = min(0.0, float(measured["input_i"]))
    return (f"loudnorm={LOUDNESS}:linear=true:measured_I={measured['input_i']}:measured_TP={measured['input_tp']}"
            f":measured_LRA={measured['input_lra']}:measured_thresh={measured['input_thresh']}"
            f":offset={measured['target_offset']}")


def _bounded(tasks: list[Callable[[], None]], jobs: int) -> None:
    """Runs the tasks on `jobs` threads. The first failure, or an interruption, ends the others."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
            failed = [f.exception() for f in futures if f.done() and not f.cancelled() and f.exception()]
            if failed:
                raise next((error for error in failed if not isinstance(error, ffmpeg.Stopped)), failed[0])
        except BaseException:
            ffmpeg.stop_all()
            pool.shutdown(wait=True, cancel_futures=True)
            ffmpeg.allow_children()
            raise


def _sync_folder(folder: Path) -> None:
    for file in folder.iterdir():
        _sync(file)
    _sync(folder)


def _sync(path: Path) -> None:
    """To the disk before it gets its final name, or a power cut could leave a finished name with nothing in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
