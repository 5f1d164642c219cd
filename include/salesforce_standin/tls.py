"""A self-signed certificate for this machine and the names of a trial, made once and kept with the org's data."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAYS = 825


def context(directory: Path | None) -> ssl.SSLContext:
    """Return the server's TLS context."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if directory is not None:
        made.load_cert_chain(*certificate(directory))
        return made
    with tempfile.TemporaryDirectory() as passing:
        made.load_cert_chain(*certificate(Path(passing)))
    return made


def certificate(directory: Path) -> tuple[Path, Path]:
    """Return the paths of certificate and key, made if they are not there."""
    directory.mkdir(parents=True, exist_ok=True)
    public, private = directory / "tls-cert.pem", directory / "tls-key.pem"
    if not (public.exists() and private.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        public.write_bytes(_sign(key).public_bytes(serialization.Encoding.PEM))
    return public, private


def _sign(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Salesforce stand-in")])
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.DNSName("salesforce-standin"),  # its name among containers
        x509.DNSName("login.salesforce.com"),
        x509.DNSName("test.salesforce.com"),
        x509.DNSName("*.my.salesforce.com"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
