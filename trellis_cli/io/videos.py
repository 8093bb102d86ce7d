"""Videos as files, written whole. The encoder is an optional library: PyAV, which brings FFmpeg's libraries along."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trellis_cli.errors import MissingError
from trellis_cli.io.aside import aside

CODEC = "libx264"  # what every browser and player takes
# The look-ahead reads memory that nobody wrote, and so now and then decides otherwise; threads change what they encode
# with their number. Without both the same frames are the same bytes on every run, for a few more of them.
OPTIONS = {"crf": "18", "x264-params": "mbtree=0:rc-lookahead=0"}


def require_video_writer() -> None:
    """Say at once, not after minutes of drawing, that videos cannot be written. Raises MissingError."""
    try:
        import av
    except ImportError as error:
        raise MissingError(
            "videos need the library PyAV, which is not installed", hint="pip install 'trellis-slat[video]'"
        ) from error
    if CODEC not in av.codecs_available:
        raise MissingError(f"this PyAV has no encoder {CODEC}", hint="pip install --force-reinstall av")


def save_video(path: Path, frames: Iterable[np.ndarray], *, fps: int) -> None:
    """Write uint8 [h, w, 3] frames of one size as H.264 in an .mp4, whole or not at all; equal frames, equal bytes.

    Frames of odd width or height get a white line: the format's colours come in blocks of 2 x 2.

    Raises:
        MissingError: no PyAV here.
        DiskError: the disk is full or the folder cannot be written.
        ValueError: no frame.
    """
    require_video_writer()
    import av

    with aside(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = None
        for frame in frames:
            h, w = frame.shape[:2]
            even = np.pad(frame, ((0, h % 2), (0, w % 2), (0, 0)), constant_values=255)
            if stream is None:
                stream = container.add_stream(CODEC, rate=fps, options=OPTIONS)
                stream.thread_count = 1
                stream.height, stream.width, stream.pix_fmt = *even.shape[:2], "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        if stream is None:
            raise ValueError("a video needs at least one frame")
        container.mux(stream.encode())
