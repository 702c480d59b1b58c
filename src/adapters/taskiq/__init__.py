"""The queue: a doorbell over taskiq and Redis pub/sub, which says that there is work and never what it is.

Postgres holds the work. Redis may be flushed, restarted or away: workers also look by themselves.
"""

from adapters.taskiq.bell import LocalBell
from adapters.taskiq.broker import DoorbellBroker
from adapters.taskiq.doorbell import TaskiqDoorbell
from adapters.taskiq.health import hears_own_ring, look
from adapters.taskiq.receiver import Ears, listening

__all__ = ["DoorbellBroker", "Ears", "LocalBell", "TaskiqDoorbell", "hears_own_ring", "listening", "look"]
