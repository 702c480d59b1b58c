"""Settings: read once, refused clearly, the same in the dataclass, in `.env.example` and in the README."""

import copy
import dataclasses
import json
import logging
import pickle
import pprint
import re
import traceback
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from adapters.sandbox import parse_latency
from entrypoints.secret import Secret
from entrypoints.setting_types import latency, secret_roots
from entrypoints.settings import LOOPBACK, SETTINGS, Settings, SettingsError, needed, read_settings
from payments_core.limits import LOGIN_PER_ADDRESS

ROOT = Path(__file__).parents[2]
SECRET = "kP3vXq9RtL7wZ2mB8nC5jH1sD6fG4yA0"
OTHER = "Zx8cV2bN6mQ1wE5rT9yU3iO7pA4sD0fG"


def read(**given: str) -> Settings:
    environ = {"PAYMENTS_SECRET_KEY": SECRET} | {f"PAYMENTS_{name.upper()}": text for name, text in given.items()}
    return read_settings(environ, env_file=None)


def refusal(**given: str) -> str:
    with pytest.raises(SettingsError) as refused:
        read(**given)
    return str(refused.value)


def test_nothing_set_but_a_secret_gives_the_defaults_of_development() -> None:
    assert read() == Settings(secret_key=Secret(SECRET))


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("env", "Production", "production"),
        ("database_url", "postgresql://u:p@h:5432/n", "postgresql://u:p@h:5432/n"),
        ("database_url", "postgresql+psycopg://postgres@/postgres?host=/tmp/x", None),
        ("database_replica_url", "postgresql://u:p@h:5432/n", None),
        ("database_pooler", "Transaction", "transaction"),
        ("database_connections", "25", 25),
        ("redis_url", "unix:///tmp/valkey.sock", "unix:///tmp/valkey.sock"),
        ("secret_key", f"{SECRET},{OTHER}", f"{SECRET},{OTHER}"),
        ("webhook_allowed_networks", "10.0.0.0/8, ::1/128", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
        ("webhook_allow_http", "on", True),
        ("webhook_allow_http", "False", False),
        ("webhook_ports", "443, 8080", frozenset({443, 8080})),
        ("webhook_proxy", "http://proxy:3128", None),
        ("webhook_proxy", "http://us%40er:p%3Aw%2F@[fd00::1]:3128/", None),
        (
            "webhook_schedule",
            "0s, 5m,2h,1d",
            (timedelta(0), timedelta(minutes=5), timedelta(hours=2), timedelta(days=1)),
        ),
        ("lookup_schedule", "1s", (timedelta(seconds=1),)),
        ("lease_seconds", "4", 4),
        ("registration", "closed", "closed"),
        ("metrics_port", "0", 0),
        ("metrics_host", "0.0.0.0", "0.0.0.0"),
        ("rate_limits", "off", False),
        ("limit_login_address", "5/2h", dataclasses.replace(LOGIN_PER_ADDRESS, amount=5, per_seconds=7200)),
        ("sandbox_latency_seconds", "3-5", (3.0, 5.0)),
        ("sandbox_approval_rate", "0.8", 0.8),
        ("sandbox_seed", "7", 7),
        ("trusted_proxies", "192.168.1.1/32", (ip_network("192.168.1.1/32"),)),
        ("allowed_hosts", "Pay.Example.com, *.example.org,[::1]", {"pay.example.com", "*.example.org", "[::1]"}),
        (
            "cors_origins",
            "https://Shop.example.com,http://[::1]:8080",
            {"https://shop.example.com", "http://[::1]:8080"},
        ),
        ("hsts_seconds", "0", 0),
        ("http_connections", "100000", 100_000),
        ("log_level", "WARNING", "warning"),
        ("log_format", "json", "json"),
    ],
)
def test_a_setting_is_read_from_its_text(field: str, text: str, value: object) -> None:
    value = text if value is None else value
    secret = field in {"database_url", "database_replica_url", "redis_url", "secret_key", "webhook_proxy"}
    assert getattr(read(**{field: text}), field) == (Secret(str(value)) if secret else value)


@pytest.mark.parametrize(
    ("field", "text", "line"),
    [
        ("env", "staging", '"staging" is not one of development, production'),
        ("database_pooler", "session", '"session" is not one of none, transaction'),
        ("database_connections", "1", '"1" is not a number from 4 to 1000'),
        ("metrics_port", "abc", '"abc" is not a number from 0 to 65535'),
        ("metrics_port", "65536", '"65536" is not a number from 0 to 65535'),
        ("metrics_port", "-1", '"-1" is not a number from 0 to 65535'),
        ("metrics_port", "٣", '"٣" is not a number from 0 to 65535'),
        ("metrics_host", "not a host", '"not a host" is neither an address nor a host name'),
        ("webhook_schedule", "5s,,1m", '"" is not a time such as 5s, 30m, 2h or 1d, of at most 30 days'),
        ("webhook_schedule", ",".join(["1s"] * 51), "51 steps are more than the 50 allowed"),
        ("webhook_schedule", "5s,1m", "the first attempt at a webhook is made at once: begin with 0s"),
        ("lookup_schedule", "31d", '"31d" is not a time such as 5s, 30m, 2h or 1d, of at most 30 days'),
        ("lease_seconds", "3", '"3" is not a number from 4 to 3600'),
        ("webhook_ports", "443,", '"" is not a number from 1 to 65535'),
        ("webhook_allowed_networks", "10.0.0.1/8", '"10.0.0.1/8" is not a network such as 10.0.0.0/8 or ::1/128'),
        ("webhook_allow_http", "maybe", '"maybe" is neither on nor off'),
        ("rate_limits", "2", '"2" is neither on nor off'),
        ("limit_api", "100", '"100" is not a rate such as 10/15m: a number, a slash, a time in s, m or h'),
        ("limit_api", "0/1s", '"0/1s" is not a rate from 1 to 1000000 in 1 s to 24 h'),
        ("sandbox_approval_rate", "nan", '"nan" is not a number from 0 to 1'),
        ("sandbox_approval_rate", "1.1", '"1.1" is not a number from 0 to 1'),
        ("sandbox_latency_seconds", "5-3", '"5-3" is not from 0 to 60 seconds, the smaller number first'),
        ("trusted_proxies", "proxy", '"proxy" is not a network'),
        ("allowed_hosts", "https://pay.example.com", '"https://pay.example.com" is not a name'),
        ("allowed_hosts", "pay.example.com:443", '"pay.example.com:443" is not a name'),
        ("allowed_hosts", "*", '"*" is not a name'),
        ("allowed_hosts", "a.*.example.com", '"a.*.example.com" is not a name'),
        ("allowed_hosts", "pay.example.com,", '"" is not a name'),
        ("allowed_hosts", ",".join(["a"] * 101), "101 names are more than the 100 allowed"),
        ("cors_origins", "*", '"*" is not an origin'),
        ("cors_origins", "null", '"null" is not an origin'),
        ("cors_origins", "https://*.example.com", '"https://*.example.com" is not an origin'),
        ("cors_origins", "https://shop.example.com/", '"https://shop.example.com/" is not an origin'),
        ("cors_origins", "https://shop.example.com:443", '"https://shop.example.com:443" is not an origin'),
        ("cors_origins", "shop.example.com", '"shop.example.com" is not an origin'),
        ("cors_origins", "https://user@shop.example.com", '"https://user@shop.example.com" is not an origin'),
        ("hsts_seconds", "-1", '"-1" is not a number from 0 to 315360000'),
        ("http_connections", "15", '"15" is not a number from 16 to 100000'),
        ("log_level", "loud", '"loud" is not one of debug, info, warning, error'),
    ],
)
def test_a_value_that_does_not_parse_gets_one_clear_line(field: str, text: str, line: str) -> None:
    said = refusal(**{field: text})
    assert said.startswith(f"PAYMENTS_{field.upper()}: {line}")
    assert "\n" not in said


def test_all_wrong_values_are_said_at_once_a_line_each() -> None:
    said = refusal(metrics_port="abc", log_level="loud", env="staging")
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        "PAYMENTS_ENV",
        "PAYMENTS_METRICS_PORT",
        "PAYMENTS_LOG_LEVEL",
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("proxy:3128", "https://u:hunter2@proxy:3128", "socks5://u:hunter2@proxy:1080", "http:u:hunter2@proxy:1"),
        *("http://u:hunter2@proxy", "http://u:hunter2@:3128", "http://u:hunter2@proxy:0", "http://u:hunter2@proxy:x"),
        *("http://u:hunter2@proxy:65536", "http://u:hunter2@proxy:3128/path", "http://u:hunter2@proxy:3128?x=y"),
        *("http://u:hunter2@proxy:3128#x", "http://u:hun/ter2@proxy:3128", "http://u:hun@ter2@proxy:3128"),
        *("http://u:hunter2:x@proxy:3128", "http://u:hunter2@pro xy:3128", "http://u:hunter2@pröxy:3128"),
        *("http://u:hunter2@proxy\r\nX: y:3128", "http://[::1", "http://u:hunter2@a,b:3128"),
    ],
)
def test_a_proxy_is_a_url_with_host_and_port_and_its_refusal_shows_nothing_of_it(text: str) -> None:
    said = refusal(webhook_proxy=text)
    assert said.startswith("PAYMENTS_WEBHOOK_PROXY: ")
    assert "http://user:password@host:3128" in said or "begins with http://" in said
    assert not {"hunter2", "ter2", "proxy:3128"} & set(re.split(r"[/@ ]", said))
    assert "\n" not in said


def _text_of_asdict(settings: Settings) -> str:
    return str(dataclasses.asdict(settings))


def _traceback_with_values(settings: Settings) -> str:
    """What the most talkative of tracebacks shows: each local variable."""
    try:
        raise ValueError(f"nothing can be done with {settings.database_url}")
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.mark.parametrize(
    "shown",
    [
        repr,
        str,
        "{0!r} {0!s} {0}".format,
        lambda settings: f"{settings.secret_key} {settings.secret_key!r} {settings.redis_url:>80}",
        lambda settings: "%s %r" % (settings.database_url, settings.database_replica_url),  # noqa: UP031
        lambda settings: str([settings.redis_url]) + str({settings.database_url: settings}),
        lambda settings: json.dumps(dataclasses.astuple(settings), default=repr),
        lambda settings: pprint.pformat(settings),
        _text_of_asdict,
        _traceback_with_values,
        lambda settings: repr(copy.deepcopy(settings)),
        lambda settings: logging.makeLogRecord({"msg": "%s", "args": (settings,)}).getMessage(),
    ],
)
def test_settings_show_their_secrets_in_no_way_of_printing(shown: Callable[[Settings], str]) -> None:
    url = "postgresql://u:hunter2@h/n"
    settings = read(
        database_url=url,
        database_replica_url=url,
        redis_url="redis://:hunter2@h",
        webhook_proxy="http://u:hunter2@proxy:3128",
    )
    said = shown(settings)
    assert "hunter2" not in said
    assert SECRET not in said


def test_a_secret_has_no_form_in_which_it_could_leave_the_process() -> None:
    secret = Secret(SECRET)
    for write in (json.dumps, pickle.dumps, msgspec.json.encode, msgspec.to_builtins, vars):
        with pytest.raises(TypeError) as refused:
            write(secret)
        assert SECRET not in str(refused.value)
    assert copy.copy(secret) is secret
    assert (secret, hash(secret)) == (Secret(SECRET), hash(Secret(SECRET)))
    assert secret != SECRET
    assert secret.reveal() == SECRET


def test_each_setting_whose_text_may_hold_a_secret_is_one() -> None:
    secret = {setting.field for setting in SETTINGS if setting.field.endswith(("_url", "_key", "_proxy"))}
    urls = {**dict.fromkeys(secret, "postgresql://h"), "redis_url": "redis://h", "webhook_proxy": "http://h:1"}
    given = read(**{field: url for field, url in urls.items() if field != "secret_key"})
    assert {field for field in secret if isinstance(getattr(given, field), Secret)} == secret


def test_what_a_process_needs_is_given_or_all_that_is_missing_is_said_a_line_each() -> None:
    url = "postgresql://u:p@h/n"
    assert needed(read(database_url=url), "database_url", "secret_key") == (Secret(url), Secret(SECRET))
    assert needed(read(), "secret_key") == (Secret(SECRET),)
    with pytest.raises(SettingsError) as refused:
        needed(Settings(), "database_url", "secret_key")
    database, secret = str(refused.value).splitlines()
    assert database.startswith("PAYMENTS_DATABASE_URL is not set: .env.example shows one")
    assert secret.startswith("PAYMENTS_SECRET_KEY is not set: make one with `openssl")


def test_each_of_several_secret_keys_must_be_long_enough() -> None:
    assert "key 2 of 2 has 5 bytes, at least 32 are needed" in refusal(secret_key=f"{SECRET},short")


@pytest.mark.parametrize("text", ["0", "0.2", "3-5", "60", "61", "5-3", "-1", "1-", "", "1e1", "0.1-0.2-0.3", "٣"])
def test_a_latency_is_what_the_sandbox_takes(text: str) -> None:
    def outcome(read: Callable[[str], object]) -> object:
        try:
            return read(text)
        except ValueError:
            return None

    assert outcome(latency) == outcome(parse_latency)


def test_secret_keys_are_read_in_their_order() -> None:
    assert secret_roots(SECRET) == (SECRET.encode(),)
    assert secret_roots(f" {SECRET} , {OTHER}") == (SECRET.encode(), OTHER.encode())
    assert len(secret_roots(",".join([SECRET] * 16))) == 16


@pytest.mark.parametrize("text", ["", " ", ",", "short-secret", f"{SECRET},", f"{SECRET},short-secret", "x" * 31])
def test_a_key_that_is_too_short_is_refused_in_one_line_that_shows_nothing_of_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^key \d of \d has \d+ bytes, at least 32 are needed; make one") as refused:
        secret_roots(text)
    message = str(refused.value)
    assert "\n" not in message
    assert SECRET not in message
    assert "short" not in message


def test_too_many_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="17 keys are more than the 16 allowed"):
        secret_roots(",".join([SECRET] * 17))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("database_url", "postgresql://h"),
        ("database_url", "postgres://u:p%2F%40@h:5432/n?sslmode=require"),
        ("database_url", "postgresql:///n"),
        ("database_url", "postgresql://u@[::1]:5432/n"),
        ("database_url", "postgresql://postgres@/postgres?host=%2Frun%2Fdata&port=5432"),
        ("redis_url", "redis://h"),
        ("redis_url", "redis://user:p%40@h:6379/15"),
        ("redis_url", "rediss://:p@[::1]:6379/0?ssl_cert_reqs=none"),
        ("redis_url", "unix://user:p@/run/valkey.sock?db=1"),
    ],
)
def test_a_url_that_says_where_to_connect_is_taken(field: str, text: str) -> None:
    assert getattr(read(**{field: text}), field) == Secret(text)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("database_url", "mysql://u:hunter2@h/n"),
        ("database_url", "postgresql:hunter2"),
        ("database_url", "postgresql://u:hunter2/x@h/n"),
        ("database_url", "postgresql://u:1/hunter2@h/n"),
        ("database_url", "postgresql://u:p@hunter2@h/n"),
        ("database_url", "postgresql://u:hunter2#x@h/n"),
        ("database_url", "postgresql://u:1#hunter2@h/n"),
        ("database_url", "postgresql://u:hunter2?x@h/n"),
        ("database_url", "postgresql://u:hunter2 x@h/n"),
        ("database_url", "postgresql://u:hunter2@h:abc/n"),
        ("database_url", "postgresql://u:hunter2@h:65536/n"),
        ("database_url", "postgresql://u:hunter2@[::1/n"),
        ("redis_url", "hunter2"),
        ("redis_url", "redis:hunter2"),
        ("redis_url", "redis://:hunter2/x@h:6379/0"),
        ("redis_url", "redis://:1/hunter2@h:6379/0"),
        ("redis_url", "redis://u:1/hunter2@h:6379/0"),
        ("redis_url", "redis://:hunter2#x@h"),
        ("redis_url", "redis://:p@hunter2@h"),
        ("redis_url", "redis://:hunter2@"),
        ("redis_url", "redis://:hunter2@h:6379/abc"),
        ("redis_url", "redis://:hunter2@h?socket_timeout=1"),
        ("redis_url", "redis://:hunter2@h?socket_timeout="),
        ("redis_url", "unix://hunter2/valkey.sock"),
        ("secret_key", "hunter2"),
    ],
)
def test_a_secret_that_does_not_parse_is_refused_in_one_line_and_not_shown(field: str, text: str) -> None:
    said = refusal(**{field: text})
    assert said.startswith(f"PAYMENTS_{field.upper()}: ")
    assert "hunter2" not in said
    assert "\n" not in said


def test_an_empty_text_is_not_set() -> None:
    assert read(metrics_port="", database_url=" ", env="") == Settings(secret_key=Secret(SECRET))


def test_defaults_of_a_command_give_way_to_the_environment() -> None:
    local = Settings(secret_key=Secret(SECRET), webhook_allowed_networks=LOOPBACK, webhook_allow_http=True)
    assert read_settings({}, env_file=None, defaults=local) == local
    changed = read_settings({"PAYMENTS_WEBHOOK_ALLOW_HTTP": "off"}, env_file=None, defaults=local)
    assert changed == dataclasses.replace(local, webhook_allow_http=False)


class TestAnEnvFile:
    def test_is_read_and_the_environment_wins(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_text(f"PAYMENTS_SECRET_KEY={SECRET}\nPAYMENTS_METRICS_PORT=1\nPAYMENTS_SANDBOX_SEED='7'\n")
        settings = read_settings({"PAYMENTS_METRICS_PORT": "2", "PAYMENTS_SANDBOX_SEED": ""}, env_file=file)
        assert (settings.secret_key, settings.metrics_port, settings.sandbox_seed) == (Secret(SECRET), 2, 7)

    def test_refers_to_no_other_variable(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/nowhere")
        file = tmp_path / ".env"
        file.write_text(f"PAYMENTS_SECRET_KEY={SECRET}${{HOME}}$HOME\n")
        assert read_settings({}, env_file=file).secret_key == Secret(f"{SECRET}${{HOME}}$HOME")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            (f'PAYMENTS_METRICS_PORT=1\n\nPAYMENTS_SECRET_KEY="{SECRET}\nPAYMENTS_ENV=production\n', 3),
            (f'PAYMENTS_SECRET_KEY="{SECRET}\nPAYMENTS_ENV="production"\n', 1),
            (f"POSTGRES_PASSWORD='{SECRET}\nPAYMENTS_ENV='production\n", 1),
            (f"\r\n# ours\r\nPAYMENTS_SECRET_KEY='{SECRET}\r\nPAYMENTS_ENV=production'\r\n", 3),
            (f"OTHER='\nexport PAYMENTS_SECRET_KEY={SECRET}\n'\n", 1),
            ("PAYMENTS_ENV production\n", 1),
            ("\nPAYMENTS_ENV: production\n", 2),
            ("PAYMENTS_ENV:production\n", 1),
            ("export PAYMENTS_ENV\n", 1),
            ("PAYMENTS_ENV='production' development\n", 1),
        ],
    )
    def test_that_does_not_parse_is_refused_with_its_line_and_not_shown(
        self, text: str, line: int, tmp_path: Path
    ) -> None:
        file = tmp_path / ".env"
        file.write_bytes(text.encode())
        with pytest.raises(SettingsError) as refused:
            read_settings({}, env_file=file)
        assert str(refused.value) == f"{file}, line {line}: is not NAME=value, or a quote is not closed"

    def test_in_another_encoding_is_refused_with_its_line(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_bytes(b"PAYMENTS_ENV=production\n# caf\xe9\n")
        with pytest.raises(SettingsError, match=r"\.env, line 2: is not UTF-8: save the file in that encoding$"):
            read_settings({}, env_file=file)

    def test_may_hold_lines_of_other_programs(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_bytes(b"\xef\xbb\xbfexport PAYMENTS_METRICS_PORT=1\r\nPEM='a\r\nb'\r\nFLAG # PAYMENTS_ENV\r\n")
        assert read_settings({}, env_file=file) == Settings(metrics_port=1)

    def test_may_be_missing(self, tmp_path: Path) -> None:
        assert read_settings({"PAYMENTS_SECRET_KEY": SECRET}, env_file=tmp_path / ".env").secret_key == Secret(SECRET)

    def test_that_is_the_example_gives_the_defaults(self, tmp_path: Path) -> None:
        example = (ROOT / ".env.example").read_text()
        file = tmp_path / ".env"
        file.write_text(re.sub(r"^#(PAYMENTS_)", r"\1", example, flags=re.MULTILINE))
        settings = read_settings({"PAYMENTS_SECRET_KEY": SECRET}, env_file=file)
        shown = {"database_url", "redis_url"}
        plain = dataclasses.replace(settings, **dict.fromkeys(shown), notices=())  # type: ignore[arg-type]  # both optional
        assert plain == Settings(secret_key=Secret(SECRET))


class TestNotices:
    def test_name_what_is_unknown_and_what_was_meant(self) -> None:
        environ = {"PAYMENTS_METRIC_PORT": "1", "PAYMENTS_PORT": "tcp://10.0.0.1:80", "OTHER": "x"}
        settings = read_settings({**environ, "PAYMENTS_SECRET_KEY": SECRET}, env_file=None)
        assert settings.notices == (
            "PAYMENTS_METRIC_PORT is no setting; did you mean PAYMENTS_METRICS_PORT?",
            "PAYMENTS_PORT is no setting and is ignored",
        )

    def test_name_what_weakens_an_installation(self) -> None:
        settings = read(webhook_allow_http="on", webhook_allowed_networks="10.0.0.0/8", rate_limits="off")
        names = [notice.partition(":")[0] for notice in settings.notices]
        assert names == ["PAYMENTS_WEBHOOK_ALLOWED_NETWORKS", "PAYMENTS_WEBHOOK_ALLOW_HTTP", "PAYMENTS_RATE_LIMITS"]

    def test_pass_over_what_a_command_of_development_brings_along(self) -> None:
        local = Settings(secret_key=Secret(SECRET), webhook_allowed_networks=LOOPBACK, webhook_allow_http=True)
        assert read_settings({}, env_file=None, defaults=local).notices == ()
        production = read_settings({"PAYMENTS_ENV": "production"}, env_file=None, defaults=local)
        assert len(production.notices) == 3


class TestProduction:
    def test_closes_registration_unless_it_is_opened(self) -> None:
        assert read(env="production").registration == "closed"
        opened = read(env="production", registration="open")
        assert opened.registration == "open"
        assert opened.notices[0] == "PAYMENTS_REGISTRATION: anybody can open an account"

    def test_says_that_any_host_is_answered_until_ours_are_named(self) -> None:
        line = "PAYMENTS_ALLOWED_HOSTS: requests are answered whatever host they name"
        assert read(env="production").notices == (line,)
        assert read(env="production", allowed_hosts="pay.example.com").notices == ()

    @pytest.mark.parametrize(
        "secret",
        [
            "development-secret-key-0123456789abcdef",
            "CHANGE-ME-CHANGE-ME-CHANGE-ME-CHANGE-ME",
            "0" * 40,
            f"{SECRET}, insecure-insecure-insecure-insecure",
        ],
    )
    def test_refuses_a_secret_that_somebody_copied(self, secret: str) -> None:
        assert refusal(env="production", secret_key=secret).startswith("PAYMENTS_SECRET_KEY: looks like a placeholder")
        assert read(secret_key=secret).secret_key == Secret(secret)

    @pytest.mark.parametrize(
        "password",
        [
            "postgres",
            "Postgres1!",
            "payments",
            "password",
            "passwort123",
            "changeme-changeme",
            "change_me",
            "aaaaaaaaaaaa",
            "12345678",
            "11111111111111111111",
            "shop",
            "shop2026!",
            "hunter2",
            "secret%21",
            "test",
            "redis",
        ],
    )
    @pytest.mark.parametrize(
        ("field", "url"),
        [
            ("database_url", "postgresql://shop:{}@h/n?sslmode=verify-full"),
            ("database_url", "postgresql://shop@h/n?password={}&sslmode=verify-full"),
            ("database_replica_url", "postgres://shop:{}@127.0.0.1/n"),
            ("redis_url", "rediss://shop:{}@h"),
            ("redis_url", "unix://shop:{}@/run/valkey.sock"),
        ],
    )
    def test_refuses_a_password_that_is_a_default_a_placeholder_or_short(
        self, field: str, url: str, password: str
    ) -> None:
        said = refusal(env="production", **{field: url.format(password)})
        assert said.startswith(f"PAYMENTS_{field.upper()}: its password ")
        assert password not in said.replace("its password", "")
        assert "\n" not in said
        assert getattr(read(**{field: url.format(password)}), field) == Secret(url.format(password))

    def test_refuses_what_the_example_and_the_arrangement_for_containers_show(self) -> None:
        example = (ROOT / ".env.example").read_text()
        urls = re.findall(r"^#PAYMENTS_(DATABASE_URL)=(\S+)", example, flags=re.MULTILINE)
        assert urls
        for name, url in urls:
            assert "its password is a default" in refusal(env="production", **{name.lower(): url})
        for name in ("PAYMENTS_SECRET_KEY", "POSTGRES_PASSWORD"):
            assert re.search(rf"^{name}=$", example, flags=re.MULTILINE), "nothing to copy as it stands"

    @pytest.mark.parametrize(
        ("field", "url"),
        [
            ("database_url", "postgresql://shop:9f3c5a1be07d44c2@127.0.0.1/n"),
            ("database_url", "postgresql://shop:9f3c5a1be07d44c2@h/n?sslmode=verify-full"),
            ("database_url", "postgresql://shop@/n?host=/run/postgresql"),
            ("database_url", "postgresql:///n"),
            ("database_url", "postgresql://shop:8302719465130284@[::1]/n"),
            ("redis_url", "redis://localhost"),
            ("redis_url", "redis://:8302719465130284@localhost"),
            ("redis_url", "rediss://:uPasswordless-9x@h"),
            ("redis_url", "unix:///run/valkey.sock"),
        ],
    )
    def test_takes_passwords_of_ones_own_and_servers_that_ask_for_none(self, field: str, url: str) -> None:
        settings = read(env="production", allowed_hosts="pay.example.com", **{field: url})
        assert getattr(settings, field) == Secret(url)
        assert settings.notices == ()

    @pytest.mark.parametrize(
        ("field", "url"),
        [
            ("database_url", "postgresql://shop:9f3c5a1be07d44c2@db/n"),
            ("database_url", "postgresql://shop:9f3c5a1be07d44c2@10.0.0.1/n?sslmode=prefer"),
            ("database_replica_url", "postgresql://shop@/n?host=db.example.com"),
            ("redis_url", "redis://valkey:6379/0"),
        ],
    )
    def test_says_which_servers_are_talked_to_in_the_clear(self, field: str, url: str) -> None:
        (notice,) = read(env="production", allowed_hosts="pay.example.com", **{field: url}).notices
        assert notice.startswith(f"PAYMENTS_{field.upper()}: what is said to this server may pass the network unencry")
        assert "9f3c" not in notice
        assert read(**{field: url}).notices == ()


class TestTheTable:
    def test_has_each_field_of_the_settings_once(self) -> None:
        fields = [field.name for field in dataclasses.fields(Settings) if field.name != "notices"]
        assert [setting.field for setting in SETTINGS] == fields

    def test_gives_defaults_that_are_those_of_the_dataclass(self) -> None:
        words = {"empty", "none"}
        for setting in SETTINGS:
            plain = re.fullmatch(r"[^`, ]+(,[^`, ]+)*", setting.default)
            if plain and setting.default not in words:
                assert setting.read(setting.default) == getattr(Settings(), setting.field), setting.name

    def test_is_the_order_of_the_example_file(self) -> None:
        example = (ROOT / ".env.example").read_text()
        assert re.findall(r"^#?(PAYMENTS_[A-Z_]+)=", example, flags=re.MULTILINE) == [each.name for each in SETTINGS]

    def test_is_in_the_readme(self) -> None:
        readme = (ROOT / "README.md").read_text()
        section = re.search(r"^## Settings$(.*?)(^## |\Z)", readme, flags=re.MULTILINE | re.DOTALL)
        assert section is not None
        assert re.findall(r"^\| `(PAYMENTS_[A-Z_]+)`", section[1], flags=re.MULTILINE) == [
            setting.name for setting in SETTINGS
        ]
