"""What the portal checks of an application for its reviewer: facts that a person would otherwise look up one by one."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from allauth.account.models import EmailAddress
from stdnum.ca import bn

from consortium.kernel.formats import money_text
from members.access import PUBLIC_MAIL, belongs_to, host_of, member_of_hosts
from members.answers import missing_answers
from members.directory import read_directory
from members.journey import suggest_tier
from members.models import Application, Institution
from members.nominees import nominees_of
from members.onboarding import OPEN, NoTemplate, newest_template

PASSED: Final = "ok"
LOOK: Final = "look"
FAILED: Final = "stop"
# Words that half the universities share tell nothing of one.
_COMMON: Final = frozenset(
    {"a", "and", "college", "d", "de", "des", "du", "ecole", "et", "institut", "institute", "l", "la", "le", "les"}
    | {"of", "school", "the", "universite", "university"}
)
# The first letter of a postal code names its province.
_POSTAL: Final = {
    "NL": "A", "NS": "B", "PE": "C", "NB": "E", "QC": "GHJ", "ON": "KLMNP", "MB": "R", "SK": "S", "AB": "T", "BC": "V",
    "NT": "X", "NU": "X", "YT": "Y",
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: "ok", "look" (a person should), or "stop" (it cannot be approved so)."""

    label: str
    outcome: str
    detail: str


def review_checks(application: Application) -> list[Check]:
    """Return every check of an application, in the order in which a reviewer asks. English, as the admin site is."""
    return [
        _complete(application),
        _confirmed(application),
        _address(application),
        *_hosts(application),
        _registry(application),
        _tax_number(application),
        _postal_code(application),
        _duplicates(application),
        _template(application),
        _size(application),
    ]


def _complete(application: Application) -> Check:
    missing = ", ".join(missing_answers(application))
    return Check("Answers", FAILED if missing else PASSED, f"missing: {missing}" if missing else "complete")


def _confirmed(application: Application) -> Check:
    if application.institution.confirmed:
        return Check("Institution", PASSED, "in the directory")
    return Check("Institution", FAILED, "written by the applicant: check it, then confirm it")


def _address(application: Application) -> Check:
    applicant = application.applicant
    verified = EmailAddress.objects.filter(user=applicant, email__iexact=applicant.email, verified=True).exists()
    host, domain = host_of(applicant.email), application.institution.domain
    facts = f"{applicant.email}, address {'confirmed' if verified else 'NOT confirmed'}"
    if verified and belongs_to(host, domain):
        return Check("Applicant", PASSED, f"{facts}, of {domain}")
    kind = "a provider for everybody" if host in PUBLIC_MAIL else f"not of {domain or 'a known domain'}"
    own = facts if belongs_to(host, domain) else f"{facts}, {kind}"
    return Check("Applicant", LOOK, f"{own}: verify the person first")


def _hosts(application: Application) -> list[Check]:
    """Whether the domains, the signatory and the administrators are of the institution."""
    domain = application.institution.domain
    own = {domain, *application.email_domains} - {""}
    foreign = [given for given in application.email_domains if not belongs_to(given, domain)]
    checks = [
        Check("E-mail domains", LOOK, f"not below {domain or 'a known domain'}: {', '.join(foreign)}")
        if foreign
        else Check("E-mail domains", PASSED, ", ".join(application.email_domains) or "none given")
    ]
    people = [("Signatory", application.signatory_email)]
    people += [("Administrator", nominee.email) for nominee in nominees_of(application)]
    for label, email in people:
        same = any(belongs_to(host_of(email), each) for each in own)
        detail = email if same else f"{email or 'none'}, not of {', '.join(sorted(own)) or 'a known domain'}"
        checks.append(Check(label, PASSED if same else LOOK, detail))
    return checks


def _registry(application: Application) -> Check:
    ror = application.institution.ror
    if not ror:
        return Check("ROR id", LOOK, "none given")
    shipped = {row["ror"] for row in read_directory()}
    if ror in shipped:
        return Check("ROR id", PASSED, f"{ror}, in the shipped list")
    return Check("ROR id", LOOK, f"{ror} is well formed but not in the shipped list: see https://ror.org/{ror}")


def _tax_number(application: Application) -> Check:
    number = application.tax_number
    if not number:
        return Check("Business number", LOOK, "none given")
    if application.country != "CA":
        return Check("Business number", LOOK, f"{number}: not a Canadian one, not checked")
    valid = bn.is_valid(number)
    return Check("Business number", PASSED if valid else FAILED, bn.compact(number) if valid else f"{number}: wrong")


def _postal_code(application: Application) -> Check:
    code, province = application.postal_code, application.province
    if application.country != "CA":
        return Check("Postal code", LOOK, f"{code}, {application.country}: not checked")
    fits = code[:1].upper() in _POSTAL.get(province, "") and bool(code)
    detail = f"{code} is in {province}" if fits else f"{code or 'none'} does not belong to {province or 'no province'}"
    return Check("Postal code", PASSED if fits else LOOK, detail)


def _duplicates(application: Application) -> Check:
    """Other entries of the directory with the same name, and other open applications from the same domain."""
    institution = application.institution
    mine = {_name(institution.name_en), _name(institution.name_fr), _name(application.legal_name)} - {frozenset()}
    others = Institution.objects.exclude(pk=institution.pk)
    found = [f"{other} in the directory" for other in others if {_name(other.name_en), _name(other.name_fr)} & mine]
    domains = [each for each in {institution.domain, *application.email_domains} if each]
    rivals = Application.objects.filter(status__in=OPEN, email_domains__overlap=domains).exclude(pk=application.pk)
    found += [f"an open application of {rival.institution}" for rival in rivals.select_related("institution")]
    if (member := member_of_hosts(domains)) and member != institution:
        found.append(f"{member} is a member with one of these domains")
    return Check("Duplicates", LOOK if found else PASSED, "; ".join(found) or "none found")


def _name(text: str) -> frozenset[str]:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return frozenset(re.findall(r"[a-z0-9]+", plain)) - _COMMON


def _template(application: Application) -> Check:
    try:
        template = newest_template(application.currency)
    except NoTemplate as error:
        return Check("Agreement template", FAILED, error.message)
    return Check("Agreement template", PASSED, str(template))


def _size(application: Application) -> Check:
    suggestion = suggest_tier(application.fte, application.currency)
    if suggestion is None:
        return Check("Tier", LOOK, "unknown: no size, or no template in the currency")
    dues = money_text(suggestion.dues, suggestion.currency, language="en", code=True)
    return Check("Tier", PASSED, f"{suggestion.tier.name_en}: {application.fte} students (FTE), {dues} a year")
