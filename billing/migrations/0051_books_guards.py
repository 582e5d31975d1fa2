"""Tenancy, append-only rows, locked fiscal years, and the sums that plans, payments and funds must keep."""

from django.db import migrations

from consortium.kernel.sql import AppendOnly, FrozenAfter, StateTrigger, TenantPolicy

YEAR = """
CREATE FUNCTION billing_ledgerentry_year() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    year_state text;
BEGIN
    -- The share lock waits for a colleague who locks the year at this moment, and then sees what became of it.
    SELECT status INTO year_state FROM billing_fiscalyear
        WHERE issuer_id = NEW.issuer_id AND valid @> NEW."on" FOR SHARE;
    IF year_state = 'locked' THEN
        RAISE EXCEPTION 'Ledger entry "%": the fiscal year of % is locked', NEW.narration, NEW."on"
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_ledgerentry_year BEFORE INSERT ON billing_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION billing_ledgerentry_year();
"""

PLAN = """
CREATE FUNCTION billing_deferral_plan() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    deferral_key uuid := CASE TG_TABLE_NAME WHEN 'billing_deferral' THEN NEW.id
        ELSE (to_jsonb(NEW) ->> 'deferral_id')::uuid END;
    wanted numeric;
    planned numeric;
BEGIN
    SELECT amount INTO wanted FROM billing_deferral WHERE id = deferral_key;
    SELECT coalesce(sum(amount), 0) INTO planned FROM billing_deferralpart WHERE deferral_id = deferral_key;
    IF planned <> wanted THEN
        RAISE EXCEPTION 'Deferral %: its parts sum to %, not to %', deferral_key, planned, wanted
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER billing_deferral_plan AFTER INSERT ON billing_deferral
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_deferral_plan();
CREATE CONSTRAINT TRIGGER billing_deferralpart_plan AFTER INSERT ON billing_deferralpart
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION billing_deferral_plan();
"""

PAID = """
CREATE FUNCTION billing_supplierpayment_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    owed numeric;
    owed_currency text;
    paid numeric;
BEGIN
    IF NEW.bill_id IS NOT NULL THEN
        SELECT total, currency INTO owed, owed_currency FROM billing_supplierbill WHERE id = NEW.bill_id FOR UPDATE;
    ELSE
        -- What the books owe for it: the exact total, rounded once when it was posted.
        PERFORM 1 FROM billing_billimport WHERE id = NEW.cloud_bill_id FOR UPDATE;
        SELECT -sum(l.amount), min(l.currency) INTO owed, owed_currency FROM billing_ledgerleg l
            JOIN billing_ledgerentry e ON e.id = l.entry_id JOIN billing_ledgeraccount a ON a.id = l.account_id
            WHERE e.kind = 'supplier_bill' AND e.source_type = 'billing.BillImport' AND e.source_id = NEW.cloud_bill_id
            AND a.code = '2000';
    END IF;
    SELECT coalesce(sum(amount), 0) INTO paid FROM billing_supplierpayment
        WHERE bill_id = NEW.bill_id OR cloud_bill_id = NEW.cloud_bill_id;
    IF owed IS NULL OR NEW.currency <> owed_currency OR paid + NEW.amount > owed THEN
        RAISE EXCEPTION 'A payment of % % does not fit a bill of % % of which % is paid',
            NEW.amount, NEW.currency, coalesce(owed, 0), coalesce(owed_currency, 'nothing posted'), paid
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_supplierpayment_fits BEFORE INSERT ON billing_supplierpayment
    FOR EACH ROW EXECUTE FUNCTION billing_supplierpayment_fits();
"""

FUND = """
CREATE FUNCTION billing_fundmovement_fits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    fund_currency text;
    held numeric;
BEGIN
    SELECT currency INTO fund_currency FROM billing_fund WHERE id = NEW.fund_id FOR UPDATE;
    SELECT coalesce(sum(amount), 0) INTO held FROM billing_fundmovement WHERE fund_id = NEW.fund_id;
    IF NEW.currency <> fund_currency OR held + NEW.amount < 0 THEN
        RAISE EXCEPTION 'Fund %: it holds % %, so % % cannot leave it',
            NEW.fund_id, held, fund_currency, -NEW.amount, NEW.currency USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_fundmovement_fits BEFORE INSERT ON billing_fundmovement
    FOR EACH ROW EXECUTE FUNCTION billing_fundmovement_fits();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0050_books")]

    operations = [
        TenantPolicy("billing_deferral"),
        TenantPolicy("billing_deferralpart"),
        AppendOnly("billing_deferral"),
        AppendOnly("billing_deferralpart"),
        AppendOnly("billing_accrual"),
        AppendOnly("billing_revaluation"),
        AppendOnly("billing_bookscheck"),
        AppendOnly("billing_supplierbill"),
        AppendOnly("billing_supplierpayment"),
        AppendOnly("billing_fund"),
        AppendOnly("billing_fundmovement"),
        StateTrigger(
            "billing.FiscalYear.status", "billing_fiscalyear", "status", {"open": ["locked"], "locked": []}
        ),
        FrozenAfter("billing_fiscalyear", "status", ["open"], ["status"]),
        migrations.RunSQL(
            [YEAR],
            "DROP TRIGGER billing_ledgerentry_year ON billing_ledgerentry; DROP FUNCTION billing_ledgerentry_year();",
        ),
        migrations.RunSQL(
            [PLAN],
            "DROP TRIGGER billing_deferralpart_plan ON billing_deferralpart;"
            "DROP TRIGGER billing_deferral_plan ON billing_deferral; DROP FUNCTION billing_deferral_plan();",
        ),
        migrations.RunSQL(
            [PAID],
            "DROP TRIGGER billing_supplierpayment_fits ON billing_supplierpayment;"
            "DROP FUNCTION billing_supplierpayment_fits();",
        ),
        migrations.RunSQL(
            [FUND],
            "DROP TRIGGER billing_fundmovement_fits ON billing_fundmovement;"
            "DROP FUNCTION billing_fundmovement_fits();",
        ),
    ]
