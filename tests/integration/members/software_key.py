"""A passkey in software: answers a browser's ceremonies as a real authenticator does, for tests without a browser."""

import hashlib
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData


class SoftwareKey:
    """One key pair of one site."""

    def __init__(self, origin: str = "http://testserver") -> None:
        self.origin, self.rp_id = origin, origin.partition("//")[2].partition(":")[0]
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.id = secrets.token_bytes(16)
        self.user_handle = ""
        self.count = 0

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer `creation_options`."""
        public = options["publicKey"]
        self.user_handle = public["user"]["id"]
        cose: Any = ES256  # this part of fido2 carries no types
        known = AttestedCredentialData.create(
            Aaguid.NONE, self.id, cose.from_cryptography_key(self.private.public_key())
        )
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
        told = AuthenticatorData.create(self._site(), flags, 0, bytes(known))
        client = self._client(CollectedClientData.TYPE.CREATE, public["challenge"])
        attested = AttestationObject.create("none", told, {})
        response = {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(attested)}
        return self._answer(response) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def get(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer `request_options`."""
        self.count += 1
        client = self._client(CollectedClientData.TYPE.GET, options["publicKey"]["challenge"])
        flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV
        told = AuthenticatorData.create(self._site(), flags, self.count)
        signed = self.private.sign(bytes(told) + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": websafe_encode(client),
            "authenticatorData": websafe_encode(told),
            "signature": websafe_encode(signed),
            "userHandle": self.user_handle,
        }
        return self._answer(response)

    def _site(self) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest()

    def _client(self, kind: CollectedClientData.TYPE, challenge: str) -> CollectedClientData:
        return CollectedClientData.create(kind, websafe_decode(challenge), self.origin)

    def _answer(self, response: dict[str, str]) -> dict[str, Any]:
        key_id = websafe_encode(self.id)
        return {"id": key_id, "rawId": key_id, "type": "public-key", "response": response, "clientExtensionResults": {}}
