"""Signatures of both sides, for stories that begin when an agreement is in force."""

from datetime import datetime

from members.models import Agreement, Signature, User


def put_in_force(agreement: Agreement, *, at: datetime) -> None:
    """Sign for both sides by two people and move the agreement along its states, as PostgreSQL demands."""
    for side in ("member", "consortium"):
        email = f"{side}-{agreement.institution.slug}@signers.example"
        signer = User.objects.filter(email=email).first() or User.objects.create_user(email)
        Signature.objects.create(
            institution_id=agreement.institution_id,
            agreement=agreement,
            side=side,
            signer=signer,
            name="S",
            title="T",
            language="fr" if agreement.institution.province == "QC" else "en",
            consent="x",
            content_sha256="0" * 64,
            at=at,
        )
    for status in ("offered", "signed", "in_force"):
        Agreement.objects.filter(pk=agreement.pk).update(status=status)
