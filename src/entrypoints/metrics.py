"""What is counted, and where: Prometheus metrics of one process, or of all processes of a host together.

No label holds anything that a merchant chose: routes are templates, outcomes and limits come from short lists.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from payments_core.ports import Backlog

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one process; `entrypoints.metrics_server` adds those of others."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._requests = self._histogram(
            "payments_http_request_seconds", "Seconds for each HTTP request.", "route", "method", "status"
        )
        # Few: routes and methods come from lists, statuses are ours. The library would check and write each anew.
        self._series: dict[tuple[str, str, int], Histogram] = {}
        self._jobs = self._counter("payments_jobs", "Ends of tries at a job, by its kind.", "kind", "outcome")
        self._deliveries = self._counter("payments_deliveries", "Attempts to deliver a webhook.", "outcome")
        self._gateway = self._counter("payments_gateway_answers", "What gateways said.", "gateway", "outcome")
        self._cache = self._counter("payments_cache_reads", "Looks into the cache.", "outcome")
        self._limited = self._counter(
            "payments_rate_limited",
            "Requests refused by a rate limit (login_delay: slowed).",
            "limit",
        )
        self._jobs_due = self._gauge("payments_jobs_due", "Jobs that are due and that nobody holds.")
        self._jobs_dead = self._gauge("payments_jobs_dead", "Jobs that failed for good and wait for a person.")
        self._deliveries_due = self._gauge("payments_deliveries_due", "Deliveries that are due and nobody holds.")
        self._oldest_due = self._gauge("payments_oldest_due_seconds", "For how long the oldest due work has been due.")

    def request_done(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one HTTP request. `route` is the template (`/api/refunds/{id}`), never the path."""
        known = method if method in METHODS else "other"
        series = self._series.get((route, known, status))
        if series is None:
            series = self._series[route, known, status] = self._requests.labels(route, known, str(status))
        series.observe(seconds)

    def job_ended(self, kind: str, outcome: str) -> None:
        """Count one try at a job, by how it ended (`payments_core.worker.End`)."""
        self._jobs.labels(kind, outcome).inc()

    def delivery_attempted(self, outcome: str) -> None:
        """Count one attempt: delivered, refused (a status other than 2xx), or why nothing came back."""
        self._deliveries.labels(outcome).inc()

    def gateway_answered(self, gateway: str, outcome: str) -> None:
        """Count one answer of a gateway."""
        self._gateway.labels(gateway, outcome).inc()

    def cache_read(self, *, hit: bool) -> None:
        """Count one look into the cache."""
        self._cache.labels("hit" if hit else "miss").inc()

    def rate_limited(self, limit: str) -> None:
        """Count one refusal by a rate limit."""
        self._limited.labels(limit).inc()

    def backlog(self, backlog: Backlog) -> None:
        """Show what waits."""
        self._jobs_due.set(backlog.jobs_due)
        self._jobs_dead.set(backlog.jobs_dead)
        self._deliveries_due.set(backlog.deliveries_due)
        self._oldest_due.set(backlog.oldest_due_seconds)

    def text(self) -> bytes:
        """Return this process's own metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, help: str, *labels: str) -> Counter:
        return Counter(name, help, labels, registry=self.registry)

    def _gauge(self, name: str, help: str) -> Gauge:
        # All processes read the same store: the last look is the truth, a sum would not be.
        return Gauge(name, help, registry=self.registry, multiprocess_mode="mostrecent")

    def _histogram(self, name: str, help: str, *labels: str) -> Histogram:
        return Histogram(name, help, labels, registry=self.registry, buckets=SECONDS_BUCKETS)
