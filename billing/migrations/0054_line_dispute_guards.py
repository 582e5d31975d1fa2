"""What PostgreSQL refuses of disputes, questions and shared links."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy

FITS = """
CREATE FUNCTION billing_linedispute_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    charged billing_invoiceline%ROWTYPE;
    billed billing_invoice%ROWTYPE;
    taken numeric;
BEGIN
    SELECT * INTO charged FROM billing_invoiceline WHERE id = NEW.line_id;
    SELECT * INTO billed FROM billing_invoice WHERE id = NEW.invoice_id;
    IF charged.invoice_id <> NEW.invoice_id OR billed.institution_id <> NEW.institution_id
        OR billed.currency <> NEW.currency THEN
        RAISE EXCEPTION 'A dispute is of a line of its invoice, its member and its currency'
            USING ERRCODE = 'check_violation';
    END IF;
    IF billed.status NOT IN ('issued', 'partly_paid') THEN
        RAISE EXCEPTION 'Invoice % is %: nothing of it can be held', billed.number, billed.status
            USING ERRCODE = 'check_violation';
    END IF;
    SELECT coalesce(sum(l.net), 0) INTO taken FROM billing_creditnoteline l WHERE l.invoice_line_id = NEW.line_id;
    IF NEW.net > charged.net - taken THEN
        RAISE EXCEPTION 'Line % of %: % is disputed, % is left of it', charged.position, billed.number, NEW.net,
            charged.net - taken USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_linedispute_fits BEFORE INSERT ON billing_linedispute
    FOR EACH ROW EXECUTE FUNCTION billing_linedispute_fits();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0053_line_disputes")]

    operations = [
        TenantPolicy("billing_linedispute"),
        TenantPolicy("billing_disputeentry"),
        TenantPolicy("billing_invoicequestion"),
        TenantPolicy("billing_linkshare"),
        AppendOnly("billing_disputeentry"),
        AppendOnly("billing_linkshare"),
        StateTrigger(
            "billing.LineDispute.status",
            "billing_linedispute",
            "status",
            {
                "open": ["asked", "credited", "released", "withdrawn"],
                "asked": ["credited", "open", "released", "withdrawn"],
                "credited": [],
                "released": [],
                "withdrawn": [],
            },
        ),
        FrozenAfter("billing_linedispute", "status", ["open", "asked"], []),
        StateTrigger(
            "billing.InvoiceQuestion.status",
            "billing_invoicequestion",
            "status",
            {"open": ["answered"], "answered": []},
        ),
        FrozenAfter("billing_invoicequestion", "status", ["open"], []),
        migrations.RunSQL(
            [FITS],
            "DROP TRIGGER billing_linedispute_fits ON billing_linedispute; DROP FUNCTION billing_linedispute_fits();",
        ),
    ]
