"""Latency, throughput and endurance of ``clipfeat serve`` on loopback.

``python benchmarks/serving.py FOLDER [--images 800] [--clients 32] [--soak MINUTES]``

FOLDER has one folder of images per class. A model with EfficientNet-Lite0 is fitted on them, and
``clipfeat serve`` serves it in a separate process.

- Latency: one client sends one JPEG at a time, of 500x375 pixels or of 12 megapixels. Median and
  90th percentile after a warm-up.
- Throughput: ``--clients`` clients send one JPEG of 500x375 pixels after another. For comparison,
  `clipfeat.predict` predicts the same files. Its rate counts from the first image to the end, so
  opening the encoder is not included. The two are measured in turns. With fewer than about 700
  images, `clipfeat.predict` does not convert the network, and is slower. The seconds of processor
  time for each image do not depend on other programs. For the server, they include its
  decoding processes.
- Equality: the largest difference of a probability between the server and `clipfeat.predict`.
- ``--soak MINUTES``: clients mix good requests with hostile ones. The benchmark counts answers that
  are missing or wrong, and prints the memory of the server during the run.
"""

import argparse
import http.client
import json
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image

import clipfeat
from clipfeat.model import load_model
from clipfeat.system.progress import Phase

SMALL, LARGE = (500, 375), (4000, 3000)
BOUNDARY = "benchmark"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
HEAD = '--{}\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'


def make_images(source: Path, target: Path, n: int) -> list[Path]:
    """Write `n` distinct JPEG files of `SMALL` pixels, and one of `LARGE` pixels, which is last."""
    photographs = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    rng = np.random.default_rng(0)
    written = []
    for number in range(n + 1):
        size = LARGE if number == n else SMALL
        with Image.open(photographs[number % len(photographs)]) as image:
            pixels = np.asarray(image.convert("RGB").resize(size), dtype=np.int16)
        grain = rng.integers(-2, 3, (*pixels.shape[:2], 1))
        path = target / f"{number:05d}.jpg"
        Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8)).save(path, quality=90)
        written.append(path)
    return written


SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def form(*files: tuple[str, bytes]) -> bytes:
    """Encode files as the body of a form."""
    parts = [HEAD.format(BOUNDARY, name).encode() + data + b"\r\n" for name, data in files]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class Client:
    """A connection to the server, which is opened again if it was closed."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def post(self, body: bytes, kind: str = KIND) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        headers = {"Content-Type": kind}
        for attempt in range(2):
            try:
                self.connection.request("POST", "/predict", body, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection.close()  # the server had closed the idle connection
                if attempt:
                    raise
        raise AssertionError


@contextmanager
def serving(model: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start the server, and stop it at the end."""
    words = [sys.executable, "-m", "clipfeat", "serve", str(model), "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = re.search(r":(\d+)/", process.stdout.readline())
            assert port is not None
            yield process, int(port[1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def latency(port: int, path: Path, n: int) -> str:
    """Measure requests with one image, one after another."""
    client, body = Client(port), form((path.name, path.read_bytes()))
    times = []
    for number in range(n + 5):
        begun = time.perf_counter()
        status, _ = client.post(body)
        assert status == 200
        if number >= 5:
            times.append(1000 * (time.perf_counter() - begun))
    return (
        f"p50 {statistics.median(times):.1f} ms, p90 {statistics.quantiles(times, n=10)[8]:.1f} ms"
    )


def throughput(port: int, paths: list[Path], n_clients: int) -> tuple[float, dict[str, float]]:
    """Send each image once, from several clients. Return images per second and probabilities."""
    bodies = [(path.name, form((path.name, path.read_bytes()))) for path in paths]
    todo = iter(bodies)
    lock = threading.Lock()
    probabilities: dict[str, float] = {}

    def run() -> None:
        client = Client(port)
        while True:
            with lock:
                item = next(todo, None)
            if item is None:
                return
            name, body = item
            status, data = client.post(body)
            assert status == 200, data
            (result,) = json.loads(data)["results"]
            probabilities[name] = list(result["probabilities"].values())[-1]

    threads = [threading.Thread(target=run) for _ in range(n_clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(paths) / (time.perf_counter() - begun), probabilities


def batch_rate(model: Path, folder: Path) -> tuple[float, float, dict[str, float]]:
    """Predict a folder.

    Return images per second and seconds of processor time per image, from the first image, and
    probabilities.
    """
    begun = []

    def note(phase: Phase) -> None:
        if phase.name == "encoding" and not begun:
            begun.extend([time.perf_counter(), sum(os.times()[:4])])

    predictions = clipfeat.predict(load_model(model), folder, progress=note)
    seconds, cpu = time.perf_counter() - begun[0], sum(os.times()[:4]) - begun[1]
    p = predictions.probabilities[:, -1].tolist()
    return len(p) / seconds, cpu / len(p), dict(zip(predictions.paths, p, strict=True))


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its children."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if str(pid) in {stat.parent.name, fields[1]}:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def hostile(good: bytes) -> list[tuple[str, bytes, str, set[int]]]:
    """List hostile requests: a name, the body, its type, and the expected statuses."""
    bomb = (
        b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2
        + b"\x08\x02\0\0\0" + b"\0" * 4
    )  # fmt: skip
    part = HEAD.format(BOUNDARY, "a").encode()
    return [
        ("truncated image", form(("a.jpg", good[: len(good) // 2])), KIND, {200}),
        ("random bytes", form(("a.jpg", random.Random(0).randbytes(100_000))), KIND, {200}),
        ("decompression bomb", form(("a.png", bomb)), KIND, {200}),
        ("empty file", form(("a.jpg", b"")), KIND, {200}),
        ("path as a name", form(("../../../etc/passwd", good)), KIND, {200}),
        ("good and bad files", form(("a", good), ("b", b"text"), ("c", good)), KIND, {200}),
        ("thousands of parts", (part + b"x\r\n") * 5000, KIND, {413}),
        ("unfinished form", part + good, KIND, {422}),
        ("huge header", b"--benchmark\r\nA: " + b"b" * 10**6, KIND, {422}),
        ("no form", good, "image/jpeg", {415}),
        ("deep JSON", b"[" * 10**5, "application/json", {422}),
        ("private URL", b'{"urls": ["http://127.0.0.1/"]}', "application/json", {403}),
    ]


def soak(process: subprocess.Popen[str], port: int, path: Path, minutes: float, n: int) -> None:
    """Send good and hostile requests for some minutes, and count the outcomes."""
    good = path.read_bytes()
    cases = hostile(good)
    expected = json.loads(Client(port).post(form(("a.jpg", good)))[1])["results"][0]
    end = time.monotonic() + 60 * minutes
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def count(event: str) -> None:
        with lock:
            counts[event] += 1

    def run(seed: int) -> None:
        rng, client = random.Random(seed), Client(port)
        while time.monotonic() < end and process.poll() is None:
            try:
                if rng.random() < 0.05:
                    leave(port, good, rng)
                    count("left early")
                elif rng.random() < 0.5:
                    status, data = client.post(form(("a.jpg", good)))
                    is_full = status == 429
                    if not is_full and (status != 200 or not is_same(data, expected)):
                        count("WRONG answer to a good request")
                    count("good, refused with 429" if is_full else "good, answered")
                else:
                    name, body, kind, statuses = rng.choice(cases)
                    status, data = client.post(body, kind)
                    if status not in {*statuses, 429} or not data:
                        count(f"WRONG status {status}: {name}")
                    count("hostile, answered")
            except OSError as error:
                # A refusal before the end of a large body may close the connection.
                client.connection.close()
                count(f"connection ended: {type(error).__name__}")

    memory = [resident(process.pid)]
    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(n)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(10)
        memory.append(resident(process.pid))
    status, data = Client(port).post(form(("a.jpg", good)))
    print(f"soak of {minutes:g} min, {n} clients: {dict(sorted(counts.items()))}")
    print(f"  memory in MiB, each 10 s: {' '.join(f'{value:.0f}' for value in memory)}")
    print(f"  after it: alive {process.poll() is None}, status {status}, "
          f"same answer {is_same(data, expected)}")  # fmt: skip


def leave(port: int, good: bytes, rng: random.Random) -> None:
    """Close a connection in the middle of a request or before its answer."""
    body = form(("a.jpg", good))
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    data = head.encode() + body
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(data[: rng.choice([10, len(head), len(data) // 2, len(data)])])


def is_same(data: bytes, expected: dict[str, object]) -> bool:
    """Return whether an answer has the expected probabilities."""
    with suppress(ValueError, KeyError, TypeError):
        (result,) = json.loads(data)["results"]
        p, q = result["probabilities"], expected["probabilities"]
        return max(abs(p[name] - q[name]) for name in q) < 1e-4  # type: ignore[attr-defined, index]
    return False


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Run the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, model = Path(temporary) / "images", Path(temporary) / "model.clipfeat"
        folder.mkdir()
        *small, large = make_images(args.folder, folder, args.images)
        large = large.rename(Path(temporary) / large.name)
        features = Path(temporary) / "out.h5"
        clipfeat.embed(args.folder, features, encoder="efficientnet-lite0", progress=False)
        clipfeat.fit(clipfeat.load(features), cv=0, progress=False).save(model)
        with serving(model) as (process, port):
            if args.soak:
                soak(process, port, small[0], args.soak, 8)
                return
            load = os.getloadavg()[0]
            print(f"{os.cpu_count()} cores, load of other programs at the start {load:.1f}")
            print(f"500x375 JPEG, {small[0].stat().st_size} bytes: {latency(port, small[0], 50)}")
            print(f"12 MP JPEG, {large.stat().st_size} bytes: {latency(port, large, 20)}")
            throughput(port, small, args.clients)
            for _ in range(args.rounds):
                cpu = cpu_seconds(process.pid)
                rate, served = throughput(port, small, args.clients)
                cpu = (cpu_seconds(process.pid) - cpu) / len(small)
                batch, batch_cpu, predicted = batch_rate(model, folder)
                difference = max(abs(served[name] - predicted[name]) for name in served)
                print(
                    f"{args.clients} clients: {rate:.1f} images/s, {1000 * cpu:.1f} ms of "
                    f"processor time each. predict: {batch:.1f} images/s, {1000 * batch_cpu:.1f} "
                    f"ms each. Ratio of the rates {rate / batch:.2f}, largest difference "
                    f"{difference:.1e}"
                )


if __name__ == "__main__":
    main()
