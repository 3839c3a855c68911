"""What `/metrics` tells, in the Prometheus text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE_LATEST", "Metrics"]

_JOB_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


class Metrics:
    """Counters of one server; it has a registry of its own, so that several can live in a test."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "latentfoley_requests",
            "Answers.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.accepted = Counter(
            "latentfoley_jobs_accepted", "Jobs put into the queue.", registry=self.registry
        )
        self.ended = Counter(
            "latentfoley_jobs_ended", "Jobs by how they ended.", ["state"], registry=self.registry
        )
        self.deaths = Counter(
            "latentfoley_worker_deaths",
            "Workers that died and were restarted.",
            registry=self.registry,
        )
        self.seconds = Histogram(
            "latentfoley_job_seconds",
            "Computing time of a job.",
            buckets=_JOB_SECONDS,
            registry=self.registry,
        )
        self.queued = Gauge("latentfoley_jobs_queued", "Jobs that wait.", registry=self.registry)
        self.ready = Gauge(
            "latentfoley_ready", "1 where a model is loaded.", registry=self.registry
        )
        self.streams = Gauge(
            "latentfoley_event_streams", "Open event streams.", registry=self.registry
        )

    def text(self) -> bytes:
        """Return everything."""
        return generate_latest(self.registry)
