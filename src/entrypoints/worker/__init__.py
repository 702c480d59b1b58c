"""The worker: a loop that sweeps, and the broker for those who start workers by `taskiq worker`."""

from entrypoints.worker.sweeper import run_worker

__all__ = ["run_worker"]
