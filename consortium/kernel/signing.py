"""The consortium's digital signature on its PDFs: PAdES, with a key and a certificate from the environment.

Any PDF reader shows who signed and whether a byte was changed since. No time-stamping authority is asked: a document
is drawn without the network, and when it was made stands beside its hash in the database.
"""

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from django.conf import settings

from consortium.kernel.errors import PortalError

FIELD: Final = "Consortium"
Pem = tuple[bytes, bytes]


class SigningKeyInvalid(PortalError):
    """The key and the certificate of the environment cannot be used, or do not belong together."""

    code = "signing_key_invalid"
    status = 500


@dataclass(frozen=True)
class Seal:
    """What a PDF's signature says: is it ours, are the signed bytes whole, do they cover the whole file?"""

    is_ours: bool
    is_intact: bool
    covers_all: bool
    signer: str

    @property
    def is_good(self) -> bool:
        """Tell whether nothing was changed or added since the consortium signed."""
        return self.is_ours and self.is_intact and self.covers_all


def sign_pdf(content: bytes, *, reason: str) -> bytes:
    """Will return the PDF with the consortium's invisible signature added behind its bytes. Raises SigningKeyInvalid.

    `reason` is shown by PDF readers beside the signer's name.
    """
    # The library takes most of a second to import, so the first signature pays for it.
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter  # noqa: PLC0415
    from pyhanko.sign import signers  # noqa: PLC0415
    from pyhanko.sign.fields import SigSeedSubFilter  # noqa: PLC0415

    about = signers.PdfSignatureMetadata(
        field_name=FIELD, subfilter=SigSeedSubFilter.PADES, md_algorithm="sha256", reason=reason
    )
    signed = signers.sign_pdf(IncrementalPdfFileWriter(BytesIO(content)), about, signer=_signer())
    return bytes(signed.getvalue())


def read_seal(content: bytes) -> Seal | None:
    """Will say what the last signature of a PDF of ours is worth; None for one without a signature.

    For documents from our own store: it trusts the size and depth of what it reads.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader  # noqa: PLC0415 - slow to import
    from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature  # noqa: PLC0415
    from pyhanko_certvalidator import ValidationContext  # noqa: PLC0415

    signatures = PdfFileReader(BytesIO(content), strict=False).embedded_signatures
    if not signatures:
        return None
    ours = _signer().signing_cert
    context = ValidationContext(trust_roots=[ours], allow_fetching=False)
    status = validate_pdf_signature(signatures[-1], signer_validation_context=context)
    return Seal(
        is_ours=status.signing_cert.sha256 == ours.sha256,
        is_intact=bool(status.intact and status.valid),
        covers_all=status.coverage is SignatureCoverageLevel.ENTIRE_FILE,
        signer=str(status.signing_cert.subject.human_friendly),
    )


def check_pair(key: bytes, certificate: bytes) -> None:
    """Raise SigningKeyInvalid unless the two PEM texts can be read and belong to each other."""
    try:
        private = serialization.load_pem_private_key(key, password=None)
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyInvalid(
            "SIGNING_KEY and SIGNING_CERTIFICATE must be PEM, or paths of PEM files; the key without a passphrase."
        ) from error
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(encoding, form) != public.public_bytes(encoding, form):
        raise SigningKeyInvalid("SIGNING_CERTIFICATE does not belong to SIGNING_KEY.")


def _signer() -> Any:
    return _signer_of(_pem(settings.SIGNING_KEY), _pem(settings.SIGNING_CERTIFICATE))


@cache
def _signer_of(key: bytes, certificate: bytes) -> Any:
    from asn1crypto import keys  # noqa: PLC0415 - comes with the library that is slow to import
    from asn1crypto import x509 as asn1_x509  # noqa: PLC0415
    from pyhanko.sign.signers import SimpleSigner  # noqa: PLC0415
    from pyhanko_certvalidator.registry import SimpleCertificateStore  # noqa: PLC0415

    check_pair(key, certificate)
    private = serialization.load_pem_private_key(key, password=None)
    chain = [
        asn1_x509.Certificate.load(each.public_bytes(serialization.Encoding.DER))
        for each in x509.load_pem_x509_certificates(certificate)
    ]
    store: Any = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple(chain)
    plain = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SimpleSigner(signing_cert=chain[0], signing_key=keys.PrivateKeyInfo.load(plain), cert_registry=store)


def _pem(value: str) -> bytes:
    """The PEM text itself, or the content of the file that the value names."""
    if "-----BEGIN" in value:
        return value.encode()
    try:
        return Path(value).read_bytes()
    except OSError as error:
        raise SigningKeyInvalid("SIGNING_KEY or SIGNING_CERTIFICATE names a file that cannot be read.") from error
