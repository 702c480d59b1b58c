"""Accounts and sessions of staff: two small tables, which belong to no merchant."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key, time = sa.Text(collation="C"), sa.DateTime(timezone=True)
    op.create_table(
        "staff_members",
        sa.Column("id", key, nullable=False),
        sa.Column("email", key, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("disabled_at", time, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_staff_members"),
        sa.UniqueConstraint("email", name="uq_staff_members_email"),
        schema="payments",
    )
    op.create_table(
        "staff_sessions",
        sa.Column("id", key, nullable=False),
        sa.Column("member_id", key, nullable=False),
        sa.Column("created_at", time, nullable=False),
        sa.Column("expires_at", time, nullable=False),
        sa.Column("revoked_at", time, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_staff_sessions"),
        sa.ForeignKeyConstraint(["member_id"], ["payments.staff_members.id"], name="fk_staff_sessions_staff_members"),
        schema="payments",
    )
    op.create_index(
        "ix_staff_sessions_valid",
        "staff_sessions",
        ["member_id", "expires_at"],
        schema="payments",
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_index("ix_staff_sessions_expires_at", "staff_sessions", ["expires_at"], schema="payments")


def downgrade() -> None:
    """Go back, and lose the accounts."""
    op.drop_table("staff_sessions", schema="payments")
    op.drop_table("staff_members", schema="payments")
