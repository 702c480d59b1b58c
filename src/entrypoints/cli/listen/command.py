"""`payments listen`: a local receiver that verifies and shows webhooks."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Final

import click

STATUS_MIN: Final = 200
STATUS_MAX: Final = 599
PORT_MAX: Final = 65_535


EXAMPLE: Final = """\b
Example, while `payments up` runs in another terminal:
  payments listen --register http://127.0.0.1:8000 --api-key sk_test_…
"""


def _secret(_ctx: click.Context, _parameter: click.Parameter, secret: str | None) -> str | None:
    """Refuse what no signature can be verified with."""
    from payments_core.webhook import SECRET_PREFIX, InvalidSignature, sign

    if secret is None:
        return None
    try:
        sign([secret], id="", at=datetime.now(UTC), body=b"")
    except InvalidSignature as error:
        raise click.BadParameter(f"{error}.") from None
    if not secret.startswith(SECRET_PREFIX):
        raise click.BadParameter(f"it must begin with {SECRET_PREFIX}.")
    return secret


def _api(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Return where the API is, without the /api that `up` prints behind it; refuse what is no such address."""
    if text is None:
        return None
    import httpx

    try:
        url = httpx.URL(text.strip())
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("http", "https") or not url.host or (url.port or 0) > PORT_MAX:
        raise click.BadParameter("it is no address such as http://127.0.0.1:8000 or https://pay.example.com.")
    return str(url).rstrip("/").removesuffix("/api")


def _api_key(_ctx: click.Context, _parameter: click.Parameter, api_key: str | None) -> str | None:
    """Refuse what cannot be sent in a header."""
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise click.BadParameter("it is no merchant's `sk_…`, which has ASCII letters, digits and _ alone.")
    return api_key


@click.command(short_help="Receive, verify and show webhooks on this machine.", epilog=EXAMPLE)
@click.option("--port", default=9999, show_default=True, type=click.IntRange(0, PORT_MAX), help="0 takes any free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--secret",
    envvar="WEBHOOK_SECRET",
    show_envvar=True,
    callback=_secret,
    help="The endpoint's `whsec_…`; without it nothing is verified.",
)
@click.option(
    "--fail", "status", type=click.IntRange(STATUS_MIN, STATUS_MAX), help="Answer with this status instead of 204."
)
@click.option(
    "--register",
    "api",
    metavar="URL",
    callback=_api,
    help="Be an endpoint of this API (http://127.0.0.1:8000), verify with its secret, and remove it at the end.",
)
@click.option(
    "--api-key",
    envvar="MERCHANT_API_KEY",
    show_envvar=True,
    callback=_api_key,
    help="The merchant's `sk_…`, for --register.",
)
def listen(port: int, host: str, secret: str | None, status: int | None, api: str | None, api_key: str | None) -> None:
    """Receive webhooks on this machine and show each one.

    A webhook whose signature is right is answered with 204 (or the status of --fail, to watch retries); one whose
    signature is wrong with 400.
    """
    from entrypoints.cli.signals import ended_by_signals, run

    if api is not None and secret is not None:
        raise click.UsageError("--register brings a secret of its own: leave --secret out.")
    if api is not None and not api_key:
        raise click.UsageError("--register needs the merchant's key: --api-key, or MERCHANT_API_KEY.")
    with ended_by_signals():
        run(_listen(host, port, secret, status, api, api_key or ""))


async def _listen(host: str, port: int, secret: str | None, status: int | None, api: str | None, api_key: str) -> None:
    from entrypoints.cli.listen.receiver import ACCEPTED, Received, Receiver
    from entrypoints.cli.listen.temporary_endpoint import registered
    from entrypoints.cli.screen import DONE, FAILED, Screen, printable, printable_json
    from entrypoints.cli.watch import until_one_ends
    from entrypoints.http.server import bind, serving, url_of

    screen = Screen()

    def show(received: Received) -> None:
        event = received.event
        mark = "?" if receiver.secret is None else DONE if received.refusal is None else FAILED
        known = f"{event.get('type', 'no event')} {received.id} sequence {event.get('sequence')}"
        said = f"{received.at:%H:%M:%S} {mark} {printable(known)} → {received.status}"
        screen.line(said + (f" ({received.refusal})" if received.refusal else ""), style=_STYLE[mark])
        if screen.out.is_terminal:
            screen.line(printable_json(event.get("data")), style="dim")

    receiver = Receiver(hear=show, secret=secret, status=ACCEPTED if status is None else status)
    with contextlib.closing(bind(host, port)) as listener:
        async with serving(receiver, listener) as server:
            url = url_of(listener) + "/"
            async with contextlib.AsyncExitStack() as stack:
                if api is not None:
                    receiver.secret = await stack.enter_async_context(registered(api, api_key, url))
                screen.line(f"Listening on {url} (Ctrl-C ends it)")
                if receiver.secret is None:
                    screen.line("Nothing is verified without --secret whsec_… (or --register).", style="yellow")
                await until_one_ends([server])


_STYLE: Final = {"✓": "green", "✗": "bold red", "?": "yellow"}
