"""Users, calls, contacts of telephones, and the secret of the directory."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """From nothing."""
    op.create_table(
        "facts", sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("ha1", sa.String),
        sa.Column("room", sa.Boolean, nullable=False),
    )
    op.create_table(
        "calls",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("caller_id", sa.String, nullable=False),
        sa.Column("callee_id", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("sip_call_id", sa.Text, nullable=False),
        sa.Column("began", sa.Float, nullable=False),
        sa.Column("answered", sa.Float, nullable=False),
        sa.Column("ended", sa.Float, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("exchange", sa.Text),
    )
    op.create_index("ix_calls_ended", "calls", ["ended"])
    op.create_table(
        "bindings",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("uri", sa.Text, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
        sa.Column("call_id", sa.Text, nullable=False),
        sa.Column("cseq", sa.Float, nullable=False),
        sa.Column("q", sa.Float, nullable=False),
        sa.Column("flow", sa.Text),
        sa.Column("instance", sa.Text, nullable=False),
    )
