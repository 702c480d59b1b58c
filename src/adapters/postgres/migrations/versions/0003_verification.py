"""What `payments verify` asks: since when an endpoint listens, and whose an attempt is.

Since when the endpoints of before have listened is not known, so that they begin now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "endpoints",
        sa.Column("subscribed_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        schema="payments",
    )
    op.create_index("ix_attempts_id", "attempts", ["id"], schema="payments")


def downgrade() -> None:
    op.drop_index("ix_attempts_id", table_name="attempts", schema="payments")
    op.drop_column("endpoints", "subscribed_at", schema="payments")
