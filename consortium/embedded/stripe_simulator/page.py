"""The hosted payment page: plain accessible HTML, no script, English or French."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from urllib.parse import urlsplit

from consortium.embedded.stripe_simulator.currencies import display
from consortium.embedded.stripe_simulator.store import Thing

_WORDS = {
    "en": {
        "title": "Pay {amount} to {merchant}",
        "simulated": "This is a simulation of Stripe Checkout. No money moves.",
        "card": "Pay by card",
        "number": "Card number",
        "hint": "Test cards: 4242 4242 4242 4242 is accepted, 4000 0000 0000 0002 is declined.",
        "expiry": "Expiry (MM/YY)",
        "cvc": "Security code",
        "email": "E-mail",
        "pay": "Pay {amount}",
        "bank": "Pay by bank debit",
        "bank_hint": "The debit is authorised now; the bank settles or refuses it later.",
        "authorise": "Authorise a debit of {amount}",
        "cancel": "Cancel and go back",
        "problem": "The payment was not made",
        "complete": "This payment is complete.",
        "expired": "This payment page has expired.",
        "back": "Go on",
        "missing": "There is no such payment page.",
        "items": "What you pay for",
    },
    "fr": {
        "title": "Payer {amount} à {merchant}",
        "simulated": "Ceci est une simulation de Stripe Checkout. Aucun argent ne circule.",
        "card": "Payer par carte",
        "number": "Numéro de carte",
        "hint": "Cartes d’essai : 4242 4242 4242 4242 est acceptée, 4000 0000 0000 0002 est refusée.",
        "expiry": "Expiration (MM/AA)",
        "cvc": "Code de sécurité",
        "email": "Courriel",
        "pay": "Payer {amount}",
        "bank": "Payer par débit bancaire",
        "bank_hint": "Le débit est autorisé maintenant; la banque le règle ou le refuse plus tard.",
        "authorise": "Autoriser un débit de {amount}",
        "cancel": "Annuler et revenir",
        "problem": "Le paiement n’a pas été effectué",
        "complete": "Ce paiement est terminé.",
        "expired": "Cette page de paiement a expiré.",
        "back": "Continuer",
        "missing": "Cette page de paiement n’existe pas.",
        "items": "Ce que vous payez",
    },
}
_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 34rem; padding: 2rem 1rem; }
fieldset { border: 1px solid GrayText; border-radius: .5rem; margin: 1.5rem 0; padding: 1rem; }
label { display: block; font-weight: 600; margin-top: .75rem; }
input { box-sizing: border-box; font: inherit; padding: .5rem; width: 100%; }
button { font: inherit; font-weight: 600; margin-top: 1rem; padding: .75rem 1rem; width: 100%; }
[role=alert] { border-inline-start: .25rem solid #b00020; padding-inline-start: 1rem; }
.note { border: 1px dashed; padding: .5rem 1rem; }
td:last-child { text-align: end; } table { width: 100%; }
"""


@dataclass(frozen=True, slots=True)
class Page:
    """HTML and the Content-Security-Policy that it needs."""

    html: str
    policy: str


def language_of(session: Thing | None, accepted: str) -> str:
    """The session's locale, else the browser's first wish, else English."""
    wish = str((session or {}).get("locale") or "auto")
    if wish == "auto":
        wish = accepted
    return "fr" if wish.strip().lower().startswith("fr") else "en"


def payment_page(session: Thing, *, merchant: str, language: str, nonce: str, problem: str = "") -> Page:
    """The form, or what became of it. `problem` is shown first and was worded for the payer."""
    words = _WORDS[language]
    amount = display(session["amount_total"], session["currency"])
    title = words["title"].format(amount=amount, merchant=merchant)
    if session["status"] == "open":
        body = _form(session, words, amount, problem)
    else:
        body = f"<p>{words[session['status']]}</p>{_link(session['success_url'], words['back'])}"
    return _page(title, _items(session, words) + body, session["success_url"], language, nonce)


def missing_page(*, language: str, nonce: str) -> Page:
    """For an address that names no session."""
    return _page(_WORDS[language]["missing"], "", "", language, nonce)


def _form(session: Thing, words: dict[str, str], amount: str, problem: str) -> str:
    alert = f'<div role="alert"><h2>{words["problem"]}</h2><p>{escape(problem)}</p></div>' if problem else ""
    action = f"/c/pay/{escape(session['id'])}"
    email = escape(session["customer_email"] or "", quote=True)
    forms = []
    for method in session["payment_method_types"]:
        fields = _card_fields(words, email) if method == "card" else f"<p>{words['bank_hint']}</p>"
        legend = words["card"] if method == "card" else f"{words['bank']} ({method})"
        label = (words["pay"] if method == "card" else words["authorise"]).format(amount=escape(amount))
        forms.append(
            f'<form method="post" action="{action}"><fieldset><legend>{legend}</legend>'
            f'<input type="hidden" name="method" value="{method}">{fields}'
            f'<button type="submit">{label}</button></fieldset></form>'
        )
    cancel = _link(session["cancel_url"], words["cancel"]) if session["cancel_url"] else ""
    return f'{alert}<p class="note">{words["simulated"]}</p>{"".join(forms)}{cancel}'


def _card_fields(words: dict[str, str], email: str) -> str:
    return (
        f'<p id="hint">{words["hint"]}</p>'
        f'<label for="email">{words["email"]}</label>'
        f'<input id="email" name="email" type="email" autocomplete="email" value="{email}">'
        f'<label for="number">{words["number"]}</label>'
        '<input id="number" name="number" inputmode="numeric" autocomplete="cc-number"'
        ' required aria-describedby="hint">'
        f'<label for="expiry">{words["expiry"]}</label><input id="expiry" name="expiry" autocomplete="cc-exp">'
        f'<label for="cvc">{words["cvc"]}</label><input id="cvc" name="cvc" inputmode="numeric" autocomplete="cc-csc">'
    )


def _items(session: Thing, words: dict[str, str]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(item["description"])}</th>'
        f"<td>{escape(display(item['amount_total'], item['currency']))}</td></tr>"
        for item in session["line_items"]
    )
    return f"<table><caption>{words['items']}</caption><tbody>{rows}</tbody></table>"


def _link(url: str, words: str) -> str:
    if urlsplit(url).scheme not in {"http", "https"}:
        return ""
    return f'<p><a href="{escape(url, quote=True)}">{words}</a></p>'


def _page(title: str, body: str, success_url: str, language: str, nonce: str) -> Page:
    target = urlsplit(success_url)
    # Browsers apply form-action to the redirect that answers a form as well.
    origin = f" {target.scheme}://{target.netloc}" if target.netloc and not set(target.netloc) & set(" ;,'\"") else ""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'{origin}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    html = (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style nonce="{nonce}">{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    return Page(html=html, policy=policy)
