import pytest

from provisioning.pseudonyms import WeakPseudonymKeyError, pseudonym

KEY = b"k" * 32


def test_one_person_has_one_pseudonym_of_32_hex_digits() -> None:
    found = pseudonym(KEY, "ada@north.example")

    assert found == pseudonym(KEY, "ada@north.example")
    assert len(found) == 32
    assert set(found) <= set("0123456789abcdef")
    assert "ada" not in found


def test_it_is_the_beginning_of_the_hmac_of_the_name() -> None:
    # Worked out with `printf ada | openssl dgst -sha256 -mac HMAC -macopt hexkey:6b6b…`, 32 times 6b.
    assert pseudonym(KEY, "ada") == "a8b373bd9a0f9800c50bbfebdb7cf079"


def test_other_people_and_other_institutions_have_other_pseudonyms() -> None:
    assert len({pseudonym(KEY, "ada"), pseudonym(KEY, "Ada"), pseudonym(b"o" * 32, "ada")}) == 3


def test_a_name_may_hold_any_letters() -> None:
    assert pseudonym(KEY, "zoë") != pseudonym(KEY, "zoe")


def test_a_key_that_protects_nothing_is_refused() -> None:
    with pytest.raises(WeakPseudonymKeyError, match="has 4 bytes and needs 32"):
        pseudonym(b"weak", "ada")
