"""What waits for a person is found at once, in the order in which staff list it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_attempts_needs_review",
        "attempts",
        ["merchant_id", "id"],
        schema="payments",
        postgresql_where=sa.text("state = 'needs_review'"),
    )
    op.drop_index("ix_jobs_dead", table_name="jobs", schema="payments")
    op.create_index(
        "ix_jobs_dead",
        "jobs",
        ["merchant_id", "id"],
        schema="payments",
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_dead", table_name="jobs", schema="payments")
    op.create_index(
        "ix_jobs_dead", "jobs", ["dead_at"], schema="payments", postgresql_where=sa.text("dead_at IS NOT NULL")
    )
    op.drop_index("ix_attempts_needs_review", table_name="attempts", schema="payments")
