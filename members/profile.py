"""What a person says of themselves: a name and a language."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from consortium.kernel import audit
from consortium.kernel.errors import Forbidden, Invalid
from consortium.kernel.language import LANGUAGES
from members.models import User


@transaction.atomic
def change_profile(user: User, *, name: str, language: str, by: User, at: datetime) -> None:
    """Change one's own name and the language of one's mail. Raises Forbidden, Invalid."""
    if by.pk != user.pk or not by.is_active:
        raise Forbidden(_("Only you yourself may change this."))
    if language not in LANGUAGES:
        raise Invalid(_("Choose one of the languages."), field="language")
    user.name, user.language = " ".join(name.split()), language
    user.save(update_fields=["name", "language"])
    audit.record("members.profile_changed", user, by=by, at=at, institution_id=None, after={"language": language})
