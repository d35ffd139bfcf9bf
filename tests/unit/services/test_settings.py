"""The settings: what is taken, what each bad one is told, and that no value of a bad or secret one ever shows."""

from __future__ import annotations

import re
import urllib.parse

import pytest
from azure.servicebus import ServiceBusClient

from services.app_services import build
from services.connection_budget import ConnectionBudget
from services.redis_session.redis_service import RedisService
from services.settings import HOST_TELEMETRY, SETTING_NAMES, WORKER_TELEMETRY, Settings, load_settings
from tests.properties import given, st

SECRET = "hunter2"
BUS_KEY = f"SharedAccessKeyName=app;SharedAccessKey={SECRET}"
BUS = f"Endpoint=sb://example.servicebus.windows.net/;{BUS_KEY}="
GOOD = {"REDIS_URL": f"rediss://:{SECRET}@cache.example:6380/0", "ServiceBusConnection": BUS, "ORDERS_QUEUE": "orders"}
IDENTITY, REDIS_IDENTITY = "ServiceBusConnection__fullyQualifiedNamespace", "REDIS_ENTRA_CLIENT_ID"
GUID = "11111111-2222-4333-8444-555555555555"
BUDGET = GOOD | {"REDIS_TIER": "Basic_C0", "SCALE_OUT_LIMIT": "100"}


def problems_with(**changes: str) -> tuple[str, ...]:
    return load_settings({**GOOD, **changes}).problems


def test_what_is_left_out_gets_the_documented_default() -> None:
    settings = load_settings(GOOD)
    assert settings.redis_connections_per_worker == 1
    assert (settings.redis_idle_check_s, settings.hold_s, settings.patience_s) == (15, 900, 120)


@pytest.mark.parametrize(
    ("name", "text", "attribute", "value"),
    [
        ("REDIS_CONNECTIONS_PER_WORKER", "2", "redis_connections_per_worker", 2),
        ("REDIS_IDLE_CHECK_S", "0", "redis_idle_check_s", 0.0),
        ("HOLD_S", "1.5", "hold_s", 1.5),
        ("HOLD_S", " 60 ", "hold_s", 60.0),
        ("PATIENCE_S", "270", "patience_s", 270.0),
        ("ORDERS_QUEUE", "team/orders-1", "orders_queue", "team/orders-1"),
        ("ServiceBusConnection__clientId", GUID, "service_bus_client_id", GUID),
        ("ServiceBusConnection__credential", "managedidentity", "service_bus_credential", "managedidentity"),
        *((WORKER_TELEMETRY, text, "telemetry", False) for text in ("", "false", "0", "no")),
    ],
)
def test_a_good_setting_is_taken(name: str, text: str, attribute: str, value: object) -> None:
    settings = load_settings({**GOOD, name: text})
    assert (settings.problems, getattr(settings, attribute)) == ((), value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "redis://localhost",
        "redis://[::1]:6379",
        "rediss://user:p%40ss@cache.example:6380/15",
        "rediss://:ab+cd=@cache.example:6380/0",
        "rediss://:ab%2Fcd%2B%3D%40%25@cache.example:6380/0",
        " redis://localhost:6379/0\n",
    ],
)
def test_a_usable_redis_address_is_taken_and_its_password_reaches_redis_as_it_is(url: str) -> None:
    settings = load_settings({**GOOD, "REDIS_URL": url})
    assert settings.problems == ()
    assert settings.redis_url is not None
    client = RedisService(settings.redis_url.get_secret_value())._new_client()
    password = urllib.parse.unquote(urllib.parse.urlsplit(url).password or "")
    assert (client.connection_pool.connection_kwargs["password"] or "") == password


@pytest.mark.parametrize(
    "text",
    [
        BUS,
        f"endpoint=sb://bus.example;sharedaccesskeyname=app;SHAREDACCESSKEY={SECRET}",
        f"Endpoint=SB://bus.example/;{BUS_KEY};",
        f"Endpoint=sb://127.0.0.1:5672;{BUS_KEY};UseDevelopmentEmulator=true;",
        f"Endpoint=sb://bus.example/;{BUS_KEY};EntityPath=orders",
        "Endpoint=sb://bus.example/;SharedAccessSignature=SharedAccessSignature sr=x&sig=y&se=1",
    ],
)
def test_a_connection_string_that_the_sdk_takes_is_taken(text: str) -> None:
    assert problems_with(ServiceBusConnection=text) == ()
    ServiceBusClient.from_connection_string(text).get_queue_sender("orders")


def test_identities_replace_the_password_and_the_connection_string() -> None:
    settings = load_settings(
        {
            "REDIS_URL": "rediss://cache.example:10000/0",
            REDIS_IDENTITY: GUID,
            IDENTITY: "example.servicebus.windows.net",
            "ORDERS_QUEUE": "orders",
        }
    )
    assert (settings.redis_entra_client_id, settings.problems) == (GUID, ())


# Behind what stands for a password in a connection string of the portal: what to write instead.
OF_THE_PORTAL = [
    (":6380,password=SECRET/=,ssl=True,abortConnect=False", "rediss://:PASSWORD@cache.example:6380/0"),
    (",ssl=True,Password=SECRET", "rediss://:PASSWORD@cache.example:6380/0"),
    (":10000,password=SECRET@,ssl=True", "rediss://:PASSWORD@cache.example:10000/0"),
    (",password=SECRET,ssl=False", "redis://:PASSWORD@cache.example:6379/0"),
]
WITHOUT_MORE = {  # bad ones of which the reason is not looked at
    "REDIS_CONNECTIONS_PER_WORKER": ("0", "101", f"two {SECRET}"),
    "REDIS_IDLE_CHECK_S": ("-1", "601", "nan"),
    "HOLD_S": ("0", "604801", "nan", f"15 min {SECRET}"),
    "PATIENCE_S": ("-1", "271", "inf"),
    "ORDERS_QUEUE": (f"orders {SECRET}", "/orders", "x" * 261),
    "ServiceBusConnection__credential": (f"password {SECRET}",),
    "ServiceBusConnection__clientId": (SECRET,),
    REDIS_IDENTITY: (SECRET, GUID + "0", "{" + GUID + "}", GUID.replace("-", "")),
    IDENTITY: (SECRET, f"https://{SECRET}.servicebus.windows.net", f"{SECRET}.example:0", f"{SECRET}.example:65536"),
}
BAD = [
    *((name, text, "") for name, texts in WITHOUT_MORE.items() for text in texts),
    (WORKER_TELEMETRY, SECRET, "must be true or false$"),
    *(
        (name, around.format("orders"), "has a space or a line break around it")
        for name in ("ORDERS_QUEUE", IDENTITY)
        for around in (" {}", "{} ", "{}\n")
    ),
    ("ServiceBusConnection", SECRET, ""),
    ("ServiceBusConnection", f"Endpoint=https://example;{BUS_KEY}", ""),
    ("ServiceBusConnection", f"Endpoint=sb://example;SharedAccessKey={SECRET}", ""),
    ("ServiceBusConnection", f"Endpoint=sb://example;SharedAccessKeyName={SECRET}", ""),
    *(
        ("ServiceBusConnection", f"Endpoint=sb://bus.example:{port}/;{BUS_KEY}", ".*a port that is not a number")
        for port in ("port", "99999")
    ),
    *(
        ("ServiceBusConnection", f"Endpoint=sb://{host};{BUS_KEY}", ".*must name a host")
        for host in ("", "two words/", "bus..example/", f"{'x' * 64}.example/", "app@bus.example/")
    ),
    ("ServiceBusConnection", f"Endpoint=sb://bus.example/;{BUS_KEY}\udcff", ".*be UTF-8"),
    (
        "ServiceBusConnection",
        f"Endpoint=sb://bus.example/;{BUS_KEY};SharedAccessSignature=x",
        ".*or SharedAccessSignature",
    ),
    (
        "ServiceBusConnection",
        f"Endpoint=sb://bus.example/;{BUS_KEY};rubbish",
        ".*must be a Service Bus connection string",
    ),
    ("REDIS_URL", f"http://:{SECRET}@cache:6380", ""),
    ("REDIS_URL", f"REDIS://:{SECRET}@cache:6380", ""),
    ("REDIS_URL", f"cache.redis.cache.windows.net:6380,password={SECRET},ssl=True", ""),
    ("REDIS_URL", f"redis://:{SECRET}@", ""),
    ("REDIS_URL", f"redis://:{SECRET}@cache:0/0", ""),
    ("REDIS_URL", f"redis://:{SECRET}@cache:99999/0", ""),
    ("REDIS_URL", f"redis://:{SECRET}@cache:port/0", ""),
    ("REDIS_URL", f"redis://:{SECRET}@cache:6380/zero", ""),
    ("REDIS_URL", f"redis://:{SECRET}@cache:6380/0?socket_timeout=9", ""),
    ("REDIS_URL", f"redis://:{SECRET}@cache:6380/0#x", ""),
    ("REDIS_URL", f"redis://:{SECRET}@[::1", ""),
    ("REDIS_URL", f"redis://:{SECRET}\u2100@cache:6380/0", ""),
    ("REDIS_URL", f"redis://:{SECRET}\udcff@cache:6380/0", ""),
    ("REDIS_URL", f"redis://:{SECRET}@cache..example:6380/0", ""),
    ("REDIS_URL", f"redis://:{SECRET}@{'x' * 64}.example:6380/0", ""),
    ("REDIS_URL", f"unix:///{SECRET}", ""),
    *(
        (
            "REDIS_URL",
            f"rediss://:{SECRET}{key}@cache.example:6380/0",
            "percent-encode the password: rediss://:PASSWORD@host:port/0",
        )
        for key in ("a/b", "a#b", "a?b", "a[b", "a%b", "a%zz", "a@b", "ab/cd+ef=")
    ),
    *(
        (
            "REDIS_URL",
            f"{scheme}cache.example{rest.replace('SECRET', SECRET)}",
            f".*write {instead} and percent-encode the password",
        )
        for scheme in ("", "rediss://", "redis://")
        for rest, instead in OF_THE_PORTAL
    ),
    *((name, empty, "is missing") for name in GOOD for empty in ("", "  ")),
]


@pytest.mark.parametrize(("name", "text", "reason"), BAD)
def test_a_bad_setting_is_one_problem_with_a_reason_and_without_the_value_and_counts_as_left_out(
    name: str, text: str, reason: str
) -> None:
    settings = load_settings({**GOOD, name: text})
    (problem,) = settings.problems
    named, _, told = problem.partition(": ")
    assert (named, bool(told), "pattern" in told) == (name, True, False)
    assert re.match(reason, told)
    assert SECRET not in f"{problem} {settings!r} {settings}"
    left_out = load_settings({other: good for other, good in GOOD.items() if other != name})
    assert settings.model_copy(update={"problems": ()}) == left_out.model_copy(update={"problems": ()})


@pytest.mark.parametrize(
    "url",
    [
        f"rediss://:{SECRET}@cache.example:10000/0",
        f"rediss://somebody:{SECRET}@cache.example:10000/0",
        "rediss://somebody@cache.example:10000/0",
        "redis://cache.example:10000/0",
    ],
)
def test_a_password_or_a_plain_connection_next_to_a_client_id_is_named_and_left_out(url: str) -> None:
    settings = load_settings({**GOOD, REDIS_IDENTITY: GUID, "REDIS_URL": url})
    (problem,) = settings.problems
    assert problem.startswith("REDIS_URL: must be rediss://host:port/0 without user and password")
    assert SECRET not in problem
    assert settings.redis_url is None


def test_a_connection_string_of_another_queue_is_a_problem() -> None:
    (problem,) = problems_with(ServiceBusConnection=f"{BUS};EntityPath=other")
    assert problem.startswith("ServiceBusConnection: its EntityPath is another queue")
    assert SECRET not in problem


@pytest.mark.parametrize("name", [*SETTING_NAMES, "PARTNER_KEY"])
def test_an_unresolved_key_vault_reference_is_reported_in_any_setting(name: str) -> None:
    problems = problems_with(**{name: f"@Microsoft.KeyVault(SecretUri=https://{SECRET}.vault.azure.net/secrets/x)"})
    assert any(one.startswith(f"{name}: is a Key Vault reference that is not resolved") for one in problems)
    assert SECRET not in str(problems)


def test_without_any_setting_each_needed_one_is_missing() -> None:
    assert {problem[: problem.index(" is missing") + 11] for problem in load_settings({}).problems} == {
        f"{name}: is missing" for name in GOOD
    }


def test_every_bad_setting_has_its_own_line() -> None:
    bad = problems_with(
        REDIS_URL="@Microsoft.KeyVault()", ORDERS_QUEUE="a ", HOLD_S="x", PATIENCE_S="x", ServiceBusConnection="x"
    )
    names = ["HOLD_S", "ORDERS_QUEUE", "PATIENCE_S", "REDIS_URL", "ServiceBusConnection"]
    assert sorted(problem.split(":")[0] for problem in bad) == names


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "y", "t"])
def test_telemetry_is_on_for_what_the_worker_takes_for_true(text: str) -> None:
    settings = load_settings({**GOOD, WORKER_TELEMETRY: text, HOST_TELEMETRY: "OpenTelemetry"})
    assert (settings.telemetry, settings.problems) == (True, ())


@pytest.mark.parametrize(
    ("worker", "host"),
    [("true", ""), ("true", "ApplicationInsights"), ("", "OpenTelemetry"), ("false", "opentelemetry")],
)
def test_the_host_s_and_the_worker_s_telemetry_set_apart_is_a_problem(worker: str, host: str) -> None:
    (problem,) = problems_with(**{WORKER_TELEMETRY: worker, HOST_TELEMETRY: host})
    assert problem.startswith(f"{HOST_TELEMETRY}: ")
    assert "logs are lost" in problem


def test_every_input_of_the_budget_is_a_setting() -> None:
    inputs = {"SCALE_GROUPS": "1", "ALWAYS_READY_INSTANCES": "3", "FUNCTIONS_WORKER_PROCESS_COUNT": "1"}
    inputs |= {"REDIS_CONNECTIONS_PER_WORKER": "2", "REDIS_HEADROOM_PERCENT": "10"}
    assert load_settings(BUDGET | inputs).connection_budget == ConnectionBudget("Basic_C0", 100, 1, 3, 1, 2, 10)


def test_the_fleet_of_2023_within_its_budget_has_no_problem() -> None:
    assert load_settings(BUDGET).problems == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REDIS_CONNECTIONS_PER_WORKER", "2"),
        ("SCALE_OUT_LIMIT", "103"),
        ("ALWAYS_READY_INSTANCES", "5"),
        ("FUNCTIONS_WORKER_PROCESS_COUNT", "2"),
        ("REDIS_HEADROOM_PERCENT", "30"),
        ("SCALE_GROUPS", "3"),
    ],
)
def test_over_budget_is_one_problem_with_the_numbers_and_everything_is_still_served(name: str, text: str) -> None:
    settings = load_settings(BUDGET | {name: text})
    (problem,) = settings.problems
    assert problem.startswith("Redis connection budget exceeded: Basic_C0 allows 256 clients")
    assert settings.redis_url is not None


def test_without_tier_and_limit_as_on_ones_own_machine_nothing_is_checked() -> None:
    settings = load_settings(GOOD | {"REDIS_CONNECTIONS_PER_WORKER": "100"})
    assert (settings.connection_budget, settings.problems) == (None, ())


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("REDIS_TIER", "", "REDIS_TIER: is missing.*"),
        ("SCALE_OUT_LIMIT", "", "SCALE_OUT_LIMIT: is missing.*"),
        ("REDIS_TIER", "Basic_C9", "REDIS_TIER: is not in services/redis_tiers.json"),
    ],
)
def test_a_budget_without_a_known_tier_and_a_limit_is_a_problem(name: str, text: str, problem: str) -> None:
    (told,) = load_settings(BUDGET | {name: text}).problems
    assert re.fullmatch(problem, told)


def test_good_secrets_show_in_no_repr() -> None:
    settings = load_settings(GOOD)
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"


def test_other_environment_variables_are_not_read() -> None:
    assert load_settings({**GOOD, "problems": "x", "hold_s": "1"}) == load_settings(GOOD)


@given(st.dictionaries(st.sampled_from(SETTING_NAMES), st.text(max_size=40)))
def test_loading_never_raises_and_what_it_gives_can_be_built_from(environment: dict[str, str]) -> None:
    settings = load_settings(environment)
    assert isinstance(settings, Settings)
    assert build(settings).settings is settings
