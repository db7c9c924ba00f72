"""Tests of decoding in child processes."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfeat.errors import ClipfeatError, DecodeError
from clipfeat.images.decode import RGB, decode
from clipfeat.images.isolated import IsolatedDecoder, Isolation

ODD = Isolation("tests.images.odd_decoders:odd", seconds=30, memory=2**29)


def picture(size: tuple[int, int] = (40, 30)) -> bytes:
    rng = np.random.default_rng(0)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


GOOD = picture()


def pixels(decoder: IsolatedDecoder, data: bytes) -> RGB:
    with decoder.decoded(data) as decoded:
        return decoded.pixels.copy()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"segfault", r"process ended unexpectedly \(signal SIGSEGV\)"),
        (b"exit", r"process ended unexpectedly \(exit code 3\)"),
        (b"hang", "took longer than the limit of 1 s$"),
        (b"spin", "took longer than the limit of 1 s of processor time"),
        (b"eat", "needs more memory than the limit of 0.5 GiB"),
        (b"eat-inside", "needs more memory than the limit of 0.5 GiB"),
        (b"stumble", r"cannot be decoded: LookupError: odd \\udcff words"),
        (b"text", "cannot identify image file"),
        (b"complain", r"odd image \(the decoder printed: a line from C\)"),
    ],
)
def test_one_image_fails_and_the_next_is_decoded(data: bytes, message: str) -> None:
    """The error states the cause, and the next image is decoded."""
    limits = {b"hang": {"wall_seconds": 1.0}, b"spin": {"seconds": 1.0}}.get(data, {})
    with IsolatedDecoder(replace(ODD, **limits)) as decoder:
        begun = time.monotonic()
        with pytest.raises(DecodeError, match=message):
            pixels(decoder, data)
        assert time.monotonic() - begun < 20
        assert np.array_equal(pixels(decoder, GOOD), decode(GOOD).pixels)


def test_a_killed_child_is_replaced() -> None:
    """If a child is killed from outside, another child decodes the image, but only once."""
    with IsolatedDecoder(ODD) as decoder:
        decoder.warm_up(1)
        for child in decoder._all:
            child.process.kill()
        with decoder.decoded(GOOD), decoder.decoded(GOOD):
            pass
        assert len(decoder._all) == 2
        for child in decoder._all:
            child.process.kill()
            child.process.wait()
        assert np.array_equal(pixels(decoder, GOOD), decode(GOOD).pixels)
        with pytest.raises(DecodeError, match="signal SIGKILL"):
            pixels(decoder, b"kill")
        assert np.array_equal(pixels(decoder, GOOD), decode(GOOD).pixels)


def test_an_image_that_was_late_once_is_decoded(tmp_path: Path) -> None:
    """A good image that exceeds the time limit once, as after suspension, is decoded."""
    (tmp_path / "once.png").write_bytes(GOOD)
    with IsolatedDecoder(replace(ODD, wall_seconds=1)) as decoder:
        decoded = pixels(decoder, f"late {tmp_path / 'once'}".encode())
    assert np.array_equal(decoded, decode(GOOD).pixels)


def test_messages_belong_to_one_image() -> None:
    """The error of an image has no messages about an earlier image."""
    with IsolatedDecoder(ODD) as decoder:
        for data, message in ((b"complain", "printed: a line from C"), (b"text", "file$")):
            with pytest.raises(DecodeError, match=message):
                pixels(decoder, data)


def test_library_output_is_not_mixed_with_pixels() -> None:
    """Output of libraries, from Python or C, does not corrupt the pipes."""
    with IsolatedDecoder(ODD) as decoder, decoder.decoded(b"chat " + GOOD) as decoded:
        assert np.array_equal(decoded.pixels, decode(GOOD).pixels)
        assert decoded.format == "PNG"


def test_large_images_are_returned_whole() -> None:
    """An image larger than the pipe's buffer is returned completely."""
    data = picture((1500, 1200))
    with IsolatedDecoder() as decoder:
        assert np.array_equal(pixels(decoder, data), decode(data).pixels)


def test_leaving_kills_all_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving the context kills hanging children. Ctrl-C does not reach the children."""
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    errors: list[Exception] = []

    def hang() -> None:
        try:
            pixels(decoder, b"hang")
        except DecodeError as error:
            errors.append(error)

    with IsolatedDecoder(Isolation(ODD.decoder, seconds=60)) as decoder:
        pixels(decoder, GOOD)
        (child,) = started
        assert os.getpgid(child.pid) != os.getpgid(0)
        child.send_signal(signal.SIGINT)
        threads = [threading.Thread(target=hang) for _ in range(2)]
        for thread in threads:
            thread.start()
        while len(started) < 2:
            time.sleep(0.01)
        begun = time.monotonic()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begun < 5
    assert len(errors) == 2
    assert [process.returncode for process in started] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize("doing", ["nothing", "hang"])
def test_children_end_with_their_parent(doing: str) -> None:
    """If the parent is killed, an idle child ends at once, and a busy one at its limit."""
    script = (
        "from clipfeat.images.isolated import IsolatedDecoder, Isolation\n"
        f"decoder = IsolatedDecoder(Isolation({ODD.decoder!r}, wall_seconds=1))\n"
        f"decoder.decoded({GOOD!r}).__enter__()\n"
        "print('ready', flush=True)\n"
        f"decoder.decoded({doing.encode()!r}).__enter__() if {doing == 'hang'} else input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        assert parent.stderr is not None
        assert parent.stdout.readline() == b"ready\n"
        begun = time.monotonic()
        parent.kill()
        # Parent and child hold this pipe, so it ends after both have ended.
        assert parent.stderr.read() == b""
    assert time.monotonic() - begun < 5


def test_a_decoder_that_does_not_start_ends_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    """A decoder that cannot start ends the run, and no image is recorded as failed."""
    with IsolatedDecoder(Isolation("clipfeat.images.decode:decoder")) as decoder:
        message = r"does not start \(exit code 1\) \(the decoder printed: .*no attribute 'decoder'"
        with pytest.raises(ClipfeatError, match=message) as caught:
            pixels(decoder, GOOD)
        assert not isinstance(caught.value, DecodeError)
    assert capfd.readouterr().err == ""
