"""Does reading frames of a video cost one pass over it, whatever is asked for?

``python benchmarks/video.py [--seconds 60] [--repeats 3]``

Makes two H.264 clips of 640×360 at 30 frames a second, one with a key frame each second, one with
none but the first, and times in one process: telling the length; decoding all frames once, as
PyAV's own loop does; and `decode_frame` at one and at half a frame a second, and at 8 frames.
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
    """Print the medians of every step, for both clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, PyAV {av.__version__}, one thread")
    with tempfile.TemporaryDirectory() as folder:
        for name, gop in (("a key frame each second", 30), ("one key frame", 30 * asked.seconds)):
            path = make(Path(folder) / f"{gop}.mp4", asked.seconds, gop)
            steps = {"length": lambda p=path: duration(request(p, 0)), "every frame, PyAV's loop":
                     lambda p=path: every(p)}  # fmt: skip
            for label, sampling in SAMPLINGS.items():
                steps[label] = lambda p=path, s=sampling: sampled(p, s, asked.seconds)
            taken: dict[str, list[float]] = {step: [] for step in steps}
            for _ in range(asked.repeats):
                for step, run in steps.items():
                    begun = time.perf_counter()
                    run()
                    taken[step].append(time.perf_counter() - begun)
            print(f"\n{name}: {asked.seconds} s, {path.stat().st_size / 2**20:.1f} MiB")
            whole = statistics.median(taken["every frame, PyAV's loop"])
            for step, seconds in taken.items():
                middle = statistics.median(seconds)
                print(f"  {step:26} {middle:7.3f} s   {middle / whole:5.2f} of one pass")


def make(path: Path, seconds: int, gop: int) -> Path:
    """A picture that moves past."""
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


def every(path: Path) -> None:
    """Decode all frames in order, and convert none."""
    with av.open(path) as opened:
        opened.streams.video[0].codec_context.thread_count = 1
        for _ in opened.decode(video=0):
            pass


def sampled(path: Path, sampling: FrameSampling, seconds: int) -> None:
    """Read the frames of a sampling, in order."""
    for moment in sampling.times(seconds):
        decode_frame(request(path, moment))


def request(path: Path, moment: float) -> bytes:
    """What `decode_frame` is asked."""
    return VideoFrame(str(path), moment).read()


if __name__ == "__main__":
    main()
