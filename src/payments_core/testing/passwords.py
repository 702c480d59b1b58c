"""What every keeper of passwords must pass."""

from __future__ import annotations

import pytest

from payments_core.ports import Passwords

RIGHT = "correct horse battery staple"


class PasswordsContract:
    """Adapters supply `passwords`, and `stricter`: the same with other parameters."""

    @pytest.fixture
    def passwords(self) -> Passwords:
        """Return an adapter with cheap parameters."""
        raise NotImplementedError

    @pytest.fixture
    def stricter(self) -> Passwords:
        """Return an adapter with other parameters."""
        raise NotImplementedError

    async def test_the_right_password_is_right_and_any_other_is_wrong(self, passwords: Passwords) -> None:
        kept = await passwords.hash(RIGHT)
        assert await passwords.verify(kept, RIGHT)
        for wrong in ("", RIGHT[:-1], RIGHT + " ", RIGHT.upper(), "\0"):
            assert not await passwords.verify(kept, wrong)

    async def test_nobodys_password_is_always_wrong(self, passwords: Passwords) -> None:
        for password in ("", RIGHT):
            assert not await passwords.verify(None, password)

    async def test_a_hash_shows_no_password_and_is_another_each_time(self, passwords: Passwords) -> None:
        first, second = await passwords.hash(RIGHT), await passwords.hash(RIGHT)
        assert first != second
        assert RIGHT not in first

    async def test_a_hash_of_other_parameters_is_right_still_and_stale(
        self, passwords: Passwords, stricter: Passwords
    ) -> None:
        kept = await passwords.hash(RIGHT)
        assert not passwords.is_stale(kept)
        assert stricter.is_stale(kept)
        assert await stricter.verify(kept, RIGHT)

    async def test_passwords_may_hold_any_character(self, passwords: Passwords) -> None:
        for password in ("pässwörd 密码 🔑", "\ud800 half a pair", " " * 128):
            assert await passwords.verify(await passwords.hash(password), password)
