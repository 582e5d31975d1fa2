"""What the demonstration's bank sent: a statement with lines to reconcile, some of which name an invoice.

The file is made of the open invoices of the first run only, so that a second run doubles nothing.
"""

from datetime import date, timedelta
from decimal import Decimal

from billing.bank_import import import_statement
from billing.bank_queue import open_invoices
from billing.bank_suggestions import OpenInvoice
from billing.models import BankAccount, BankLine
from consortium.kernel.clock import now
from consortium.kernel.money import EXACT, exact_sum, plain
from consortium.kernel.periods import local_date
from consortium.kernel.tenancy import Scope, consortium_scope
from members.models import Issuer, User

NUMBER = "000100112233445566"
OPENING = Decimal("48210.55")
LINE = (
    '<Ntry><Amt Ccy="CAD">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{day}</Dt>'
    "</BookgDt><AcctSvcrRef>DEMO-{number}</AcctSvcrRef><NtryDtls><TxDtls><RltdPties><Dbtr><Pty><Nm>{payer}</Nm></Pty>"
    "</Dbtr></RltdPties><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
)
BALANCE = (
    '<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp><Amt Ccy="CAD">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>'
)


def tell_bank(*, issuer: Issuer, staff: User) -> None:
    """Open the bank account and import its first statement, once; every line waits for a person."""
    with consortium_scope(Scope.COMMAND):
        account, _made = BankAccount.objects.get_or_create(
            issuer=issuer, number=NUMBER, currency="CAD", defaults={"name": "Demonstration operating account"}
        )
        if BankLine.objects.filter(account=account).exists():
            return
        at = now()
        today = local_date(at, issuer.zone)
        content = _statement([each for each in open_invoices(issuer) if each.currency == "CAD"][:4], today)
        import_statement(account, content, file_name="demonstration-camt053.xml", by=staff, at=at)


def _statement(invoices: list[OpenInvoice], today: date) -> bytes:
    """The first is paid in full, the second with a slip in its number, the third less a fee, the fourth in half."""
    lines: list[tuple[Decimal, str, str]] = []
    for number, each in enumerate(invoices):
        text = (each.number, each.number.replace("0", "O"), f"{each.number} net of charges", f"part of {each.number}")
        amount = (each.due, each.due, EXACT.subtract(each.due, Decimal(15)), (each.due / 2).quantize(Decimal("0.01")))
        if amount[number] > 0:
            lines.append((amount[number], each.member, text[number]))
    lines.append((Decimal("125.00"), "Friends of Open Computing", "donation, thank you"))
    lines.append((Decimal("-18.50"), "", "monthly account fee"))
    closing = EXACT.add(OPENING, exact_sum(amount for amount, _payer, _text in lines))
    body = "".join(
        LINE.format(
            amount=plain(abs(amount)), side="CRDT" if amount > 0 else "DBIT", day=today - timedelta(days=2),
            number=number, payer=payer.replace("&", "&amp;"), text=text,
        )
        for number, (amount, payer, text) in enumerate(lines, 1)
    )  # fmt: skip
    balances = BALANCE.format(code="OPBD", amount=plain(OPENING)) + BALANCE.format(code="CLBD", amount=plain(closing))
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>DEMO-1</Id>'
        f"<Acct><Id><Othr><Id>{NUMBER}</Id></Othr></Id><Ccy>CAD</Ccy></Acct>{balances}{body}</Stmt></BkToCstmrStmt></Document>"
    ).encode()
