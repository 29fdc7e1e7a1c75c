"""The dialogs of calls through the proxy, so that they are known again after a restart."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """From users, calls and contacts: calls of before have none."""
    op.add_column("calls", sa.Column("dialogs", sa.Text))
