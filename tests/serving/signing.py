"""Images with a C2PA manifest, signed by a test certificate."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from PIL import Image

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
MANIFEST = {
    "claim_generator_info": [{"name": "Generator <i>X</i>", "version": "1"}],
    "title": "image",
    "assertions": [
        {
            "label": "c2pa.actions",
            "data": {
                "actions": [
                    {
                        "action": "c2pa.created",
                        "digitalSourceType": GENERATED,
                        "softwareAgent": {"name": "Imagine"},
                    }
                ]
            },
        }
    ],
}
OFFLINE = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}


def signed_jpeg(remote: str = "") -> bytes:
    """Return a JPEG with a manifest, or with the address of a remote manifest."""
    c2pa = pytest.importorskip("c2pa")
    source, target = io.BytesIO(), io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(source, "JPEG")
    source.seek(0)
    with c2pa.Context.from_dict(OFFLINE) as context:
        builder = c2pa.Builder(MANIFEST, context)
        if remote:
            builder.set_no_embed()
            builder.set_remote_url(remote)
        builder.sign(_signer(c2pa), "image/jpeg", source, target)
    return target.getvalue()


def _signer(c2pa: Any) -> Any:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.now(UTC)
    chain = b""
    for name, key in (("Signer", own), ("Authority", authority)):
        is_authority = key is authority
        subject, issuer = (
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example <b>Org</b>"),
                    x509.NameAttribute(NameOID.COMMON_NAME, common_name),
                ]
            )
            for common_name in (name, "Authority")
        )
        public = key.public_key()
        certificate = (
            x509.CertificateBuilder(
                issuer, subject, public, x509.random_serial_number(),
                now - timedelta(days=1), now + timedelta(days=1),
            )
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    not is_authority, False, False, False, False, is_authority, is_authority,
                    False, False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
                critical=False,
            )
        )  # fmt: skip
        if not is_authority:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            certificate = certificate.add_extension(usage, critical=False)
        signed = certificate.sign(authority, hashes.SHA256())
        chain += signed.public_bytes(serialization.Encoding.PEM)
    private = own.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, private, None))
