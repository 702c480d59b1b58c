"""What has expired goes, from memory."""

from __future__ import annotations

import asyncio
from datetime import datetime
from itertools import islice

from adapters.memory import kinds
from adapters.memory.state import State


class MemoryLeftovers:
    """The port `Leftovers`."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def remove(self, *, expired_before: datetime, limit: int) -> int:
        """Remove what expired before that time, of each kind at most `limit`; return how many rows went."""
        await asyncio.sleep(0)
        removed = self._remove_records(expired_before, limit) + self._remove_sessions(expired_before, limit)
        return removed + self._remove_staff_sessions(expired_before, limit)

    def _remove_records(self, before: datetime, limit: int) -> int:
        expired = (
            (merchant, key)
            for merchant, account in self._state.accounts.items()
            for key, record in account.records.items()
            if record.expires_at < before
        )
        chosen = list(islice(expired, limit))
        for merchant, key in chosen:
            del self._state.writable(merchant).records[key]
        return len(chosen)

    def _remove_sessions(self, before: datetime, limit: int) -> int:
        """Remove tokens of sessions that ended, then such sessions without tokens."""
        ended = [
            (account, session)
            for account in self._state.accounts.values()
            for session in account.sessions.oldest_first()
            if session.expires_at < before
        ]
        ids = {session.id for _, session in ended}
        tokens = [
            (account, token)
            for account in self._state.accounts.values()
            for token in account.refresh_tokens.oldest_first()
            if token.session in ids
        ]
        for account, token in tokens[:limit]:
            account.refresh_tokens.remove(token.digest)
            self._state.taken.pop(kinds.refresh_token_digest(token.digest), None)
        kept = {token.session for _, token in tokens[limit:]}
        empty = [(account, session) for account, session in ended if session.id not in kept][:limit]
        for account, session in empty:
            account.sessions.remove(session.id)
        return min(len(tokens), limit) + len(empty)

    def _remove_staff_sessions(self, before: datetime, limit: int) -> int:
        sessions = self._state.staff_sessions
        ended = list(islice((one for one in sessions.oldest_first() if one.expires_at < before), limit))
        for session in ended:
            sessions.remove(session.id)
        return len(ended)
