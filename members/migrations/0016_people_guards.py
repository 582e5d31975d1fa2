"""Tenancy, states and frozen rows of invitations and offers of ownership; an institution keeps an owner."""

from django.db import migrations

from consortium.kernel.sql import FrozenAfter, StateTrigger, TenantPolicy

# Deferred, so that the order within one transaction does not matter. The lock on the membership makes two owners who
# leave at once wait for each other: the second then sees that the first has gone.
KEEPS_AN_OWNER = """
CREATE FUNCTION members_seat_keeps_owner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    PERFORM 1 FROM members_membership
        WHERE institution_id = OLD.institution_id AND status <> 'ended' FOR UPDATE;
    IF FOUND AND NOT EXISTS (
        SELECT 1 FROM members_seat
        WHERE institution_id = OLD.institution_id AND role = 'owner' AND ended_at IS NULL
    ) THEN
        RAISE EXCEPTION 'members.Seat: institution % must keep an owner', OLD.institution_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER members_seat_keeps_owner AFTER UPDATE OR DELETE ON members_seat
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.role = 'owner' AND OLD.ended_at IS NULL) EXECUTE FUNCTION members_seat_keeps_owner();
"""


class Migration(migrations.Migration):
    dependencies = [("members", "0015_invitations")]

    operations = [
        TenantPolicy("members_invitation"),
        TenantPolicy("members_ownershipoffer"),
        StateTrigger(
            "members.Invitation.status",
            "members_invitation",
            "status",
            {"open": ["accepted", "revoked"], "accepted": [], "revoked": []},
        ),
        StateTrigger(
            "members.OwnershipOffer.status",
            "members_ownershipoffer",
            "status",
            {
                "offered": ["accepted", "declined", "withdrawn"],
                "accepted": [],
                "declined": [],
                "withdrawn": [],
            },
        ),
        # An address may still be forgotten.
        FrozenAfter("members_invitation", "status", ["open"], ["email"]),
        FrozenAfter("members_ownershipoffer", "status", ["offered"], []),
        migrations.RunSQL(
            [KEEPS_AN_OWNER],
            "DROP TRIGGER members_seat_keeps_owner ON members_seat; DROP FUNCTION members_seat_keeps_owner();",
        ),
    ]
