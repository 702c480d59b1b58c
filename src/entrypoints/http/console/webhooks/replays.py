"""Send a window of events again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import REFUSED, Refused, once_of, words_of
from entrypoints.http.console.visits import Visit
from entrypoints.http.console.webhooks.section import SECTION, endpoint_id, shown_faults
from entrypoints.http.docs.quantities import in_time
from entrypoints.http.query import TIMES
from entrypoints.http.responses import Reply
from payments_core import Replay
from payments_core.checks import Faults
from payments_core.errors import Invalid
from payments_core.webhook import REPLAY_WINDOW_MAX, REPLAYED_MAX

PROPOSED: Final = timedelta(days=1)
"""How far back the form reaches that nothing was entered into."""
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?", re.ASCII)
_LENGTH_MAX: Final = 19


@page("/webhooks/{id}/replay", section=SECTION, for_staff=False)
async def ask_for_window(visit: Visit) -> Reply:
    """Ask from when to when, and what."""
    since = (visit.services.clock.now() - PROPOSED).astimezone(visit.zone)
    return await _form(visit, {"since": f"{since:%Y-%m-%dT%H:%M}", "until": "", "only_failed": "yes"})


@form("/webhooks/{id}/replay", section=SECTION)
async def replay(visit: Visit) -> Reply:
    """Send the window again, and say how many that is."""
    entries = {name: visit.form.text(name) for name in ("since", "until", "only_failed")}
    try:
        command = _command(visit)
        once = visit.once("replay", {"id": endpoint_id(visit), "zone": visit.zone.key, **entries})
        answer = await visit.payments.replay(visit.caller, endpoint_id(visit), command, once=once)
    except (Invalid, *REFUSED) as refused:
        return await _form(visit, entries, refused)
    queued = msgspec.json.decode(answer.body)["queued"]
    return visit.show("webhooks/replayed.html", id=endpoint_id(visit), queued=queued, command=command)


PAGES: Final = (ask_for_window, replay)


def _command(visit: Visit) -> Replay:
    """Return what is asked for. Raises Invalid."""
    faults = Faults()
    since = read_time("since", visit.form.text("since"), visit.zone, faults, latest=False)
    until = read_time("until", visit.form.text("until"), visit.zone, faults, latest=True)
    if visit.form.get("since") is None:
        faults.add("since", "required", "Say from when.")
    faults.raise_if_any()
    assert since is not None
    return Replay(since=since, until=until, only_failed=visit.form.get("only_failed") is not None)


def read_time(field: str, text: str, zone: ZoneInfo, faults: Faults, *, latest: bool) -> datetime | None:
    """Return a time as a form has it, where the viewer is; None for none. What is wrong is noted in `faults`.

    In the hour that clocks go through twice it is the later time where `latest`, so that a window has all of it.
    """
    if not text:
        return None
    if len(text) <= _LENGTH_MAX and _TIME.fullmatch(text) is not None:
        try:
            at = datetime.fromisoformat(text).replace(tzinfo=zone, fold=int(latest)).astimezone(UTC)
        except (ValueError, OverflowError):
            faults.add(field, "malformed", "There is no such time.")
            return None
        return min(max(at, TIMES[0]), TIMES[1])
    faults.add(field, "malformed", "Must be a day and a time, such as 2026-03-01T09:30.")
    return None


async def _form(visit: Visit, entries: dict[str, str], refused: Refused | Invalid | None = None) -> Reply:
    endpoint = (await visit.payments.read.endpoint(visit.caller, endpoint_id(visit))).value
    return visit.show(
        "webhooks/replay.html",
        faults=shown_faults(refused),
        error=words_of(refused),
        endpoint=endpoint,
        entries=entries,
        once=once_of(visit, refused),
        window_max=in_time(REPLAY_WINDOW_MAX),
        replayed_max=REPLAYED_MAX,
    )
