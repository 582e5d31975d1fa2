"""A person's own account, as far as allauth has no page for it: name and language, and where one is signed in."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from consortium.kernel.clock import now
from consortium.kernel.errors import PortalError
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import User
from members.people_forms import ProfileForm
from members.profile import change_profile
from members.sessions import SessionUnknown, end_other_sessions, end_session, sessions_of


def _person(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - behind login_required
    return request.user


@login_required
def profile(request: HttpRequest) -> HttpResponse:
    """One's name, and the language of one's mail."""
    person = _person(request)
    initial = {"name": person.name, "language": person.language}
    form = ProfileForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        with consortium_scope(Scope.SIGN_IN):
            change_profile(person, **form.cleaned_data, by=person, at=now())
        messages.success(request, _("Saved."))
        return redirect("account_profile")
    context = {"form": form, "form_errors": bool(form.errors)}
    return render(request, "account/profile.html", context, status=422 if form.errors else 200)


@never_cache
@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """Where one is signed in; POST ends one session, or all but this one."""
    person, current = _person(request), request.session.session_key
    if request.method == "POST":
        try:
            with consortium_scope(Scope.SIGN_IN):
                _end(request, person, current)
        except PortalError as error:
            messages.error(request, error.message)
        return redirect("account_sessions")
    rows = sessions_of(person, current_key=current)
    return render(request, "account/sessions.html", {"sessions": rows, "others": len(rows) > 1})


def _end(request: HttpRequest, person: User, current: str | None) -> None:
    wanted = request.POST.get("session", "")
    if wanted == "others":
        end_other_sessions(person, current_key=current, at=now())
        messages.success(request, _("You are signed out everywhere else."))
    elif wanted.isdecimal() and len(wanted) < 19:
        end_session(person, int(wanted), at=now())
        messages.success(request, _("That session has ended."))
    else:
        raise SessionUnknown(_("This session has ended already."))
