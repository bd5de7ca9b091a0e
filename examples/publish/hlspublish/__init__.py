"""Publishing worker: a video file becomes an HLS stream that nginx serves behind the gate.

Rooms, in the order a video walks through them:

- `cli`        arguments, exit codes, what a person reads
- `watch`      a folder as a letter-box: settled files in, done and refused files out
- `publish`    one file from start to end
- `probe`      ffprobe's answer as a `Source`, or the reason why it is refused
- `structure`  is the file all there? (MP4, Matroska and AVI say how long they ought to be)
- `timing`     pure: when pictures are shown → the frame rate, and where to begin reading
- `sample`     a look at some decoded pictures: interlaced?
- `damage`     what could not be decoded, from FFmpeg's log
- `ladder`     pure: source size and rate → renditions, segment length, disk space
- `colour`     pure: what a source's numbers mean, and the filters that turn them into what every player knows
- `filters`    pure: the FFmpeg filter text for rotation, interlacing, frame rate, sizes
- `encode`     chunks of video and tracks of sound, each made once and kept across interruptions
- `charset`    which letters a caption file is written in
- `captions`   text subtitles → WebVTT, whole and in segments
- `chapters`   chapters → WebVTT; `storyboard` makes the seek bar's thumbnails
- `package`    chunks → segments and playlists; `aes` encrypts, `playlist` reads and writes M3U8
- `trickplay`  I-frame playlists, for pictures while somebody winds
- `poster`     one picture
- `conform`    the conformity check that a stream must pass before it is shown
- `rules`      pure: which of Apple's rules a stream does not hold
- `desk`       the work folder: lock, resume, and the rename that makes a video visible
- `catalogue`  the site's `videos.json`

`errors`, `ffmpeg`, `progress` and `languages` serve them all.
"""
