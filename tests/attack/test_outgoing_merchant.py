"""Attempts over HTTP by a merchant: endpoints that lead inside, and what an attempt to reach them lets out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.http.guard import AddressGuard
from payments_core.use_cases.deliver_webhook import NOWHERE
from tests.attack.internet import Internet, Listener, internet, listening, notifier_of
from tests.attack.shops import attempted, shop_over
from tests.unit.http_shop import Shop, at_fault, problem

REFUSED = (
    *("http://shop.example/", "ftp://shop.example/", "file:///etc/passwd", "javascript:alert(1)", "//shop.example"),
    *("https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://017700000001/"),
    *("https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/"),
    *("https://169.254.169.254/latest/", "https://100.100.100.200/", "https://168.63.129.16/", "https://192.0.0.192/"),
    *("https://[fd00:ec2::254]/", "https://[fe80::1%25eth0]/", "https://0.0.0.0/", "https://10.0.0.1:8443/"),
    *("https://localhost/", "https://localhost./", "https://LOCALHOST:8443/", "https://a.b.localhost/x"),
    *("https://shop.example:22/", "https://shop.example:6379/", "https://shop.example:0/", "https://shop.example:65536/"),
    *("https://shop.example:/", "https://shop.example:+443/", "https://shop.example:0443/"),
    *("https://user@shop.example/", "https://user:password@shop.example/", "https://shop.example@127.0.0.1/"),
    *("https://shop.example#@127.0.0.1/", "https://shop.example\\@127.0.0.1/", "https://shop.example/#x"),
    *("https://shop.example\t/", "https://shop.exa\nmple/", " https://shop.example/", "https://shop.example/\r\nX: y"),
    *("https://１２７.0.0.1/", "https://127。0。0。1/", "https://ⓛocalhost/", "https://%6cocalhost/", "https://münchen.example/"),  # noqa: RUF001
    *("https://shop..example/", "https://" + "a" * 64 + ".example/", "https://shop.example/" + "a" * 2_048),
)  # fmt: skip

NAMES_OF_THE_INSIDE = (
    *("https://metadata.google.internal/", "https://metadata.goog/", "https://postgres/", "https://127.0.0.1.nip.io/"),
    *("https://kubernetes.default.svc.cluster.local/", "https://nothing.invalid/", "https://localhost.evil.example/"),
)


@dataclass(slots=True)
class Names:
    """What names lead to; all that are asked for are noted."""

    known: dict[str, Sequence[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def look_up(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.known.get(host, ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A shop whose webhooks leave by the real notifier, and what is around it."""

    shop: Shop
    names: Names
    there: Internet
    trap: Listener


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    names = Names()
    async with listening() as trap:
        guard = AddressGuard(ports=frozenset({443, 8443, trap.port}))
        async with notifier_of(guard, names.look_up) as notifier, shop_over(notifier=notifier) as shop:
            with internet() as there:
                yield Town(shop=shop, names=names, there=there, trap=trap)


class TestRegistration:
    @pytest.mark.parametrize("url", REFUSED, ids=ascii)
    async def test_a_url_that_can_only_be_wrong_is_refused_with_its_fault(self, town: Town, url: str) -> None:
        made = await town.shop.add_webhook()
        for answer in (
            await town.shop.post("/api/webhooks/", {"url": url}),
            await town.shop.patch(f"/api/webhooks/{made['id']}/", {"url": url}),
        ):
            document = problem(answer, 400, "invalid_request")
            assert at_fault(answer) == {("url", "url_refused")}
            assert len(document["errors"][0]["message"]) < 200
        kept = (await town.shop.get(f"/api/webhooks/{made['id']}/")).json()
        assert kept["url"] == made["url"]
        assert (town.names.asked, town.there.dialled) == ([], [])

    @pytest.mark.parametrize("url", [7, None, True, ["https://shop.example/"], {"url": "https://shop.example/"}])
    async def test_a_url_that_is_no_text_is_refused(self, town: Town, url: object) -> None:
        answer = await town.shop.post("/api/webhooks/", {"url": url})
        assert answer.status_code == 400
        assert {name for name, _ in at_fault(answer)} == {"url"}

    @pytest.mark.parametrize("url", NAMES_OF_THE_INSIDE)
    async def test_registration_says_nothing_about_names_as_it_asks_for_none(self, town: Town, url: str) -> None:
        town.names.known["postgres"] = ["10.0.0.7"]
        made = await town.shop.add_webhook(url)
        changed = await town.shop.patch(f"/api/webhooks/{made['id']}/", {"url": url})
        assert changed.status_code == 200
        assert (town.names.asked, town.there.dialled) == ([], [])


class TestWhatIsSeen:
    async def test_ports_of_the_inside_look_alike_and_so_do_names_that_are_not_there(self, town: Town) -> None:
        town.names.known = {
            "loopback.evil.example": ["127.0.0.1"],
            "six.evil.example": ["::1"],
            "filtered.evil.example": ["10.255.255.1"],
            "metadata.evil.example": ["169.254.169.254"],
            "one-of-two.evil.example": ["93.184.215.14", "127.0.0.1"],
        }
        open_, closed = f":{town.trap.port}", ":8443"
        names = [*town.names.known, "not-there.evil.example"]
        seen = [await seen_of(town, f"https://{name}{port}/") for name in names for port in (open_, closed)]
        assert len({str(attempt) for attempt in seen}) == 1
        assert seen[0]["error"] == NOWHERE
        assert seen[0]["milliseconds"] == 0
        assert seen[0]["status_code"] is None
        assert town.there.dialled == []
        assert await town.trap.visits() == 0

    async def test_an_error_names_no_address_of_the_inside(self, town: Town) -> None:
        town.names.known = {"inside.evil.example": ["10.11.12.13", "fd00::7"]}
        attempt = await seen_of(town, "https://inside.evil.example/")
        assert "10.11" not in str(attempt)
        assert "fd00" not in str(attempt)

    async def test_a_url_that_was_good_when_it_was_made_is_judged_again_at_each_attempt(self, town: Town) -> None:
        town.names.known = {"hook.evil.example": ["93.184.215.14"]}
        made = await town.shop.add_webhook("https://hook.evil.example/")
        town.names.known = {"hook.evil.example": ["127.0.0.1"]}
        attempt = await attempted(town.shop, made["id"])
        assert attempt["error"] == NOWHERE
        assert town.there.dialled == []


async def seen_of(town: Town, url: str) -> Any:
    """Return what the merchant sees of an attempt at this URL, times apart."""
    made = await town.shop.add_webhook(url)
    attempt = await attempted(town.shop, made["id"])
    assert (await town.shop.delete(f"/api/webhooks/{made['id']}/")).status_code == 204
    return attempt
