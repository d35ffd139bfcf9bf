"""TLS in front of a server that has none, and the certificate for it."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ADDRESS, NAME = x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")


def write_certificate(path: Path, *names: x509.GeneralName) -> None:
    """A self-signed certificate for these names, with its key, in one file."""
    key, nobody = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder(nobody, nobody, key.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(pem))


@dataclass
class TlsRelay:
    """Where it listens, which server it passes on to, and which name each client has sent (SNI)."""

    port: int = 0
    target: int = 0
    names: list[str | None] = field(default_factory=list)


@asynccontextmanager
async def tls_relay(certificate: Path, target: int = 0) -> AsyncIterator[TlsRelay]:
    """Ends TLS, and passes on in the clear."""
    relay = TlsRelay(target=target)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: relay.names.append(name)
    served: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", relay.target)
        writers.update({writer, server_writer})
        served.add(asyncio.create_task(pump(reader, server_writer)))
        served.add(asyncio.create_task(pump(server_reader, writer)))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        async with asyncio.timeout(10):
            await asyncio.gather(*served)
