"""The audit log: who did what, from where. The database itself refuses to change what is written there.

Keys that could do everything until now can read it too: the scope stands in a column of its own, which processes of the
earlier version pass over. While the migration runs, whatever asks who calls waits, some milliseconds for each thousand
keys.

The trigger fires for whoever writes, replication included (`ENABLE ALWAYS`). It does not hold back the owner of the
table, who can drop it: `docs/security.md` has how to run the service as another role.
"""

import sqlalchemy as sa
from alembic import op

from adapters.postgres.migrations.locks import lock_tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


EVERYTHING_BEFORE = (
    "account:read account:write api_keys:read api_keys:write events:read payment_keys:read payment_keys:write "
    "refunds:read refunds:write transactions:read transactions:write webhooks:read webhooks:write"
)


def upgrade() -> None:
    lock_tables(op.get_bind(), {"api_keys": "ACCESS EXCLUSIVE"})
    op.add_column(
        "api_keys",
        sa.Column("later_scopes", sa.ARRAY(sa.Text), server_default=sa.text("'{}'"), nullable=False),
        schema="payments",
    )
    op.execute(
        sa.text(
            "UPDATE payments.api_keys SET later_scopes = ARRAY['audit:read'] WHERE scopes @> string_to_array(:all, ' ')"
        ).bindparams(all=EVERYTHING_BEFORE)
    )
    key = sa.Text(collation="C")
    op.create_table(
        "audit_entries",
        sa.Column("merchant_id", key, nullable=False),
        sa.Column("id", key, nullable=False),
        sa.Column("livemode", sa.Boolean, nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor_kind", sa.Text, nullable=False),
        sa.Column("actor_id", sa.Text, nullable=True),
        sa.Column("address", sa.Text, nullable=True),
        sa.Column("request_id", sa.Text, nullable=True),
        sa.Column("subject", key, nullable=True),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.Column("overall_id", key, sa.Computed("id", persisted=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="pk_audit_entries"),
        schema="payments",
        postgresql_with={"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"},
    )
    op.create_index("ix_audit_entries_overall", "audit_entries", ["overall_id"], schema="payments")
    op.execute(
        """
        CREATE FUNCTION payments.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the audit log is append-only: % is refused', TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.audit_entries
            FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change()
        """
    )
    op.execute("ALTER TABLE payments.audit_entries ENABLE ALWAYS TRIGGER append_only")


def downgrade() -> None:
    """Go back, and lose the log."""
    op.drop_column("api_keys", "later_scopes", schema="payments")
    op.drop_table("audit_entries", schema="payments")
    op.execute("DROP FUNCTION payments.refuse_change()")
