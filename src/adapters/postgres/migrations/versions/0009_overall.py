"""What staff see of all merchants, the newest first: transactions, refunds, payment keys, endpoints.

While it runs, whatever writes here stands still, as in 0004; reads go on. The index on transactions is most of it.
"""

import sqlalchemy as sa
from alembic import op

from adapters.postgres.migrations.locks import lock_tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("payment_keys", "transactions", "refunds", "endpoints")


def upgrade() -> None:
    # Whatever commits begins at the revisions; then the tables, in the order in which commits write.
    lock_tables(op.get_bind(), {"merchant_revisions": "EXCLUSIVE"} | dict.fromkeys(TABLES, "SHARE ROW EXCLUSIVE"))
    for table in TABLES:
        op.create_index(f"ix_{table}_overall", table, [sa.text("(id || '')")], schema="payments")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_index(f"ix_{table}_overall", table_name=table, schema="payments")
