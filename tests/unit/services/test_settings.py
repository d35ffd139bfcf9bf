"""The settings: what is taken, what each bad one is told, and that no value of a bad or secret one ever shows."""

from __future__ import annotations

import urllib.parse

import pytest
from azure.servicebus import ServiceBusClient

from services.app_services import build
from services.redis_session.redis_service import RedisService
from services.settings import SETTING_NAMES, Settings, load_settings
from tests.properties import given, st

SECRET = "hunter2"
BUS = f"Endpoint=sb://example.servicebus.windows.net/;SharedAccessKeyName=app;SharedAccessKey={SECRET}="
GOOD = {"REDIS_URL": f"rediss://:{SECRET}@cache.example:6380/0", "ServiceBusConnection": BUS, "ORDERS_QUEUE": "orders"}
IDENTITY = "ServiceBusConnection__fullyQualifiedNamespace"
GUID = "11111111-2222-4333-8444-555555555555"


def problems_with(**changes: str) -> tuple[str, ...]:
    return load_settings({**GOOD, **changes}).problems


def test_good_settings_have_no_problem() -> None:
    assert load_settings(GOOD).problems == ()


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
        " redis://localhost:6379/0\n",
    ],
)
def test_a_usable_redis_address_is_taken_and_redis_py_can_use_it(url: str) -> None:
    settings = load_settings({**GOOD, "REDIS_URL": url})
    assert settings.problems == ()
    assert settings.redis_url is not None
    RedisService(settings.redis_url.get_secret_value())._new_client()


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{SECRET}@cache:6380",
        f"REDIS://:{SECRET}@cache:6380",
        f"cache.redis.cache.windows.net:6380,password={SECRET},ssl=True",
        f"redis://:{SECRET}@",
        f"redis://:{SECRET}@cache:0/0",
        f"redis://:{SECRET}@cache:99999/0",
        f"redis://:{SECRET}@cache:port/0",
        f"redis://:{SECRET}@cache:6380/zero",
        f"redis://:{SECRET}@cache:6380/0?socket_timeout=9",
        f"redis://:{SECRET}@cache:6380/0#x",
        f"redis://:{SECRET}@[::1",
        f"redis://:{SECRET}\u2100@cache:6380/0",
        f"redis://:{SECRET}\udcff@cache:6380/0",
        f"redis://:{SECRET}@cache..example:6380/0",
        f"redis://:{SECRET}@{'x' * 64}.example:6380/0",
        f"unix:///{SECRET}",
    ],
)
def test_an_unusable_redis_address_is_named_and_left_out_and_never_shown(url: str) -> None:
    settings = load_settings({**GOOD, "REDIS_URL": url})
    assert [problem.split(":")[0] for problem in settings.problems] == ["REDIS_URL"]
    assert settings.redis_url is None
    assert SECRET not in f"{settings.problems} {settings!r} {settings}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REDIS_CONNECTIONS_PER_WORKER", "0"),
        ("REDIS_CONNECTIONS_PER_WORKER", "101"),
        ("REDIS_CONNECTIONS_PER_WORKER", f"two {SECRET}"),
        ("REDIS_IDLE_CHECK_S", "-1"),
        ("REDIS_IDLE_CHECK_S", "601"),
        ("REDIS_IDLE_CHECK_S", "nan"),
        ("HOLD_S", "0"),
        ("HOLD_S", "604801"),
        ("HOLD_S", "nan"),
        ("HOLD_S", f"15 min {SECRET}"),
        ("PATIENCE_S", "-1"),
        ("PATIENCE_S", "271"),
        ("PATIENCE_S", "inf"),
        ("ORDERS_QUEUE", f"orders {SECRET}"),
        ("ORDERS_QUEUE", "/orders"),
        ("ORDERS_QUEUE", "x" * 261),
        ("ServiceBusConnection", SECRET),
        ("ServiceBusConnection", f"Endpoint=https://example;SharedAccessKeyName=app;SharedAccessKey={SECRET}"),
        ("ServiceBusConnection", f"Endpoint=sb://example;SharedAccessKey={SECRET}"),
        ("ServiceBusConnection", f"Endpoint=sb://example;SharedAccessKeyName={SECRET}"),
        (IDENTITY, f"https://{SECRET}.servicebus.windows.net"),
        ("ServiceBusConnection__credential", f"password {SECRET}"),
        (IDENTITY, SECRET),
        (IDENTITY, f"{SECRET}.example:0"),
        (IDENTITY, f"{SECRET}.example:65536"),
        ("ServiceBusConnection__clientId", SECRET),
        ("REDIS_ENTRA_CLIENT_ID", SECRET),
    ],
)
def test_a_bad_setting_is_one_problem_with_name_and_reason_and_without_the_value(name: str, text: str) -> None:
    settings = load_settings({**GOOD, name: text})
    (problem,) = settings.problems
    named, _, reason = problem.partition(": ")
    assert (named, bool(reason), "pattern" in reason) == (name, True, False)
    assert SECRET not in f"{problem} {settings!r}"


@pytest.mark.parametrize("key", ["a/b", "a#b", "a?b", "a[b", "a%b", "a%zz", "a@b", "ab/cd+ef="])
def test_a_redis_key_that_is_not_percent_encoded_is_reported_with_the_right_form(key: str) -> None:
    (problem,) = problems_with(REDIS_URL=f"rediss://:{SECRET}{key}@cache.example:6380/0")
    assert problem.startswith("REDIS_URL: percent-encode the password: rediss://:PASSWORD@host:port/0")
    assert SECRET not in problem


@pytest.mark.parametrize("key", ["ab+cd=", "ab%2Fcd%2B%3D%40%25"])
def test_a_key_with_a_plus_or_well_encoded_reaches_redis_as_it_is(key: str) -> None:
    settings = load_settings({**GOOD, "REDIS_URL": f"rediss://:{key}@cache.example:6380/0"})
    assert settings.problems == ()
    assert settings.redis_url is not None
    client = RedisService(settings.redis_url.get_secret_value())._new_client()
    assert client.connection_pool.connection_kwargs["password"] == urllib.parse.unquote(key)


@pytest.mark.parametrize("scheme", ["", "rediss://", "redis://"])
@pytest.mark.parametrize(
    ("rest", "instead"),
    [
        (":6380,password=SECRET/=,ssl=True,abortConnect=False", "rediss://:PASSWORD@cache.example:6380/0"),
        (",ssl=True,Password=SECRET", "rediss://:PASSWORD@cache.example:6380/0"),
        (":10000,password=SECRET@,ssl=True", "rediss://:PASSWORD@cache.example:10000/0"),
        (",password=SECRET,ssl=False", "redis://:PASSWORD@cache.example:6379/0"),
    ],
)
def test_the_portals_redis_connection_string_is_answered_with_what_to_write_instead(
    scheme: str, rest: str, instead: str
) -> None:
    (problem,) = problems_with(REDIS_URL=f"{scheme}cache.example{rest.replace('SECRET', SECRET)}")
    assert f"write {instead} and percent-encode the password" in problem
    assert SECRET not in problem


@pytest.mark.parametrize("name", [*SETTING_NAMES, "PARTNER_KEY"])
def test_an_unresolved_key_vault_reference_is_reported_in_any_setting(name: str) -> None:
    problems = problems_with(**{name: f"@Microsoft.KeyVault(SecretUri=https://{SECRET}.vault.azure.net/secrets/x)"})
    assert any(one.startswith(f"{name}: is a Key Vault reference that is not resolved") for one in problems)
    assert SECRET not in str(problems)


@pytest.mark.parametrize("name", ["ORDERS_QUEUE", IDENTITY])
@pytest.mark.parametrize("around", [" {}", "{} ", "{}\n"])
def test_what_the_trigger_reads_untrimmed_is_reported_and_not_trimmed(name: str, around: str) -> None:
    (problem,) = problems_with(**{name: around.format("orders")})
    assert problem.startswith(f"{name}: has a space or a line break around it")


BUS_KEY = f"SharedAccessKeyName=app;SharedAccessKey={SECRET}"


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"Endpoint=sb://bus.example/;{BUS_KEY};EntityPath=other", "its EntityPath is another queue"),
        (f"Endpoint=sb://bus.example:port/;{BUS_KEY}", "a port that is not a number"),
        (f"Endpoint=sb://bus.example:99999/;{BUS_KEY}", "a port that is not a number"),
        (f"Endpoint=sb://;{BUS_KEY}", "must name a host"),
        (f"Endpoint=sb://two words/;{BUS_KEY}", "must name a host"),
        (f"Endpoint=sb://bus..example/;{BUS_KEY}", "must name a host"),
        (f"Endpoint=sb://{'x' * 64}.example/;{BUS_KEY}", "must name a host"),
        (f"Endpoint=sb://app@bus.example/;{BUS_KEY}", "must name a host"),
        (f"Endpoint=sb://bus.example/;{BUS_KEY}\udcff", "be UTF-8"),
        (f"Endpoint=sb://bus.example/;{BUS_KEY};SharedAccessSignature=x", "or SharedAccessSignature"),
        (f"Endpoint=sb://bus.example/;{BUS_KEY};rubbish", "must be a Service Bus connection string"),
    ],
)
def test_a_connection_string_that_would_fail_at_each_send_is_refused_with_the_reason(text: str, reason: str) -> None:
    (problem,) = problems_with(ServiceBusConnection=text)
    assert (problem.startswith("ServiceBusConnection: "), reason in problem, SECRET in problem) == (True, True, False)


@pytest.mark.parametrize("name", ["REDIS_CONNECTIONS_PER_WORKER", "REDIS_IDLE_CHECK_S", "HOLD_S", "PATIENCE_S"])
def test_a_bad_number_counts_as_left_out(name: str) -> None:
    bad = load_settings({**GOOD, name: "many"})
    assert bad.model_copy(update={"problems": ()}) == load_settings(GOOD)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("empty", [None, "", "  "])
def test_a_missing_or_empty_setting_is_one_problem(name: str, empty: str | None) -> None:
    environment = {key: value for key, value in GOOD.items() if key != name}
    (problem,) = load_settings(environment if empty is None else environment | {name: empty}).problems
    assert problem.startswith(f"{name}: is missing")


def test_without_any_setting_each_needed_one_is_named() -> None:
    named = {problem.split(":")[0] for problem in load_settings({}).problems}
    assert named == set(GOOD)


def test_a_namespace_replaces_the_connection_string() -> None:
    environment = {**GOOD, IDENTITY: "example.servicebus.windows.net"}
    del environment["ServiceBusConnection"]
    assert load_settings(environment).problems == ()


def test_every_bad_setting_has_its_own_line() -> None:
    bad = problems_with(
        REDIS_URL="@Microsoft.KeyVault()", ORDERS_QUEUE="a ", HOLD_S="x", PATIENCE_S="x", ServiceBusConnection="x"
    )
    names = ["HOLD_S", "ORDERS_QUEUE", "PATIENCE_S", "REDIS_URL", "ServiceBusConnection"]
    assert sorted(problem.split(":")[0] for problem in bad) == names


WORKER, HOST = "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY", "AzureFunctionsJobHost__telemetryMode"


@pytest.mark.parametrize("text", ["true", "True", "1", "yes", "y", "t"])
def test_telemetry_is_on_for_what_the_worker_takes_for_true(text: str) -> None:
    settings = load_settings({**GOOD, WORKER: text, HOST: "OpenTelemetry"})
    assert (settings.telemetry, settings.problems) == (True, ())


@pytest.mark.parametrize("text", ["", "false", "0", "no"])
def test_telemetry_is_off_without_a_word_otherwise(text: str) -> None:
    settings = load_settings({**GOOD, WORKER: text})
    assert (settings.telemetry, settings.problems) == (False, ())


@pytest.mark.parametrize(
    "apart",
    [
        {WORKER: "true"},
        {WORKER: "true", HOST: "ApplicationInsights"},
        {HOST: "OpenTelemetry"},
        {WORKER: "false", HOST: "opentelemetry"},
    ],
)
def test_the_host_s_and_the_worker_s_telemetry_set_apart_is_a_problem(apart: dict[str, str]) -> None:
    (problem,) = problems_with(**apart)
    assert problem.startswith(f"{HOST}: ")
    assert "logs are lost" in problem


def test_a_switch_that_is_neither_true_nor_false_is_named_and_telemetry_is_off() -> None:
    settings = load_settings({**GOOD, WORKER: SECRET})
    assert (settings.telemetry, settings.problems) == (False, (f"{WORKER}: must be true or false",))


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
