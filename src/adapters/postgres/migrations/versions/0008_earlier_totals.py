"""The events from before the daily totals are added to them.

`migrate` has done most of it already, in transactions of their own: each holds rows of one merchant's totals for
some milliseconds. Here the rest of it is done.
"""

import sqlalchemy as sa
from alembic import op

from adapters.postgres.migrations.daily_totals import add_some

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    while add_some(connection):
        pass
    op.drop_table("uncounted_events", schema="payments")


def downgrade() -> None:
    op.create_table(
        "uncounted_events",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("counted", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name="pk_uncounted_events"),
        schema="payments",
    )
