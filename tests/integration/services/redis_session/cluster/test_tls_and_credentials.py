"""Every node of a cluster is met as the configured address says: with its TLS, its name, its user, its identity."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from lab.azure.redis_cluster import RedisCluster, admin
from lab.azure.redis_server import RedisServer, RedisServerError, free_port
from services.redis_session import Clocks, RedisService, RedisUnavailable
from services.redis_session.credential import CredentialClocks, RedisCredential
from tests.integration.services.redis_session.cluster.conftest import Session, calls_of, clients_of
from tests.integration.services.redis_session.cluster.test_nodes_that_come_and_go import KEYS, warm
from tests.integration.services.redis_session.credential.identity import EVERYTHING, Identity
from tests.integration.services.redis_session.tls_relay import NAME, TlsRelay, tls_relay, write_certificate
from tests.waiting import until

PRIMARIES = 3


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the name that is configured, and for no address."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    write_certificate(path, NAME)
    return path


@pytest.fixture
async def relayed(certificate: Path) -> AsyncIterator[tuple[RedisCluster, list[TlsRelay]]]:
    """A cluster whose nodes announce an address and the port of their TLS, as Azure's do."""
    with RedisCluster(PRIMARIES) as cluster:
        async with AsyncExitStack() as stack:
            relays = [await stack.enter_async_context(tls_relay(certificate, node.port)) for node in cluster.nodes]
            for node, relay in zip(cluster.nodes, relays, strict=True):
                with admin(node) as client:
                    client.config_set("cluster-announce-port", relay.port)
            await until(lambda: all(announced(node) == {relay.port for relay in relays} for node in cluster.nodes))
            yield cluster, relays


def announced(node: RedisServer) -> set[int]:
    """The ports that a node knows the cluster by."""
    with admin(node) as client:
        return {int(primary[1]) for _, _, primary in client.execute_command("CLUSTER", "SLOTS")}


async def test_nodes_known_by_address_are_verified_by_the_configured_name(
    relayed: tuple[RedisCluster, list[TlsRelay]], session: Session, certificate: Path
) -> None:
    cluster, relays = relayed
    redis = session(f"rediss://localhost:{relays[1].port}/0?ssl_ca_certs={certificate}")
    for key in KEYS.values():
        assert await redis.run(lambda client, key=key: client.incr(key), idempotent=False, within_s=5) == 1  # type: ignore[misc]
    assert [clients_of(node) for node in cluster.nodes] == [1] * PRIMARIES
    assert {name for relay in relays for name in relay.names} == {"localhost"}
    assert all(relay.names for relay in relays)


async def test_a_name_that_the_certificate_lacks_is_refused(
    cluster: RedisCluster, session: Session, certificate: Path
) -> None:
    async with tls_relay(certificate, cluster.nodes[0].port) as relay:
        url = f"rediss://127.0.0.1:{relay.port}/0?ssl_ca_certs={certificate}"
        with pytest.raises(RedisUnavailable, match="certificate verify failed: IP address mismatch"):
            await session(url).healthy_client()


@pytest.fixture
def with_tls(certificate: Path) -> Iterator[tuple[RedisCluster, list[int]]]:
    """A cluster of a server that speaks TLS itself, between its nodes, too."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on PATH")
    ports = [free_port() for _ in range(PRIMARIES)]
    options = {"tls-cluster": "yes", "tls-replication": "yes", "tls-auth-clients": "no"}
    files = {f"tls-{kind}-file": str(certificate) for kind in ("cert", "key", "ca-cert")}
    try:
        with RedisCluster(
            PRIMARIES, binary=Path(binary), options={**options, **files}, each=lambda n: {"tls-port": str(ports[n])}
        ) as cluster:
            yield cluster, ports
    except RedisServerError as error:
        if "TLS" not in str(error) and "Bad directive" not in str(error):
            raise
        pytest.skip("redis-server was built without TLS")


async def test_a_cluster_that_speaks_tls_itself_is_found_by_its_tls_ports(
    with_tls: tuple[RedisCluster, list[int]], session: Session, certificate: Path
) -> None:
    cluster, ports = with_tls
    redis = session(f"rediss://localhost:{ports[0]}/0?ssl_ca_certs={certificate}")
    await warm(redis, cluster)
    assert [clients_of(node) for node in cluster.nodes] == [1] * PRIMARIES


class AclCluster:
    """The nodes' access control lists, as `AclServer` is one server's."""

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster

    def set_user(self, name: str, *rules: str) -> None:
        """On every node."""
        for node in self._cluster.nodes:
            with admin(node) as client:
                client.execute_command("ACL", "SETUSER", name, "on", *EVERYTHING, *rules)

    def delete_user(self, name: str) -> None:
        """On every node."""
        for node in self._cluster.nodes:
            with admin(node) as client:
                client.acl_deluser(name)

    def users(self) -> list[list[str]]:
        """Who is connected to each node, but for the administrator."""
        found = []
        for node in self._cluster.nodes:
            with admin(node) as client:
                found.append([str(one["user"]) for one in client.client_list() if one["user"] != "default"])
        return found


@pytest.fixture
def access(cluster: RedisCluster) -> Iterator[AclCluster]:
    """The shared cluster's."""
    access = AclCluster(cluster)
    yield access
    access.delete_user("app")
    access.delete_user("identity")


async def test_the_user_and_password_of_the_address_are_shown_to_every_node(
    cluster: RedisCluster, access: AclCluster, session: Session
) -> None:
    access.set_user("app", ">pass%word")
    redis = session(cluster.url.replace("redis://", "redis://app:pass%25word@"))
    await warm(redis, cluster)
    assert access.users() == [["app"]] * PRIMARIES


async def test_a_node_that_refuses_the_password_fails_its_own_calls_alone(
    cluster: RedisCluster, access: AclCluster, session: Session
) -> None:
    access.set_user("app", ">s3cret-word")
    redis = session(cluster.url.replace("redis://", "redis://app:s3cret-word@"))
    await warm(redis, cluster)
    with admin(cluster.nodes[2]) as client:
        client.acl_deluser("app")
    with pytest.raises(RedisUnavailable) as refused:
        await redis.run(lambda client: client.get(KEYS[2]), idempotent=True, within_s=3)
    assert "s3cret" not in str(refused.value)
    for number in (0, 1):
        assert await redis.run(lambda client, key=KEYS[number]: client.get(key), idempotent=True, within_s=5)  # type: ignore[misc]
    assert access.users() == [["app"], ["app"], []]


async def test_an_identity_is_renewed_on_every_node_in_its_stream(cluster: RedisCluster, access: AclCluster) -> None:
    identity = Identity(access, life_s=1.5)  # type: ignore[arg-type] # all that it asks of a server
    credential = RedisCredential(identity.shared(), CredentialClocks(margin_s=0.3, backoff_base_s=0.05))
    redis = RedisService(cluster.url, clocks=Clocks(connect_s=2.0), credential=credential)

    async def bump(client: Redis) -> None:
        await asyncio.gather(*(client.incr(key) for key in KEYS.values()))

    try:
        await redis.run(bump, idempotent=False, within_s=5)
        opened = [ids(node) for node in cluster.nodes]
        while min(calls_of(node, "auth") for node in cluster.nodes) < 2:
            await redis.run(bump, idempotent=False, within_s=5)
            await asyncio.sleep(0.02)
        assert access.users() == [["identity"]] * PRIMARIES
        assert [ids(node) for node in cluster.nodes] == opened
    finally:
        await redis.aclose()


def ids(node: RedisServer) -> list[str]:
    """Of the identity's connections."""
    with admin(node) as client:
        return [str(one["id"]) for one in client.client_list() if one["user"] == "identity"]
