"""Engines that encode images: threads of this process, or workers of a Ray cluster."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.run import EmbedRun
from clipfeat.encoders import local_file, open_encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import ClipfeatError
from clipfeat.images.decode import RGB
from clipfeat.images.isolated import IsolatedDecoder, default_workers
from clipfeat.images.record import ImageRecord
from clipfeat.images.samples import sample_pixels
from clipfeat.system.progress import Phase, Report

if TYPE_CHECKING:
    from clipfeat.embedding.preparing import Pictures
    from clipfeat.encoders.encoder import Encoder


class Engine(Protocol):
    """Interface of an engine. An engine opens an encoder and encodes images with it."""

    def open(self, options: EncoderOptions, n_images: int) -> "Encoder":
        """Open the encoder.

        Parameters
        ----------
        options : EncoderOptions
            The options of the encoder.
        n_images : int
            Number of images that will be encoded. 0 if it is not known.
        """

    def encode(
        self,
        run: EmbedRun,
        todo: Sequence[ImageRecord],
        frozen: "Encoder",
        options: EncoderOptions,
        pictures: "Pictures",
    ) -> None:
        """Encode images and pass the results to the run.

        Parameters
        ----------
        run : EmbedRun
            The run, whose writer stores the rows.
        todo : sequence of ImageRecord
            The images.
        frozen : Encoder
            The encoder that `open` returned.
        options : EncoderOptions
            Options that open the same encoder again. The precision is not ``"auto"``.
        pictures : Pictures
            Which views and faces of each image to encode.
        """


@dataclass(frozen=True)
class _LocalEngine:
    """Engine that uses threads of this process. Each thread has a child process that decodes."""

    encoder: str
    records: Sequence[ImageRecord]
    resources: EmbedResources
    decoder: IsolatedDecoder
    report: Report

    @property
    def _n_threads(self) -> int:
        return self.resources.num_workers or default_workers()

    def open(self, options: EncoderOptions, n_images: int) -> "Encoder":
        if n_images:  # the child processes start while the weights are loaded
            self.decoder.warm_up(min(self._n_threads, n_images))

        def samples() -> list[RGB]:
            self.report(Phase("comparing precisions"))
            return sample_pixels(self.records, self.decoder)

        return open_encoder(self.encoder, options, n_images=n_images, samples=samples)

    def encode(
        self,
        run: EmbedRun,
        todo: Sequence[ImageRecord],
        frozen: "Encoder",
        options: EncoderOptions,
        pictures: "Pictures",
    ) -> None:
        from clipfeat.embedding.stream import encode_stream

        stream = encode_stream(
            todo,
            frozen,
            batch_size=self.resources.batch_size,
            num_workers=self._n_threads,
            is_known=run.is_known,
            exact=lambda: self.open(replace(options, precision="fp32"), 0),
            pictures=pictures,
            isolation=self.decoder,
            watch=run.watch,
        )
        run.report_counts()
        with closing(stream):
            for item in stream:
                run.take(item)
        run.report_counts()


@dataclass(frozen=True)
class _RayEngine:
    """Engine that uses workers of a Ray cluster. Opening an encoder connects to the cluster."""

    encoder: str
    records: Sequence[ImageRecord]
    resources: EmbedResources
    connection: ExitStack

    def open(self, options: EncoderOptions, n_images: int) -> "Encoder":
        from clipfeat.embedding.on_ray.driver import open_remotely
        from clipfeat.system.ray_connection import connected

        # One core decodes and another encodes.
        self.connection.enter_context(connected(self.resources.address, least_cpus=2))
        return open_remotely(self.encoder, self._portable(options), self.records, n_images)

    def encode(
        self,
        run: EmbedRun,
        todo: Sequence[ImageRecord],
        frozen: "Encoder",
        options: EncoderOptions,
        pictures: "Pictures",
    ) -> None:
        from clipfeat.embedding.on_ray.driver import encode_remotely
        from clipfeat.embedding.on_ray.job import Job, KnownKeys

        job = Job(
            self.encoder,
            self._portable(options),
            frozen.preprocess,
            pictures,
            run.writer.publisher(),
            self.resources,
            len(todo),
        )
        failed = {} if run.retry_failed else run.writer.failed
        known = KnownKeys(run.writer.keys.sorted_keys(), failed)
        run.report_counts()
        with closing(encode_remotely(todo, job, known)) as stream:
            for published in stream:
                run.take_published(published)
        n_images = len(run.images)
        if missing := n_images - sum(run.counts.values()):
            raise ClipfeatError(
                f"Ray returned no result for {missing} of {n_images} images. Run the same command "
                "again to encode them"
            )

    def _portable(self, options: EncoderOptions) -> EncoderOptions:
        """Make the path of a local weights file absolute, valid in any current directory."""
        file = local_file(self.encoder, options.weights)
        return replace(options, weights=str(Path(file).absolute())) if file else options


@contextmanager
def _local(
    encoder: str, records: Sequence[ImageRecord], resources: EmbedResources, report: Report
) -> Iterator[Engine]:
    with IsolatedDecoder() as decoder:
        yield _LocalEngine(encoder, records, resources, decoder, report)


@contextmanager
def _ray(
    encoder: str, records: Sequence[ImageRecord], resources: EmbedResources, report: Report
) -> Iterator[Engine]:
    with ExitStack() as connection:
        yield _RayEngine(encoder, records, resources, connection)


_ENGINES: Mapping[
    str,
    Callable[[str, Sequence[ImageRecord], EmbedResources, Report], AbstractContextManager[Engine]],
] = {"local": _local, "ray": _ray}


def open_engine(
    encoder: str, records: Sequence[ImageRecord], resources: EmbedResources, report: Report
) -> AbstractContextManager[Engine]:
    """Open the engine of a run.

    Parameters
    ----------
    encoder : str
        Name of the encoder.
    records : sequence of ImageRecord
        All images of the source. A sample of them is used to choose the precision ``"auto"``.
    resources : EmbedResources
        The name of the engine and its resources.
    report : callable
        Called with a `Phase` if the engine compares precisions to open the encoder.
    """
    return _ENGINES[resources.engine](encoder, records, resources, report)
