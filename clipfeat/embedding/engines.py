"""Where images are encoded: in this process, or by the workers of a Ray cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clipfeat.embedding.run import EmbedRun
from clipfeat.encoders import local_file, open_encoder
from clipfeat.errors import ClipfeatError
from clipfeat.images.isolated import IsolatedDecoder, default_workers
from clipfeat.images.record import ImageRecord
from clipfeat.images.samples import sample_pixels

if TYPE_CHECKING:
    from clipfeat.embedding.preparing import Pictures
    from clipfeat.encoders.encoder import Encoder
    from clipfeat.encoders.options import EncoderOptions


@dataclass(frozen=True)
class EngineOptions:
    """What an engine is told of a run.

    Parameters
    ----------
    encoder : str
        Its name.
    records : sequence of ImageRecord
        The whole source.
    num_workers, batch_size : int, optional
        As in `clipfeat.embed`.
    address : str, optional
        Of a Ray cluster.
    """

    encoder: str
    records: Sequence[ImageRecord]
    num_workers: int | None = None
    batch_size: int | None = None
    address: str | None = None


class Engine(Protocol):
    """Opens an encoder, and encodes by it."""

    def open(self, options: "EncoderOptions", n_images: int) -> "Encoder":
        """Open the encoder for a number of images, 0 if it is not known."""

    def encode(
        self,
        run: EmbedRun,
        todo: Sequence[ImageRecord],
        frozen: "Encoder",
        options: "EncoderOptions",
        pictures: "Pictures",
    ) -> None:
        """Hand what the encoder gives for images to the run.

        Parameters
        ----------
        run : EmbedRun
            Whose writer stores it.
        todo : sequence of ImageRecord
            The images.
        frozen : Encoder
            What `open` gave.
        options : EncoderOptions
            Those that open it again; of a fixed precision.
        pictures : Pictures
            What of each image is encoded.
        """


@dataclass(frozen=True)
class _Here:
    """Threads of this process; each has a process that decodes."""

    about: EngineOptions
    decoder: IsolatedDecoder

    @property
    def _workers(self) -> int:
        return self.about.num_workers or default_workers()

    def open(self, options: "EncoderOptions", n_images: int) -> "Encoder":
        if n_images:  # ready when the weights are
            self.decoder.warm_up(min(self._workers, n_images))
        samples = partial(sample_pixels, self.about.records, self.decoder)
        return open_encoder(self.about.encoder, options, n_images=n_images, samples=samples)

    def encode(
        self,
        run: EmbedRun,
        todo: Sequence[ImageRecord],
        frozen: "Encoder",
        options: "EncoderOptions",
        pictures: "Pictures",
    ) -> None:
        from clipfeat.embedding.stream import encode_stream

        stream = encode_stream(
            todo,
            frozen,
            batch_size=self.about.batch_size,
            num_workers=self._workers,
            is_known=run.is_known,
            exact=lambda: self.open(replace(options, precision="fp32"), 0),
            pictures=pictures,
            isolation=self.decoder,
            watch=run.watch,
        )
        with closing(stream):
            for item in stream:
                run.take(item)


@dataclass(frozen=True)
class _OnRay:
    """Workers of a cluster, which is connected to once there is something to do."""

    about: EngineOptions
    connection: ExitStack

    def open(self, options: "EncoderOptions", n_images: int) -> "Encoder":
        from clipfeat.embedding.on_ray.driver import open_remotely
        from clipfeat.system.ray_connection import connected

        # A worker that decodes and one that encodes must both find room.
        self.connection.enter_context(connected(self.about.address, least_cpus=2))
        return open_remotely(
            self.about.encoder, self._for_all(options), self.about.records, n_images
        )

    def encode(
        self,
        run: EmbedRun,
        todo: Sequence[ImageRecord],
        frozen: "Encoder",
        options: "EncoderOptions",
        pictures: "Pictures",
    ) -> None:
        from clipfeat.embedding.on_ray.driver import encode_remotely
        from clipfeat.embedding.on_ray.job import Job, KnownKeys

        job = Job(
            self.about.encoder,
            self._for_all(options),
            frozen.preprocess,
            pictures,
            run.writer.publisher(),
            self.about.batch_size,
            len(todo),
        )
        known = KnownKeys.of(run.writer.keys, {} if run.retry_failed else run.writer.failed)
        with closing(encode_remotely(todo, job, known, self.about.num_workers)) as stream:
            for published in stream:
                run.take_published(published)
        if missing := run.total - sum(run.counts.values()):
            raise ClipfeatError(f"Ray lost {missing} images: the same command does what is left")

    def _for_all(self, options: "EncoderOptions") -> "EncoderOptions":
        """The options with a local file's name that holds in any working folder."""
        file = local_file(self.about.encoder, options.weights)
        return replace(options, weights=str(Path(file).absolute())) if file else options


@contextmanager
def _here(about: EngineOptions) -> Iterator[Engine]:
    with IsolatedDecoder() as decoder:
        yield _Here(about, decoder)


@contextmanager
def _on_ray(about: EngineOptions) -> Iterator[Engine]:
    with ExitStack() as connection:
        yield _OnRay(about, connection)


ENGINES: Mapping[str, Callable[[EngineOptions], AbstractContextManager[Engine]]] = {
    "local": _here,
    "ray": _on_ray,
}
