# The publishing worker: Debian's FFmpeg and Python, and a user without rights.
FROM docker.io/library/debian:12-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg python3 python3-cryptography util-linux \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 101 -m 2755 /srv/video
COPY examples/publish /usr/share/hlsgate/publish
USER 65532:101
WORKDIR /srv/video
ENTRYPOINT ["/usr/share/hlsgate/publish/publish"]
