"""Metrics of the server in the format of Prometheus."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from clipfeat.serving.batching import Answer, Batcher

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counters of one server.

    Parameters
    ----------
    batcher : Batcher
        The queue, whose length and batches are reported.
    """

    def __init__(self, batcher: Batcher) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "clipfeat_requests", "Requests for predictions, by status.", ["status"],
            registry=self._registry,
        )  # fmt: skip
        self._images = Counter(
            "clipfeat_images", "Images, by outcome.", ["outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "clipfeat_request_seconds", "Time of a request for predictions, in seconds.",
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        queued = Gauge(
            "clipfeat_queued_images", "Images that are waiting or being processed.",
            registry=self._registry,
        )  # fmt: skip
        queued.set_function(lambda: batcher.n_queued)
        self._registry.register(_Batches(batcher))
        self._page_requests = Counter(
            "clipfeat_page_requests", "Requests of the page with an image, by status.", ["status"],
            registry=self._registry,
        )  # fmt: skip
        self._page_parts = Counter(
            "clipfeat_page_parts", "Parts of the page, by name and outcome.", ["part", "outcome"],
            registry=self._registry,
        )  # fmt: skip

    def count(self, status: int, seconds: float, answers: Iterable[Answer] = ()) -> None:
        """Count a request and its images."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)
        for answer in answers:
            self._images.labels("predicted" if answer.predicted else "failed").inc()

    def count_page(self, status: int) -> None:
        """Count a request of the page."""
        self._page_requests.labels(str(status)).inc()

    def count_part(self, name: str, outcome: str) -> None:
        """Count a part of the page, which was made, failed or late."""
        self._page_parts.labels(name, outcome).inc()

    def text(self) -> str:
        """Return all metrics as text."""
        return generate_latest(self._registry).decode()


class _Batches(Collector):
    """Counter of encoded batches, which the queue counts itself."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher

    def collect(self) -> Iterable[CounterMetricFamily]:
        """Return the present number of batches."""
        n_batches = self._batcher.n_batches
        yield CounterMetricFamily("clipfeat_batches", "Encoded batches.", value=n_batches)
