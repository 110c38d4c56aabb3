"""Avatars, results of steps, and reviews as JSON."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables; stores from before there were migrations have some of them."""
    op.create_table(
        "avatars",
        sa.Column("patient_id", sa.String(64), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "steps",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "reviews",
        sa.Column("patient_id", sa.String(64), primary_key=True),
        sa.Column("day", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("entry", sa.Text, nullable=False),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("reviews", "steps", "avatars"):
        op.drop_table(table)
