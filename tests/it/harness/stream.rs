//! Two real HLS streams, made by FFmpeg once and shared by all tests.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::process::output;

/// Length of a stream in seconds.
pub const SECONDS: u32 = 8;

/// Puts the stream `name` (`a` or `b`, of different pictures) at `place`, for one installation.
pub fn link(place: &Path, name: &str) {
    let from = made().join(name);
    copy(&from, place);
}

/// The folder with both streams: H.264 and AAC, a master playlist over two renditions, segments of 2 s.
fn made() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("streams-v1");
    let lock = File::create(folder.with_extension("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !folder.exists() {
        let unfinished = folder.with_extension("unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        for (name, picture) in [("a", "testsrc2"), ("b", "smptebars")] {
            make(&unfinished.join(name), picture);
        }
        std::fs::rename(&unfinished, &folder).expect("the finished streams");
    }
    folder
}

fn make(folder: &Path, picture: &str) {
    std::fs::create_dir_all(folder).expect("a folder");
    let at = |name: &str| folder.join(name).to_str().expect("a plain path").to_owned();
    let picture = format!("{picture}=size=320x180:rate=25:duration={SECONDS}");
    let tone = format!("sine=frequency=440:duration={SECONDS}");
    output(
        "ffmpeg",
        &[
            "-nostdin",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &picture,
            "-f",
            "lavfi",
            "-i",
            &tone,
            "-filter_complex",
            "[0:v]split=2[v0][v1];[v1]scale=160:90[v2]",
            "-map",
            "[v0]",
            "-map",
            "1:a",
            "-map",
            "[v2]",
            "-map",
            "1:a",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "50",
            "-sc_threshold",
            "0",
            "-pix_fmt",
            "yuv420p",
            "-b:v:0",
            "300k",
            "-b:v:1",
            "100k",
            "-c:a",
            "aac",
            "-b:a",
            "64k",
            "-f",
            "hls",
            "-hls_time",
            "2",
            "-hls_playlist_type",
            "vod",
            "-hls_flags",
            "independent_segments",
            "-master_pl_name",
            "master.m3u8",
            "-var_stream_map",
            "v:0,a:0 v:1,a:1",
            "-hls_segment_filename",
            &at("v%v/seg%d.ts"),
            &at("v%v/index.m3u8"),
        ],
    );
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a stream") {
        let entry = entry.expect("a file");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("its type").is_dir() {
            true => copy(&entry.path(), &target),
            // Both lie in temporary folders that may be on different disks, so no links.
            false => drop(std::fs::copy(entry.path(), target).expect("copy a segment")),
        }
    }
}
