"""A name server on loopback whose answers follow a script, and a stub resolver that asks it: both by real datagrams."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, cast

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset

SILENCE: Final = "SILENCE"
GARBAGE: Final = "GARBAGE"
STUB_SECONDS: Final = 30.0

Step = Sequence[str]
"""What one question is answered with: records such as `A 127.0.0.1` and `CNAME inside.example`, the latter owning what
stands behind it; or one word, `SILENCE`, `GARBAGE` or the name of a response code."""

Zone = Mapping[str, Sequence[Step]]
"""The steps of each name, one for each question of a type; the last is for all further ones."""


class NameServer(asyncio.DatagramProtocol):
    """Answers from the zone; a name that is not in it does not exist."""

    def __init__(self, zone: Zone) -> None:
        self.zone = dict(zone)
        self.asked: Counter[tuple[str, str]] = Counter()
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        kind = query.question[0].rdtype.name
        steps = self.zone.get(name, [["NXDOMAIN"]])
        step = steps[min(self.asked[name, kind], len(steps) - 1)]
        self.asked[name, kind] += 1
        answer = _answer(query, step, kind)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)

    async def look_up(self, host: str) -> Sequence[str]:
        """Ask as a system's stub resolver does, of which none keeps anything; raises OSError."""
        stub = dns.asyncresolver.Resolver(configure=False)
        stub.nameservers = ["127.0.0.1"]
        stub.port = self.port
        stub.lifetime = STUB_SECONDS
        try:
            answers = await stub.resolve_name(host, family=socket.AF_UNSPEC)
        except dns.exception.DNSException as error:
            raise OSError("no such name") from error
        return list(answers.addresses())


def _answer(query: dns.message.Message, step: Step, kind: str) -> bytes | None:
    if step == [SILENCE]:
        return None
    if step == [GARBAGE]:
        return query.to_wire()[:2] + b"\xff" * 40
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.RA
    owner = query.question[0].name.to_text()
    for record in step:
        type_, _, data = record.partition(" ")
        if not data:
            answer.set_rcode(dns.rcode.from_text(type_))
        elif type_ == "CNAME":
            answer.answer.append(dns.rrset.from_text(owner, 0, "IN", "CNAME", f"{data}."))
            owner = f"{data}."
        elif type_ == kind:
            answer.answer.append(dns.rrset.from_text(owner, 0, "IN", type_, data))
    return answer.to_wire(max_size=65_535)


@asynccontextmanager
async def name_server(zone: Zone) -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(zone), local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
