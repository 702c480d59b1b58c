"""Daily totals, kept by the database itself: a trigger adds up the events of each INSERT.

So processes of the earlier version count too, and a commit says no more than before. Up to where each merchant's events
are not counted yet is written down while nothing is committed; migration 0008 has them added. While this one runs,
commits wait for as long as it takes to note one position for each merchant.

The function is run as the owner of the tables: who may write events need not be able to write totals. Its search path
is fixed, so that nobody's own tables or functions take the place of others in it. The trigger is one of the origin
alone: where events are replicated, their totals are too.
"""

import sqlalchemy as sa
from alembic import op

from adapters.postgres.migrations.daily_totals import adding
from adapters.postgres.migrations.locks import lock_tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LOCKED = {
    # Whatever commits begins here: those that run end, and others wait before they hold anything.
    "merchant_revisions": "EXCLUSIVE",
    "events": "SHARE ROW EXCLUSIVE",
}


def upgrade() -> None:
    key = sa.Text(collation="C")
    op.create_table(
        "daily_totals",
        sa.Column("merchant_id", key, nullable=False),
        sa.Column("livemode", sa.Boolean, nullable=False),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("currency", key, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("succeeded", sa.BigInteger, nullable=False),
        sa.Column("succeeded_minor", sa.Numeric, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("canceled", sa.BigInteger, nullable=False),
        sa.Column("refunds", sa.BigInteger, nullable=False),
        sa.Column("refunded_minor", sa.Numeric, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "livemode", "day", "currency", name="pk_daily_totals"),
        schema="payments",
        postgresql_with={
            "fillfactor": "50",
            "autovacuum_vacuum_scale_factor": "0",
            "autovacuum_vacuum_threshold": "1000",
            "autovacuum_vacuum_cost_delay": "0",
        },
    )
    op.create_table(
        "uncounted_events",
        sa.Column("merchant_id", key, nullable=False),
        sa.Column("counted", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name="pk_uncounted_events"),
        schema="payments",
    )
    op.execute(
        f"""
        CREATE FUNCTION payments.add_to_daily_totals() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            {adding("written")};
            RETURN NULL;
        END
        $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION payments.add_to_daily_totals() FROM PUBLIC")
    lock_tables(op.get_bind(), LOCKED)
    op.execute(
        """
        CREATE TRIGGER daily_totals AFTER INSERT ON payments.events REFERENCING NEW TABLE AS written
            FOR EACH STATEMENT EXECUTE FUNCTION payments.add_to_daily_totals()
        """
    )
    op.execute(
        """
        INSERT INTO payments.uncounted_events (merchant_id, counted, last)
            SELECT merchant_id, 0, events FROM payments.merchant_revisions WHERE events > 0
        """
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER daily_totals ON payments.events")
    op.execute("DROP FUNCTION payments.add_to_daily_totals()")
    op.drop_table("uncounted_events", schema="payments")
    op.drop_table("daily_totals", schema="payments")
