"""Tests of listing and decoding video frames."""

import json
import math
import os
import pickle
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfeat.errors import DecodeError, EmptySourceError, MissingExtraError, UsageError
from clipfeat.images import open_source
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder, Isolation
from clipfeat.images.readers import FileBytes, TarMember, VideoFrame
from clipfeat.images.record import ImageRecord, frame_key
from clipfeat.images.source import ImageSource
from clipfeat.images.video import container, decode_frame, duration, frame_decoder, length
from clipfeat.images.video.frames import FrameSampling, with_frames

SIZE = (64, 48)
DECODING = Isolation("clipfeat.images.video:decode_frame")
STEP = 8  # grey levels from one frame to the next


def write(
    path: Path,
    n: int = 30,
    *,
    codec: str = "libx264",
    gop: int = 10,
    rate: int = 10,
    milliseconds: Sequence[int] = (),
    noise: bool = False,
    seed: int = 0,
    options: dict[str, str] | None = None,
    encoding: dict[str, str] | None = None,
) -> Path:
    """Write a video of `n` frames. The grey level of frame i is 8 i modulo 256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(path, "w", options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=encoding or {})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        out.start_encoding()
        for i in range(n):
            pixels = np.full((*SIZE[::-1], 3), STEP * i % 256, dtype=np.uint8)
            if noise:
                pixels = rng.integers(0, 256, pixels.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = milliseconds[i] if milliseconds else 1000 // rate * i
            frame.time_base = Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def at(path: Path, time: float) -> RGB:
    return decode_frame(json.dumps({"file": str(path), "time": time}).encode()).pixels


def number(pixels: RGB) -> int:
    """Return the number of a frame of a video made by `write`."""
    return round(float(pixels.mean()) / STEP)


def seconds(path: Path) -> float:
    return float(duration(json.dumps({"file": str(path)}).encode()).format)


def frames(path: Path, **sampling: float) -> ImageSource:
    return with_frames(open_source(str(path)), FrameSampling(**sampling))  # type: ignore[arg-type]


KINDS = {
    "h264.mp4": "libx264", "h264.mkv": "libx264", "mpeg4.avi": "mpeg4", "vp8.webm": "libvpx",
    "vp9.webm": "libvpx-vp9", "mpeg2.mpg": "mpeg2video", "h264.m2ts": "libx264",
    "flv1.flv": "flv", "msmpeg4.wmv": "msmpeg4", "mpeg4.mov": "mpeg4",
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_container_gives_every_frame(tmp_path: Path, name: str) -> None:
    """In every container, frames are decoded exactly, in any order."""
    rate = 25 if name == "mpeg2.mpg" else 10  # MPEG-2 does not allow 10 frames per second
    path = write(tmp_path / name, codec=KINDS[name], rate=rate)
    part = 1 / rate
    assert seconds(path) == pytest.approx(30 * part, abs=1.1 * part)
    middles = [(i + 0.5) * part for i in range(30)]
    decoded = [at(path, time) for time in middles]
    assert [number(pixels) for pixels in decoded] == list(range(30))
    for i in (29, 0, 17, 3, 28, 9, 10, 8):
        assert np.array_equal(at(path, middles[i]), decoded[i])
    with pytest.raises(DecodeError, match=r"at 9\.000 s: the video ends at"):
        at(path, 9.0)


def time_of(record: ImageRecord) -> float:
    """Return the time of a frame's record, in seconds."""
    assert isinstance(record.reader, VideoFrame)
    return record.reader.time


def test_records_of_frames(tmp_path: Path) -> None:
    """A frame's record has its time in the path, its video as group and its folder as class."""
    write(tmp_path / "cat" / "a.mp4")
    write(tmp_path / "dog" / "b.webm", codec="libvpx")
    (tmp_path / "dog" / "c.png").write_bytes(b"x")
    source = frames(tmp_path, frames=4)
    paths = [record.path for record in source]
    times = ["0000.375", "0001.125", "0001.875", "0002.625"]
    assert paths == [
        *(f"cat/a.mp4@{time}s" for time in times), *(f"dog/b.webm@{time}s" for time in times),
        "dog/c.png",
    ]  # fmt: skip
    assert sorted(paths) == paths
    first = source.records[0]
    assert (first.label, first.group) == ("cat", "cat/a.mp4")
    assert first.reader == VideoFrame(str(tmp_path / "cat" / "a.mp4"), 0.375)
    assert dict(first.columns) == {"file": "cat/a.mp4", "time": "0.375"}
    assert source.records[-1].reader == FileBytes(str(tmp_path / "dog" / "c.png"))
    assert pickle.loads(pickle.dumps(list(source))) == list(source)
    assert list(with_frames(source, FrameSampling())) == list(source)


def test_tables_and_lists_hold_videos(tmp_path: Path) -> None:
    """Frames get the table's group and columns. A list may mix videos and images."""
    path = write(tmp_path / "a.mp4", n=5)
    (tmp_path / "t.csv").write_text("path,label,group,site\na.mp4,cat,tom,x\n")
    (record,) = with_frames(open_source(str(tmp_path / "t.csv")), FrameSampling(frames=1))
    assert (record.label, record.group) == ("cat", "tom")
    assert dict(record.columns) == {"site": "x", "file": "a.mp4", "time": "0.250"}
    (tmp_path / "b.png").write_bytes(b"x")
    both = open_source([str(path), str(tmp_path / "b.png")])
    assert len(with_frames(both, FrameSampling(frames=3))) == 4


@settings(deadline=None)
@given(st.floats(0, 600), st.floats(0.01, 60) | st.none(), st.integers(1, 40))
def test_times_are_in_the_video(lasts: float, fps: float | None, n: int) -> None:
    """Times increase, lie within the video, and are of the requested number."""
    sampling = FrameSampling(fps=fps) if fps else FrameSampling(frames=n)
    times = sampling.times(lasts)
    assert times == sorted(set(times))
    assert times[0] >= 0
    assert times[-1] <= lasts
    if lasts > 1:
        assert abs(len(times) - (lasts * fps if fps else n)) <= (1 if fps else 0)


def test_sampling_at_the_rate_gives_each_frame_once(tmp_path: Path) -> None:
    """Sampling at the video's own rate gives each frame once.

    The frames are decoded in this process and in a child process.
    """
    path = write(tmp_path / "a.mp4")
    source = frames(path, fps=10)
    assert [number(at(path, time_of(record))) for record in source] == list(range(30))
    with IsolatedDecoder(DECODING) as decoder:
        for record in source:
            with decoder.decoded(record.reader.read()) as frame:
                assert np.array_equal(frame.pixels, at(path, time_of(record)))
                assert frame.format == "h264"


@pytest.mark.parametrize(
    ("sampling", "message"),
    [({"fps": 1, "frames": 2}, "are both given"), ({"fps": 0}, "--fps must be above 0"),
     ({"frames": -1}, "--frames must be above 0"), ({"fps": math.nan}, "--fps must be")],
)  # fmt: skip
def test_invalid_sampling(sampling: dict[str, float], message: str) -> None:
    """Both options together, and values that are not above 0, are errors."""
    with pytest.raises(UsageError, match=message):
        FrameSampling(**sampling)  # type: ignore[arg-type]


def test_variable_rates(tmp_path: Path) -> None:
    """With a variable rate, a frame is shown until the next one begins."""
    path = write(tmp_path / "a.mkv", n=4, milliseconds=[0, 100, 2100, 2200])
    shown = [number(at(path, time)) for time in (0, 0.09, 0.11, 1, 2.09, 2.11, 2.21)]
    assert shown == [0, 0, 1, 1, 1, 2, 3]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the time of each frame that is decoded."""
    times: list[float] = []
    usual = frame_decoder._Video._decoded

    def recording(self: frame_decoder._Video):  # type: ignore[no-untyped-def]
        for frame in usual(self):
            times.append(frame.time)
            yield frame

    monkeypatch.setattr(frame_decoder._Video, "_decoded", recording)
    return times


def test_frames_in_order_are_decoded_once(tmp_path: Path, decoded: list[float]) -> None:
    """If only the first frame is a key frame, later frames continue the decoding."""
    path = write(tmp_path / "a.mp4", n=100, gop=1000, encoding={"sc_threshold": "0"})
    for i in range(20):
        assert number(at(path, 0.5 * i + 0.05)) == 5 * i % (256 // STEP)
    assert len(decoded) <= 101


def test_distant_frames_are_sought(tmp_path: Path, decoded: list[float]) -> None:
    """A distant frame is reached by seeking to the key frame before it."""
    path = write(tmp_path / "a.mp4", n=200, gop=10)
    at(path, 0)
    at(path, 19.25)
    assert len(decoded) <= 15


def set_rotation(path: Path, matrix: Sequence[int]) -> Path:
    """Set the display matrix in the track header of an MP4 file."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4 + 40
    data[start : start + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(bytes(data))
    return path


ONE, LAST = 65536, 1 << 30
TURNS = {
    0: (ONE, 0, 0, 0, ONE, 0, 0, 0, LAST), 90: (0, ONE, 0, -ONE, 0, 0, 0, 0, LAST),
    180: (-ONE, 0, 0, 0, -ONE, 0, 0, 0, LAST), 270: (0, -ONE, 0, ONE, 0, 0, 0, 0, LAST),
}  # fmt: skip


@pytest.mark.parametrize("clockwise", TURNS)
def test_frames_are_upright(tmp_path: Path, clockwise: int) -> None:
    """The rotation of the display matrix is applied."""
    path = tmp_path / "a.mp4"
    scene = np.full((48, 64, 3), 40, dtype=np.uint8)
    scene[:24, :32] = (220, 40, 40)
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(scene, format="rgb24")))
        out.mux(stream.encode(None))
    expected = np.rot90(scene, -clockwise // 90).astype(int)
    pixels = at(set_rotation(path, TURNS[clockwise]), 0.15)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).mean() < 4


def test_copies_have_one_key(tmp_path: Path) -> None:
    """Equal frames in different containers have equal keys, which depend on pixels and shape."""
    path = write(tmp_path / "a.mp4", noise=True)
    with av.open(path) as source, av.open(tmp_path / "b.mkv", "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    keys = [[frame_key(at(p, i / 10 + 0.05)) for i in range(30)]
            for p in (path, tmp_path / "b.mkv")]  # fmt: skip
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 30
    flat = np.zeros((4, 6, 3), dtype=np.uint8)
    assert frame_key(flat) != frame_key(flat.reshape(6, 4, 3))
    assert len(frame_key(flat)) == 16


def broken(folder: Path) -> dict[str, str]:
    """Write files that are not valid videos, and return the expected errors by name."""
    whole = write(folder / "whole" / "a.mp4").read_bytes()
    write(folder / "bad" / "only-header.mkv", n=0)
    with av.open(folder / "bad" / "audio.mp4", "w") as out:
        stream = out.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        out.mux(stream.encode(silence))
        out.mux(stream.encode(None))
    for name, data in {
        "empty.mp4": b"", "text.mp4": b"not a video\n" * 50, "half.mp4": whole[: len(whole) // 2],
        "random.webm": np.random.default_rng(0).bytes(5000),
    }.items():  # fmt: skip
        (folder / "bad" / name).write_bytes(data)
    os.mkfifo(folder / "bad" / "pipe.mp4")
    (folder / "bad" / "link.mp4").symlink_to("nowhere")
    return {
        "empty.mp4": "the file is empty", "text.mp4": "cannot be opened as a video",
        "half.mp4": "cannot be opened as a video", "random.webm": "cannot be opened as a video",
        "pipe.mp4": "not a regular file", "link.mp4": "No such file",
        "audio.mp4": "no video stream", "only-header.mkv": "cannot be opened as a video",
    }  # fmt: skip


def test_broken_videos_are_records_that_fail(tmp_path: Path) -> None:
    """A broken video is one record whose reading fails. Other videos are listed."""
    messages = broken(tmp_path)
    source = frames(tmp_path, frames=2)
    bad = {Path(r.path).name: r for r in source if r.path.startswith("bad/")}
    assert set(bad) == set(messages)
    assert sum(record.path.startswith("whole/") for record in source) == 2
    with IsolatedDecoder(DECODING) as decoder:
        for name, record in bad.items():
            assert (record.path, record.group) == (f"bad/{name}", f"bad/{name}")
            with (
                pytest.raises(DecodeError, match=messages[name]),
                decoder.decoded(record.reader.read()),
            ):
                pass


def test_a_probe_that_dies_costs_one_video(tmp_path: Path) -> None:
    """If opening a video kills the child process, only this video fails."""
    write(tmp_path / "a.mp4")
    source = with_frames(
        open_source(str(tmp_path)), FrameSampling(), Isolation("tests.images.odd_decoders:dying")
    )
    (record,) = source
    assert time_of(record) == math.inf
    with pytest.raises(DecodeError, match="frames of the video could not be listed"):
        decode_frame(record.reader.read())


@pytest.mark.parametrize("kind", ["faststart.mp4", "fragmented.mp4", "cut.mkv", "cut.avi"])
def test_a_truncated_video_gives_the_frames_it_has(tmp_path: Path, kind: str) -> None:
    """Frames before the cut are decoded exactly. Later ones are errors with their time."""
    flags = {"faststart.mp4": "faststart", "fragmented.mp4": "frag_keyframe+empty_moov"}
    codec = "mpeg4" if kind == "cut.avi" else "libx264"
    path = write(
        tmp_path / kind, codec=codec, noise=True,
        options={"movflags": flags[kind]} if kind in flags else {},
    )  # fmt: skip
    middles = [i / 10 + 0.05 for i in range(30)]
    whole = [at(path, time) for time in middles]
    size = path.stat().st_size
    cut = tmp_path / f"cut-{kind}"
    cut.write_bytes(path.read_bytes()[: size * 6 // 10])
    good = []
    for i, time in enumerate(middles):
        try:
            pixels = at(cut, time)
        except DecodeError as error:
            assert f"{time:.3f} s" in str(error)
        else:
            assert np.array_equal(pixels, whole[i])
            good.append(i)
    assert good == list(range(len(good)))
    assert 9 <= len(good) <= 20


def test_an_unfinished_file_is_measured(tmp_path: Path) -> None:
    """The duration of a truncated recording comes from its packets, not the header."""
    path = write(tmp_path / "a.mkv", noise=True, options={"live": "1"})
    assert seconds(path) == pytest.approx(3, abs=0.11)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 1 < seconds(path) < 2
    for record in frames(path, frames=4):
        assert at(path, time_of(record)).shape == (48, 64, 3)


@pytest.mark.parametrize("hole", [False, True])
def test_detected_damage_is_an_error(tmp_path: Path, hole: bool) -> None:
    """Frames up to the next key frame are errors. All other frames are unchanged."""
    path = write(tmp_path / "a.mp4", codec="mpeg4", noise=True)
    middles = [i / 10 + 0.05 for i in range(30)]
    whole = [at(path, time) for time in middles]
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 12_000
    data[start : start + 1500] = bytes(1500) if hole else b"\xff" * 1500
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(bytes(data))
    lost = []
    for i, time in enumerate(middles):
        try:
            pixels = at(damaged, time)
        except DecodeError:
            lost.append(i)
        else:
            assert np.array_equal(pixels, whole[i]), i
    assert 1 <= len(lost) <= 20


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{0}\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\nfile://{1}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{0}'\n",
        "ffconcat version 1.0\nfile 'file:{1}'\n",
        '<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet mimeType="video/mp4">'
        "<Representation><BaseURL>{0}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
    ],
    ids=["hls", "hls-url", "concat", "concat-url", "dash", "sdp"],
)
def test_playlists_open_no_other_file(tmp_path: Path, text: str) -> None:
    """A playlist with the name of a video is refused."""
    secret = write(tmp_path / "secret.mp4")
    for name in ("x.mp4", "x.mkv", "x.mpg"):
        (tmp_path / name).write_text(text.format("secret.mp4", secret))
        for ask in (seconds, lambda path: at(path, 0)):
            with pytest.raises(DecodeError, match="cannot be opened as a video"):
                ask(tmp_path / name)


def test_the_attack_is_real(tmp_path: Path) -> None:
    """Without the restriction, such a playlist would open the other file."""
    write(tmp_path / "secret.mp4")
    (tmp_path / "x.mp4").write_text("ffconcat version 1.0\nfile 'secret.mp4'\n")
    with av.open(str(tmp_path / "x.mp4")) as opened:
        assert opened.format.name == "concat"
        assert next(opened.decode(video=0)).width == 64


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames with too many pixels and overlong videos are refused."""
    path = write(tmp_path / "a.mp4")
    monkeypatch.setattr(container, "MAX_PIXELS", 100)
    with pytest.raises(DecodeError, match=r"\(64x48\), more than the limit of 100"):
        at(path, 0)
    monkeypatch.undo()
    monkeypatch.setattr(length, "MAX_SECONDS", 2.0)
    with pytest.raises(DecodeError, match="3 s, expected 0 to 2 s"):
        seconds(path)


def test_a_replaced_file_is_opened_anew(tmp_path: Path) -> None:
    """If an open video is replaced under its path, the new one is read."""
    path = write(tmp_path / "a.mp4")
    assert number(at(path, 0.55)) == 5
    other = write(tmp_path / "b.mp4", milliseconds=[200 * i for i in range(30)])
    other.rename(path)
    assert number(at(path, 0.55)) == 2


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyAV, a folder with videos gives the pip command, and images still work."""
    (tmp_path / "a.png").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)
    assert len(frames(tmp_path)) == 1
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=r"pip install 'clipfeat\[video\]'"):
        frames(tmp_path)
    with pytest.raises(EmptySourceError):
        open_source(str(tmp_path / "none.mp4"))


def test_tar_members_are_not_videos(tmp_path: Path) -> None:
    """A video in a tar file is not listed."""
    record = ImageRecord("x.tar/a.mp4", TarMember(str(tmp_path / "a.mp4"), 512, 10))
    source = ImageSource("a tar", str(tmp_path), [record])
    assert list(with_frames(source, FrameSampling())) == [record]
