"""The consortium's signature on its PDFs: any byte that changes afterwards shows, and so does a wrong key."""

import io
from pathlib import Path

import pytest
from pypdf import PdfWriter

from consortium.embedded.certificates import NAME, self_made_certificate
from consortium.kernel.signing import Seal, SigningKeyInvalid, check_pair, read_seal, sign_pdf

Settings = pytest.FixtureRequest


@pytest.fixture(scope="module")
def plain() -> bytes:
    writer, file = PdfWriter(), io.BytesIO()
    writer.add_blank_page(200, 200)
    writer.add_metadata({"/Title": "Agreement of Birch"})
    writer.write(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def sealed(plain: bytes) -> bytes:
    return sign_pdf(plain, reason="Agreement with Birch University")


def test_the_signature_covers_every_byte_and_names_the_consortium(sealed: bytes, plain: bytes) -> None:
    assert sealed.startswith(plain)
    assert b"ETSI.CAdES.detached" in sealed
    seal = read_seal(sealed)
    assert seal is not None
    assert seal.is_good
    assert NAME in seal.signer
    assert read_seal(plain) is None


@pytest.mark.parametrize("what", ["title", "appended", "signature"])
def test_a_changed_byte_shows(sealed: bytes, what: str) -> None:
    changed = {
        "title": sealed.replace(b"Agreement of Birch", b"Agreement of Larch", 1),
        "appended": sealed + b"\n% a remark\n",
        "signature": _flip(sealed),
    }[what]
    assert changed != sealed
    try:
        seal = read_seal(changed)
    except ValueError:
        return  # not even a signature any more
    assert seal is None or not seal.is_good


def _flip(content: bytes) -> bytes:
    """Change the first byte of the document, which the signature covers, without moving any other."""
    at = content.index(b"%PDF-1.") + 7
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_a_signature_by_another_key_is_not_ours(plain: bytes, settings: object) -> None:
    own = settings.SIGNING_KEY, settings.SIGNING_CERTIFICATE  # type: ignore[attr-defined] # pytest-django's
    settings.SIGNING_KEY, settings.SIGNING_CERTIFICATE = self_made_certificate()  # type: ignore[attr-defined]
    forged = sign_pdf(plain, reason="Agreement with Birch University")
    settings.SIGNING_KEY, settings.SIGNING_CERTIFICATE = own  # type: ignore[attr-defined]
    seal = read_seal(forged)
    assert seal == Seal(is_ours=False, is_intact=True, covers_all=True, signer=seal.signer if seal else "")


def test_key_and_certificate_may_be_files(plain: bytes, settings: object, tmp_path: Path) -> None:
    for name, text in zip(("SIGNING_KEY", "SIGNING_CERTIFICATE"), self_made_certificate(), strict=True):
        (tmp_path / name).write_text(text)
        setattr(settings, name, str(tmp_path / name))
    seal = read_seal(sign_pdf(plain, reason="Test"))
    assert seal is not None
    assert seal.is_good


def test_a_pair_that_does_not_belong_together_is_refused_by_name(settings: object, plain: bytes) -> None:
    (key, certificate), (other, _) = self_made_certificate(), self_made_certificate()
    check_pair(key.encode(), certificate.encode())
    for wrong_key, wrong_certificate in ((other, certificate), ("nonsense", certificate), (key, "nonsense")):
        with pytest.raises(SigningKeyInvalid, match="SIGNING_"):
            check_pair(wrong_key.encode(), wrong_certificate.encode())
    settings.SIGNING_KEY = "/nowhere/key.pem"  # type: ignore[attr-defined]
    with pytest.raises(SigningKeyInvalid, match="cannot be read"):
        sign_pdf(plain, reason="Test")
