"""Canaries: secrets go through every call and every failure, and turn up nowhere but where they are shown once."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import psycopg
import pytest
from redis import Redis
from sqlalchemy import make_url

from tests.attack.canaries import Canaries, dump_of, keys_of, monitoring
from tests.patience import PATIENCE_SECONDS, until
from tests.processes import free_port, run, running, wait_until_ready
from tests.servers import Server

CARD: Final = "4000056655665556"
VISIBLE: Final = "a text that may be seen"
"""What is looked for in the places of which the search is to be trusted."""
REQUEST_ID: Final = "a-request-id-that-is-logged"
KEPT: Final = "an answer with a secret"
BREAKS: Final = "makes-the-database-refuse-it"
DATABASE_PASSWORD: Final = "databasecanary-7Fq2mX"
ROOT: Final = "rootcanary-Zk4vXq9RtL7wZ2mB8nC5jH1sD6"
BREAKING: Final = (
    "ALTER TABLE payments.merchants ADD CHECK (name IS NULL OR name NOT LIKE '{}%') NOT VALID",
    "ALTER TABLE payments.api_keys ADD CHECK (name IS NULL OR name NOT LIKE '{}%') NOT VALID",
    "ALTER TABLE payments.endpoints ADD CHECK (description IS NULL OR description NOT LIKE '{}%') NOT VALID",
)
JOB: Final = "job_00000000000000000000000000"
DEAD_JOB: Final = """
    INSERT INTO payments.jobs (merchant_id, id, livemode, kind, subject, due_at, created_at, failures, last_error,
        dead_at, lease_token)
    SELECT merchant_id, %s, livemode, 'charge', id, now(), now(), 10, 'it failed', now(), 0
    FROM payments.transactions LIMIT 1
"""
COMMANDS: Final = (
    ("doctor",),
    ("verify",),
    ("jobs", "list", "--state", "all"),
    ("attempts", "list", "--state", "all"),
    ("audit", "list"),
    ("secrets", "check"),
    ("--debug", "shell", "-c", "print(services, payments, vars(type(services)), services.settings, await services.x)"),
)


@contextmanager
def receiving(answer: str) -> Generator[str, None, None]:
    """Answer every post with a failure in these words; give the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(slots=True, kw_only=True)
class Story:
    """A deployment, what it answered, and the secrets that were told to it or by it."""

    canaries: Canaries
    settings: Mapping[str, str]
    cwd: Path
    apis: Sequence[httpx.Client]
    """One whose logs are JSON, and one whose logs are for people: each gets every second call."""
    answers: bytearray = field(default_factory=bytearray)
    statuses: set[int] = field(default_factory=set[int])
    _calls: int = 0

    @property
    def api(self) -> httpx.Client:
        """The one whose turn it is."""
        return self.apis[self._calls % len(self.apis)]

    def call(self, method: str, path: str, *, shows: bool = False, **request: Any) -> httpx.Response:
        """Make a call; its answer is searched later, head and body, unless it is one that shows a secret once."""
        answer = self.api.request(method, path, **request)
        self._calls += 1
        self.statuses.add(answer.status_code)
        self.answers += b"".join(b"%b: %b\n" % pair for pair in answer.headers.raw)
        if not shows:
            self.answers += answer.content + b"\n"
        return answer

    def token(self, text: str) -> Mapping[str, str]:
        return {"Authorization": f"Token {text}"}

    def logs(self) -> bytes:
        return b"".join(path.read_bytes() for path in sorted(self.cwd.glob("*.log")))


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Mapping[str, str]:
    return {
        "PAYMENTS_DATABASE_URL": make_url(database_url)
        .set(password=DATABASE_PASSWORD)
        .render_as_string(hide_password=False),
        "PAYMENTS_REDIS_URL": redis_url,
        "PAYMENTS_SECRET_KEY": ROOT,
        "PAYMENTS_METRICS_PORT": str(free_port()),
        "PAYMENTS_RATE_LIMITS": "off",
        "PAYMENTS_SANDBOX_LATENCY_SECONDS": "0",
        "PAYMENTS_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "PAYMENTS_WEBHOOK_ALLOW_HTTP": "on",
        "PAYMENTS_LOG_LEVEL": "debug",
    }


@pytest.fixture
def story(settings: Mapping[str, str], tmp_path: Path) -> Generator[Story, None, None]:
    canaries = Canaries()
    canaries.add("the root secret", ROOT)
    canaries.add("the database's password", DATABASE_PASSWORD)
    canaries.add("a card number", CARD)
    assert run("migrate", settings=settings, cwd=tmp_path).returncode == 0
    with ExitStack() as stack:
        processes = dict[str, subprocess.Popen[bytes]]()
        for log_format in ("json", "console"):
            own, port = {**settings, "PAYMENTS_LOG_FORMAT": log_format}, free_port()
            serve = running("serve", "--port", str(port), settings=own, cwd=tmp_path)
            processes[f"http://127.0.0.1:{port}"] = stack.enter_context(serve)
            stack.enter_context(running("worker", settings=own, cwd=tmp_path))
        for url, process in processes.items():
            wait_until_ready(url, process)
        apis = [
            stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_SECONDS))
            for url in processes
        ]
        yield Story(canaries=canaries, settings=settings, cwd=tmp_path, apis=apis)


def _open(story: Story) -> str:
    """Have an account with each kind of secret; return its API key."""
    add = story.canaries.add
    account = {"email": "shop@example.com", "password": add("a password", "passwordcanary 9Wd4 kT")}
    api_key = add("an API key", story.call("POST", "/api/auth/register/", json=account, shows=True).json()["api_key"])
    key = story.token(api_key)
    session = story.call("POST", "/api/auth/login/", json=account, shows=True).json()
    add("a session key", session["api_key"])
    pair = story.call("POST", "/api/auth/token/", json=account, shows=True).json()
    add("an access token", pair["access"])
    spent = add("a refresh token", pair["refresh"])
    pair = story.call("POST", "/api/auth/token/refresh/", json={"refresh": spent}, shows=True).json()
    add("a later access token", pair["access"])
    add("a later refresh token", pair["refresh"])
    for _ in range(2):  # spent again, it ends the session
        story.call("POST", "/api/auth/token/refresh/", json={"refresh": spent})
    changed = {"password": account["password"], "new_password": add("a new password", "newpasswordcanary 3Hs8")}
    assert story.call("POST", "/api/auth/password/", json=changed, headers=key).status_code == 204
    once = {**key, "Idempotency-Key": KEPT}
    for _ in range(2):
        made = story.call("POST", "/api/auth/api_keys/", json={"name": "kept"}, headers=once, shows=True)
        add("an API key of a kept answer", made.json()["api_key"])
    return api_key


def _sell(story: Story, api_key: str, receiver: str) -> None:
    """Have an endpoint whose secret was changed, and deliveries that fail with a card number in the answer."""
    add, key = story.canaries.add, story.token(api_key)
    url = f"{receiver}/?token={add('a token in the URL of an endpoint', 'urltokencanary-2Pb6')}"
    endpoint = story.call("POST", "/api/webhooks/", json={"url": url}, headers=key, shows=True).json()
    add("a webhook secret", endpoint["secret"])
    path = f"/api/webhooks/{endpoint['id']}/"
    changed = story.call("POST", f"{path}rotate_secret/", headers=key, shows=True).json()
    add("a later webhook secret", changed["secret"])
    channel = story.call("POST", "/api/payments/payment_key/", headers=key).json()["key"]
    pay = {"payment_key": channel, "amount": "10.00", "currency": "USD", "payment_method": "pm_approve"}
    seen = {**key, "X-Request-Id": REQUEST_ID, "Idempotency-Key": VISIBLE}
    assert story.call("POST", "/api/transactions/pay", json={**pay, "description": VISIBLE}, headers=seen).is_success
    for name in ("description", "payment_method", "payment_key", "amount", "currency"):
        story.call("POST", "/api/transactions/pay", json={**pay, name: f"card {CARD}"}, headers=key)
    for metadata in ({"card": CARD}, {CARD: "card"}):
        story.call("POST", "/api/transactions/pay", json={**pay, "metadata": metadata}, headers=key)
    for _ in range(2):  # the second time from the cache
        story.call("GET", "/api/transactions/", headers=key)


def _operations(story: Story) -> Sequence[tuple[str, str]]:
    paths = story.api.get("/schema/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods if method != "parameters"]


def _bodies(secret: str) -> Iterator[bytes]:
    """Bodies that are wrong in each way, with a secret in them."""
    quoted = json.dumps(secret)
    yield f'{{"password": {quoted}, "email"'.encode()
    yield f"{quoted}".encode()
    yield f"[{quoted}]".encode()
    yield f'{{"email": {quoted}, "password": {{"x": {quoted}}}, "new_password": [{quoted}], "refresh": 1}}'.encode()
    yield json.dumps({"email": secret, "password": secret * 300, "name": secret, "username": secret}).encode()
    yield json.dumps({"refresh": secret, "url": f"https://{secret}@example.com/", "events": [secret]}).encode()
    yield json.dumps({"url": f"gopher://{secret}", "description": 1, "amount": secret, "currency": secret}).encode()
    yield json.dumps({"scopes": [secret], "expires_at": secret, "livemode": secret, "payment_key": secret}).encode()
    yield f'{{"password": {quoted}, "password": {quoted}}}'.encode()
    yield f'{{"password": "\\u0000{secret}"}}'.encode()
    yield b'{"password": "' + secret.encode() + b'\xff"}'


def _heads(secret: str) -> Iterator[Mapping[str, str]]:
    """Headers that carry a secret where it does not belong."""
    plain = secret.replace(" ", "")
    for name in ("Authorization", "User-Agent", "If-None-Match", "Idempotency-Key", "Accept", "Cookie", "Referer"):
        yield {name: secret}
    for scheme in ("Token", "Bearer", "Basic", "Digest"):
        yield {"Authorization": f"{scheme} {secret}", "X-Forwarded-For": secret}
    yield {"Host": plain}
    yield {"Content-Type": secret, "Content-Encoding": secret}


def _attack(story: Story, api_key: str) -> None:
    """Send every secret to every call in every wrong place."""
    key = story.token(api_key)
    secrets = [text for name, text in story.canaries.texts.items() if "root" not in name and "database" not in name]
    for number, (method, path) in enumerate(_operations(story)):
        # Each call gets each place, and over all the calls each place gets each secret several times.
        secret = secrets[number % len(secrets)]
        for head in _heads(secret):
            story.call(method, path.replace("{id}", "x"), headers=head)
        if "{" in path:
            story.call(method, path.replace("{", "").replace("id}", secret).replace("key}", secret), headers=key)
        for query in (f"limit={secret}", f"cursor={secret}", f"created_after={secret}", f"currency={secret}&%ff"):
            story.call(method, f"{path}?{query}", headers=key)
        if method != "GET":
            for body in _bodies(secret):
                head = {**key, "Content-Type": "application/json", "Idempotency-Key": f"never kept {number}"}
                story.call(method, path, content=body, headers=head)
    for name in ("an API key", "a session key", "an access token", "a refresh token", "a later webhook secret"):
        # Of each other text a client may well have its reasons to take it for a request's name.
        story.call("GET", "/api/auth/me/", headers={**key, "X-Request-Id": story.canaries.texts[name]})
        story.call("GET", "/api/auth/me/", headers={**key, "X-Request-Id": story.canaries.texts[name][:100]})


def _break(story: Story, api_key: str) -> None:
    """Have the database refuse what is written, so that its own words hold whole rows."""
    key = story.token(api_key)
    with psycopg.connect(story.settings["PAYMENTS_DATABASE_URL"].replace("+psycopg", "")) as connection:
        for statement in BREAKING:
            connection.execute(statement.format(BREAKS))
        hashes = connection.execute("SELECT password_hash FROM payments.merchants").fetchall()
        connection.execute("UPDATE payments.idempotency_records SET body_sealed = 'x' WHERE key = %s", [KEPT])
    for (hashed,) in hashes:
        story.canaries.add("a password's hash", hashed)
    account = {"email": "other@example.com", "password": story.canaries.texts["a password"], "name": BREAKS}
    for path, body in (
        ("/api/auth/register/", account),
        ("/api/auth/api_keys/", {"name": BREAKS}),
        ("/api/webhooks/", {"url": "https://example.com/", "description": BREAKS}),
        ("/api/auth/api_keys/", {"name": "kept"}),
    ):
        head = {**key, "Idempotency-Key": KEPT if body == {"name": "kept"} else BREAKS}
        for _ in story.apis:
            assert story.call("POST", path, json=body, headers=head).status_code == 500


async def _take_away(story: Story, api_key: str, server: Server) -> None:
    """Log in, refresh and pay while the store is away, and wait until it is back."""
    texts = story.canaries.texts
    account = {"email": "shop@example.com", "password": texts["a new password"]}
    await server.stop()
    for path, body in (
        ("/api/auth/login/", account),
        ("/api/auth/register/", account),
        ("/api/auth/token/refresh/", {"refresh": texts["a later refresh token"]}),
        ("/api/auth/api_keys/", {"name": "more"}),
    ):
        assert story.call("POST", path, json=body, headers=story.token(api_key)).status_code == 503
    away = run("--debug", "migrate", settings=story.settings, cwd=story.cwd)
    assert away.returncode == 1
    (story.cwd / "migrate-away.log").write_text(away.stdout + away.stderr)
    await server.start()

    async def is_back() -> bool:
        return {api.get("/health/ready").status_code for api in story.apis} == {200}

    await until(is_back)


async def _until_delivered_in_vain(story: Story, api_key: str) -> None:
    """Return once a delivery has failed with what the receiver answered."""

    async def has_failed() -> bool:
        with psycopg.connect(story.settings["PAYMENTS_DATABASE_URL"].replace("+psycopg", "")) as connection:
            found = connection.execute("SELECT FROM payments.deliveries WHERE attempts::text LIKE '%the card%'")
            return found.fetchone() is not None

    await until(has_failed)
    endpoint = story.api.get("/api/webhooks/", headers=story.token(api_key)).json()["results"][0]["id"]
    story.call("GET", f"/api/webhooks/{endpoint}/deliveries/", headers=story.token(api_key))


def _printed(story: Story) -> bytes:
    """Return what commands print that look after a service, of a job and an attempt too."""
    with psycopg.connect(story.settings["PAYMENTS_DATABASE_URL"].replace("+psycopg", "")) as connection:
        connection.execute(DEAD_JOB, [JOB])
        attempt = connection.execute("SELECT id FROM payments.attempts").fetchone()
    assert attempt is not None
    commands = (*COMMANDS, ("jobs", "show", JOB), ("attempts", "show", attempt[0]))
    outputs = [run(*command, settings=story.settings, cwd=story.cwd) for command in commands]
    assert [done.returncode for done in outputs[-2:]] == [0, 0]
    return "".join(done.stdout + done.stderr for done in outputs).encode()


async def test_no_secret_turns_up_where_it_does_not_belong(story: Story, postgres_server: Server) -> None:
    settings, canaries = story.settings, story.canaries
    with monitoring(settings["PAYMENTS_REDIS_URL"]) as said, receiving(f"the card {CARD} is refused") as receiver:
        api_key = _open(story)
        _sell(story, api_key, receiver)
        await _until_delivered_in_vain(story, api_key)
        _attack(story, api_key)
        _break(story, api_key)
        await _take_away(story, api_key, postgres_server)
        metrics = story.api.get(f"http://127.0.0.1:{settings['PAYMENTS_METRICS_PORT']}/metrics").content
        with Redis.from_url(settings["PAYMENTS_REDIS_URL"]) as client:
            kept = keys_of(client)
    printed = _printed(story)
    dump = dump_of(settings["PAYMENTS_DATABASE_URL"])

    # What may be seen is seen: the search finds what is there.
    assert VISIBLE.encode() in dump
    assert VISIBLE.encode() in kept
    assert VISIBLE.encode() in bytes(said)
    assert b"PUBLISH" in bytes(said)
    assert REQUEST_ID.encode() in story.logs()
    assert b"refused a write" in story.logs()
    assert b"http_requests" in metrics or b"payments_" in metrics
    assert {200, 201, 400, 401, 404, 500, 503} <= story.statuses

    of_the_merchant = frozenset({"a token in the URL of an endpoint"})
    assert canaries.found_in(story.logs()) == set()
    assert canaries.found_in(printed) == set()
    assert canaries.found_in(metrics) == set()
    assert canaries.found_in(bytes(story.answers), allowed=of_the_merchant) == set()
    assert canaries.found_in(bytes(said) + kept, allowed=of_the_merchant) == set()
    assert canaries.found_in(dump, allowed=of_the_merchant | {"a password's hash"}) == set()


@pytest.mark.parametrize(
    "database_url",
    [
        f"postgresql://shop:{DATABASE_PASSWORD}@127.0.0.1:1/shop",
        f"postgresql://shop@127.0.0.1:1/shop?password={DATABASE_PASSWORD}&nonsense=1",
    ],
)
def test_servers_that_cannot_be_reached_are_told_without_their_passwords(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    canaries = Canaries()
    canaries.add("the database's password", DATABASE_PASSWORD)
    settings = {
        "PAYMENTS_ENV": "production",
        "PAYMENTS_DATABASE_URL": database_url,
        # One that asks for no password refuses it.
        "PAYMENTS_REDIS_URL": redis_url.replace("unix://", f"unix://:{canaries.add('Redis', 'rediscanary-5Tg8pL')}@"),
        "PAYMENTS_SECRET_KEY": canaries.add("the root secret", ROOT),
        "PAYMENTS_WEBHOOK_PROXY": f"http://shop:{canaries.add('the proxy', 'proxycanary-8Vn3cR')}@127.0.0.1:1",
        "PAYMENTS_METRICS_PORT": "0",
        "PAYMENTS_LOG_LEVEL": "debug",
    }
    for command in (("doctor",), ("migrate",), ("secrets", "rotate")):
        done = run("--debug", *command, settings=settings, cwd=tmp_path)
        assert done.returncode == 1
        assert canaries.found_in((done.stdout + done.stderr).encode()) == set()


@pytest.mark.parametrize("form", ["{}", "x{}y", "%7B{}%7D"])
def test_the_search_finds_a_canary_in_each_of_its_forms(form: str) -> None:
    canaries = Canaries()
    text = form.format(canaries.add("canary", 'a "secret" / of + the shop'))
    for offset in range(4):
        moved = "." * offset + text
        for found in (moved, moved.encode().hex(), base64.b64encode(moved.encode()).decode(), json.dumps(moved)):
            assert canaries.found_in(found.encode()) == {"canary"}
        assert canaries.found_in(base64.urlsafe_b64encode(moved.encode())) == {"canary"}
        assert canaries.found_in(quote(moved).encode()) == {"canary"}
    assert canaries.found_in(b"nothing of it") == set()
