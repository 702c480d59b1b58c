"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(collation="C"), nullable=False),
        sa.Column("refund_id", sa.Text(collation="C"), nullable=True),
        sa.Column(
            "subject_id",
            sa.Text(collation="C"),
            sa.Computed("COALESCE(refund_id, transaction_id)", persisted=True),
            nullable=False,
        ),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("charge_reference", sa.Text(), nullable=True),
        sa.Column("prepared_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("lookups", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("(kind = 'refund') = (refund_id IS NOT NULL)", name=op.f("ck_attempts_refund")),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_attempts_currency")),
        sa.CheckConstraint("kind IN ('charge', 'refund')", name=op.f("ck_attempts_kind")),
        sa.CheckConstraint(
            "state IN ('prepared', 'pending', 'unknown', 'approved', 'declined', 'needs_review')",
            name=op.f("ck_attempts_state"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_attempts_amount")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("merchant_id", "subject_id", name="uq_attempts_subject"),
        schema="payments",
    )
    op.create_table(
        "deliveries",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("endpoint_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("attempts", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("status <> 'pending' OR due_at IS NOT NULL", name=op.f("ck_deliveries_due")),
        sa.CheckConstraint(
            "status IN ('pending', 'delivered', 'exhausted', 'canceled')", name=op.f("ck_deliveries_status")
        ),
        sa.PrimaryKeyConstraint("merchant_id", "endpoint_id", "id", name=op.f("pk_deliveries")),
        schema="payments",
    )
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["merchant_id", "endpoint_id", "due_at"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_table(
        "events",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("transaction_id", sa.Text(collation="C"), nullable=True),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("only_endpoint_id", sa.Text(collation="C"), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(transaction_id IS NULL) = (sequence IS NULL)", name=op.f("ck_events_sequence")),
        sa.CheckConstraint("position > 0", name=op.f("ck_events_position")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_events")),
        sa.UniqueConstraint("merchant_id", "position", name="uq_events_position"),
        schema="payments",
    )
    op.create_index(
        "ix_events_list", "events", ["merchant_id", "livemode", "position"], unique=False, schema="payments"
    )
    op.create_index(
        "uq_events_sequence",
        "events",
        ["merchant_id", "transaction_id", "sequence"],
        unique=True,
        schema="payments",
        postgresql_where=sa.text("transaction_id IS NOT NULL"),
    )
    op.create_table(
        "idempotency_records",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("fields", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("resource", sa.Text(collation="C"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "livemode", "key", name=op.f("pk_idempotency_records")),
        schema="payments",
    )
    op.create_table(
        "jobs",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("dead_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('charge', 'refund')", name=op.f("ck_jobs_kind")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_jobs")),
        schema="payments",
    )
    op.create_index(
        "ix_jobs_dead",
        "jobs",
        ["dead_at"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("dead_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_due", "jobs", ["due_at"], unique=False, schema="payments", postgresql_where=sa.text("dead_at IS NULL")
    )
    op.create_table(
        "merchants",
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("email", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchants")),
        sa.UniqueConstraint("email", name="uq_merchants_email"),
        schema="payments",
    )
    op.create_table(
        "transactions",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("payment_key_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("gateway_reference", sa.Text(), nullable=True),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(collation="C"), nullable=True),
        sa.Column("customer_reference", sa.Text(collation="C"), nullable=True),
        sa.Column("metadata", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_gateway_code", sa.Text(), nullable=True),
        sa.Column("failure_retryable", sa.Boolean(), nullable=True),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("refund_pending_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunds_count", sa.Integer(), nullable=False),
        sa.Column("facts", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_transactions_currency")),
        sa.CheckConstraint("status <> 'succeeded' OR completed_at IS NOT NULL", name=op.f("ck_transactions_completed")),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'succeeded', 'failed', 'canceled')",
            name=op.f("ck_transactions_status"),
        ),
        sa.CheckConstraint(
            "status_reason IN ('outcome_unknown', 'needs_review', 'requested', 'suspended', 'expired')",
            name=op.f("ck_transactions_status_reason"),
        ),
        sa.CheckConstraint(
            "num_nulls(failure_code, failure_message, failure_retryable) IN (0, 3)",
            name=op.f("ck_transactions_failure"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_transactions_amount")),
        sa.CheckConstraint("refund_pending_minor >= 0", name=op.f("ck_transactions_refund_pending")),
        sa.CheckConstraint(
            "refunded_minor + refund_pending_minor <= amount_minor", name=op.f("ck_transactions_refunds_within_amount")
        ),
        sa.CheckConstraint("refunded_minor >= 0", name=op.f("ck_transactions_refunded")),
        sa.CheckConstraint("refunds_count BETWEEN 0 AND 100", name=op.f("ck_transactions_refunds_count")),
        sa.PrimaryKeyConstraint("merchant_id", "livemode", "id", name=op.f("pk_transactions")),
        schema="payments",
    )
    op.create_index(
        "ix_transactions_customer_reference",
        "transactions",
        ["merchant_id", "livemode", "customer_reference", "id"],
        unique=False,
        schema="payments",
        postgresql_where=sa.text("customer_reference IS NOT NULL"),
    )
    op.create_index(
        "ix_transactions_payment_key",
        "transactions",
        ["merchant_id", "livemode", "payment_key_id", "id"],
        unique=False,
        schema="payments",
    )
    op.create_index(
        "uq_transactions_reference",
        "transactions",
        ["merchant_id", "livemode", "reference"],
        unique=True,
        schema="payments",
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.create_table(
        "api_keys",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("last_four", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('server', 'session')", name=op.f("ck_api_keys_kind")),
        sa.ForeignKeyConstraint(["merchant_id"], ["payments.merchants.id"], name=op.f("fk_api_keys_merchants")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
        schema="payments",
    )
    op.create_table(
        "endpoints",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("old_secrets_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("NOT enabled OR removed_at IS NULL", name=op.f("ck_endpoints_removed")),
        sa.ForeignKeyConstraint(["merchant_id"], ["payments.merchants.id"], name=op.f("fk_endpoints_merchants")),
        sa.PrimaryKeyConstraint("merchant_id", "livemode", "id", name=op.f("pk_endpoints")),
        schema="payments",
    )
    op.create_table(
        "merchant_revisions",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["payments.merchants.id"], name=op.f("fk_merchant_revisions_merchants")
        ),
        sa.PrimaryKeyConstraint("merchant_id", name=op.f("pk_merchant_revisions")),
        schema="payments",
        comment="Moved by each commit that touches the merchant: the lock on its row makes these one after another.",
    )
    op.create_table(
        "payment_keys",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("key", sa.Text(collation="C"), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["payments.merchants.id"], name=op.f("fk_payment_keys_merchants")),
        sa.PrimaryKeyConstraint("merchant_id", "livemode", "id", name=op.f("pk_payment_keys")),
        sa.UniqueConstraint("merchant_id", "livemode", "key", name="uq_payment_keys_key"),
        schema="payments",
    )
    op.create_table(
        "refunds",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("transaction_id", sa.Text(collation="C"), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.Column("gateway_reference", sa.Text(), nullable=True),
        sa.Column("failure_code", sa.Text(), nullable=True),
        sa.Column("failure_message", sa.Text(), nullable=True),
        sa.Column("failure_gateway_code", sa.Text(), nullable=True),
        sa.Column("failure_retryable", sa.Boolean(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("currency ~ '^[A-Z]{3}$'", name=op.f("ck_refunds_currency")),
        sa.CheckConstraint("status IN ('pending', 'succeeded', 'failed')", name=op.f("ck_refunds_status")),
        sa.CheckConstraint(
            "status_reason IN ('outcome_unknown', 'needs_review', 'requested', 'suspended', 'expired')",
            name=op.f("ck_refunds_status_reason"),
        ),
        sa.CheckConstraint(
            "num_nulls(failure_code, failure_message, failure_retryable) IN (0, 3)",
            name=op.f("ck_refunds_failure"),
        ),
        sa.CheckConstraint("amount_minor > 0", name=op.f("ck_refunds_amount")),
        sa.ForeignKeyConstraint(
            ["merchant_id", "livemode", "transaction_id"],
            ["payments.transactions.merchant_id", "payments.transactions.livemode", "payments.transactions.id"],
            name=op.f("fk_refunds_transactions"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "livemode", "id", name=op.f("pk_refunds")),
        schema="payments",
    )
    op.create_index(
        "ix_refunds_transaction", "refunds", ["merchant_id", "transaction_id", "id"], unique=False, schema="payments"
    )
    op.create_table(
        "sessions",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("id", sa.Text(collation="C"), nullable=False),
        sa.Column("livemode", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["merchant_id"], ["payments.merchants.id"], name=op.f("fk_sessions_merchants")),
        sa.PrimaryKeyConstraint("merchant_id", "id", name=op.f("pk_sessions")),
        schema="payments",
    )
    op.create_table(
        "refresh_tokens",
        sa.Column("merchant_id", sa.Text(collation="C"), nullable=False),
        sa.Column("digest", sa.Text(collation="C"), nullable=False),
        sa.Column("session_id", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "session_id"],
            ["payments.sessions.merchant_id", "payments.sessions.id"],
            name=op.f("fk_refresh_tokens_sessions"),
        ),
        sa.PrimaryKeyConstraint("merchant_id", "digest", name=op.f("pk_refresh_tokens")),
        sa.UniqueConstraint("digest", name="uq_refresh_tokens_digest"),
        schema="payments",
    )


def downgrade() -> None:
    op.drop_table("refresh_tokens", schema="payments")
    op.drop_table("sessions", schema="payments")
    op.drop_index("ix_refunds_transaction", table_name="refunds", schema="payments")
    op.drop_table("refunds", schema="payments")
    op.drop_table("payment_keys", schema="payments")
    op.drop_table("merchant_revisions", schema="payments")
    op.drop_table("endpoints", schema="payments")
    op.drop_table("api_keys", schema="payments")
    op.drop_index(
        "uq_transactions_reference",
        table_name="transactions",
        schema="payments",
        postgresql_where=sa.text("reference IS NOT NULL"),
    )
    op.drop_index("ix_transactions_payment_key", table_name="transactions", schema="payments")
    op.drop_index(
        "ix_transactions_customer_reference",
        table_name="transactions",
        schema="payments",
        postgresql_where=sa.text("customer_reference IS NOT NULL"),
    )
    op.drop_table("transactions", schema="payments")
    op.drop_table("merchants", schema="payments")
    op.drop_index("ix_jobs_due", table_name="jobs", schema="payments", postgresql_where=sa.text("dead_at IS NULL"))
    op.drop_index("ix_jobs_dead", table_name="jobs", schema="payments", postgresql_where=sa.text("dead_at IS NOT NULL"))
    op.drop_table("jobs", schema="payments")
    op.drop_table("idempotency_records", schema="payments")
    op.drop_index(
        "uq_events_sequence",
        table_name="events",
        schema="payments",
        postgresql_where=sa.text("transaction_id IS NOT NULL"),
    )
    op.drop_index("ix_events_list", table_name="events", schema="payments")
    op.drop_table("events", schema="payments")
    op.drop_index(
        "ix_deliveries_due", table_name="deliveries", schema="payments", postgresql_where=sa.text("status = 'pending'")
    )
    op.drop_table("deliveries", schema="payments")
    op.drop_table("attempts", schema="payments")
