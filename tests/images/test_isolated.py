"""A decoder that crashes, hangs or eats memory costs one image."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

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
    with decoder.decoded(data) as found:
        return found.pixels.copy()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"segfault", r"died on it \(signal SIGSEGV\)"),
        (b"exit", r"died on it \(exit code 3\)"),
        (b"hang", "took longer than the limit of 2 s"),
        (b"eat", "needs more memory than the limit of 0.5 GiB"),
        (b"eat-inside", "needs more memory than the limit of 0.5 GiB"),
        (b"stumble", r"cannot be decoded: LookupError: odd \\udcff words"),
        (b"text", "cannot identify image file"),
    ],
)
def test_the_image_fails_and_the_next_is_decoded(data: bytes, message: str) -> None:
    """The error says what became of the decoder; the next image is as if nothing had been."""
    with IsolatedDecoder(replace(ODD, seconds=2) if data == b"hang" else ODD) as decoder:
        begun = time.monotonic()
        with pytest.raises(DecodeError, match=message):
            pixels(decoder, data)
        assert time.monotonic() - begun < 20
        assert np.array_equal(pixels(decoder, GOOD), decode(GOOD).pixels)


def test_a_killed_decoder_is_no_bad_image() -> None:
    """Where the system kills some, idle, starting or at work, another is asked, once."""
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


def test_what_libraries_print_is_no_pixel() -> None:
    """Standard output and input of the process are nobody's, by Python or by C."""
    with IsolatedDecoder(ODD) as decoder, decoder.decoded(b"chat " + GOOD) as found:
        assert np.array_equal(found.pixels, decode(GOOD).pixels)
        assert found.format == "PNG"


def test_large_images_come_whole() -> None:
    """An image far larger than a pipe holds comes back to the byte, by the usual decoder."""
    data = picture((1500, 1200))
    with IsolatedDecoder() as decoder:
        assert np.array_equal(pixels(decoder, data), decode(data).pixels)


def test_leaving_ends_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a decoder that hangs, none is left behind, and Ctrl-C is not theirs."""
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
def test_none_outlives_its_parent(doing: str) -> None:
    """Where the parent is killed, the decoder ends: at once, or when its time is over."""
    script = (
        "from clipfeat.images.isolated import IsolatedDecoder, Isolation\n"
        f"decoder = IsolatedDecoder(Isolation({ODD.decoder!r}, seconds=1))\n"
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
        # Both hold this pipe: it ends when both have.
        assert parent.stderr.read() == b""
    assert time.monotonic() - begun < 5


def test_a_decoder_that_does_not_start_is_no_bad_image(capfd: pytest.CaptureFixture[str]) -> None:
    """What fails for every image ends the run, rather than being recorded for each."""
    with IsolatedDecoder(Isolation("clipfeat.images.decode:decoder")) as decoder:
        with pytest.raises(ClipfeatError, match="does not start") as caught:
            pixels(decoder, GOOD)
        assert not isinstance(caught.value, DecodeError)
    assert "has no attribute 'decoder'" in capfd.readouterr().err
