"""Each row has the digest of what it says, and a review is of a patient who has an avatar."""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SEALED = {
    "avatars": ["document"],
    "steps": ["key", "result"],
    "reviews": ["patient_id", "day", "number", "entry"],
}
KEYS = {"avatars": ["patient_id"], "steps": ["key"], "reviews": ["patient_id", "day", "number"]}


def upgrade() -> None:
    """Add the digests of the rows as they are."""
    for table, sealed in SEALED.items():
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("sha256", sa.String(64), nullable=False, server_default=""))
        found = sa.table(table, *(sa.column(c) for c in {*KEYS[table], *sealed, "sha256"}))
        connection = op.get_bind()
        for row in connection.execute(sa.select(found)).mappings().all():
            digest = hashlib.sha256("\n".join(str(row[c]) for c in sealed).encode()).hexdigest()
            own = sa.and_(*(found.c[key] == row[key] for key in KEYS[table]))
            connection.execute(found.update().where(own).values(sha256=digest))
        with op.batch_alter_table(table) as batch:
            batch.alter_column("sha256", server_default=None)
    with op.batch_alter_table("reviews") as batch:
        batch.create_foreign_key("reviews_of_avatars", "avatars", ["patient_id"], ["patient_id"])


def downgrade() -> None:
    """Leave the digests out."""
    with op.batch_alter_table("reviews") as batch:
        batch.drop_constraint("reviews_of_avatars", type_="foreignkey")
    for table in SEALED:
        with op.batch_alter_table(table) as batch:
            batch.drop_column("sha256")
