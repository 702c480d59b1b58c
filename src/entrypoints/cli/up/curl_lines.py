"""The first calls of a merchant, ready to paste into a shell."""

from __future__ import annotations

from collections.abc import Sequence


def curl_lines(api: str, *, api_key: str, payment_key: str) -> Sequence[tuple[str, str]]:
    """Return what each line does and the line, for a POSIX shell with curl and grep; later ones use earlier ones."""
    call = f"curl -sS -w '\\n' -H 'Authorization: Token {api_key}'"
    send = f"{call} -H 'Content-Type: application/json'"
    pay = f'{{"payment_key": "{payment_key}", "amount": "100.00", "currency": "USD", "description": "Order #123"}}'
    refund = '{\\"transaction\\": \\"$PAID\\", \\"amount\\": \\"30.00\\"}'
    return (
        (
            "pay 100.00 USD, and keep the id of the transaction",
            f"PAID=$({send} -d '{pay}' {api}/api/transactions/pay | tee /dev/stderr | grep -om1 'txn_[0-9A-Z]*')",
        ),
        ("show it, a second later", f"sleep 1; {call} {api}/api/transactions/$PAID/"),
        ("refund a part", f'{send} -d "{refund}" {api}/api/refunds/'),
        ("list them all", f"{call} {api}/api/transactions/"),
    )
