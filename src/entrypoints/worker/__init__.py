"""The worker: a loop that sweeps, its process, and the broker for those who start workers by `taskiq worker`."""

from entrypoints.worker.run import worker_process
from entrypoints.worker.sweeper import run_worker

__all__ = ["run_worker", "worker_process"]
