"""Compare the time to sample frames of a video with one pass over the whole video.

``python benchmarks/video.py [--seconds 60] [--repeats 3]``

The script writes two H.264 clips of 640×360 at 30 frames per second: one with a key frame each
second, and one with a key frame at the start only. In one process, it measures three steps: reading
the duration, decoding every frame with PyAV's own loop, and `decode_frame` at 1 and 0.5 frames per
second and for 8 frames.
"""

import argparse
import platform
import statistics
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from clipfeat.images.readers import VideoFrame
from clipfeat.images.video import decode_frame, duration
from clipfeat.images.video.frames import FrameSampling

SAMPLINGS = {
    "1 fps": FrameSampling(fps=1), "0.5 fps": FrameSampling(fps=0.5),
    "8 frames": FrameSampling(frames=8),
}  # fmt: skip


def main() -> None:
    """Print the median time of each step for both clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, PyAV {av.__version__}, one thread")
    with tempfile.TemporaryDirectory() as folder:
        for name, gop in (("a key frame each second", 30), ("one key frame", 30 * args.seconds)):
            path = make(Path(folder) / f"{gop}.mp4", args.seconds, gop)
            steps = {"duration": lambda p=path: duration(request(p, 0)), "every frame, PyAV's loop":
                     lambda p=path: decode_all(p)}  # fmt: skip
            for label, sampling in SAMPLINGS.items():
                steps[label] = lambda p=path, s=sampling: decode_sampled(p, s, args.seconds)
            times: dict[str, list[float]] = {step: [] for step in steps}
            for _ in range(args.repeats):
                for step, run in steps.items():
                    begun = time.perf_counter()
                    run()
                    times[step].append(time.perf_counter() - begun)
            print(f"\n{name}: {args.seconds} s, {path.stat().st_size / 2**20:.1f} MiB")
            whole = statistics.median(times["every frame, PyAV's loop"])
            for step, seconds in times.items():
                median = statistics.median(seconds)
                print(f"  {step:26} {median:7.3f} s   {median / whole:5.2f} of one pass")


def make(path: Path, seconds: int, gop: int) -> Path:
    """Write a clip of a moving picture."""
    small = np.random.default_rng(0).integers(0, 256, (90, 350 + seconds * 3, 3), dtype=np.uint8)
    wide = np.asarray(Image.fromarray(small).resize((4 * small.shape[1], 360)))
    with av.open(path, "w") as out:
        stream = out.add_stream(
            "libx264", rate=30, options={"sc_threshold": "0", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.codec_context.gop_size = gop
        for i in range(30 * seconds):
            view = np.ascontiguousarray(wide[:, i // 3 : i // 3 + 640])
            frame = av.VideoFrame.from_ndarray(view, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def decode_all(path: Path) -> None:
    """Decode all frames in order, without conversion to RGB."""
    with av.open(path) as opened:
        opened.streams.video[0].codec_context.thread_count = 1
        for _ in opened.decode(video=0):
            pass


def decode_sampled(path: Path, sampling: FrameSampling, seconds: int) -> None:
    """Decode the sampled frames in order."""
    for time_shown in sampling.times(seconds):
        decode_frame(request(path, time_shown))


def request(path: Path, time_shown: float) -> bytes:
    """Make the request for the frame at a time."""
    return VideoFrame(str(path), time_shown).read()


if __name__ == "__main__":
    main()
