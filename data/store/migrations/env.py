"""Alembic's entry: migrations run in the transaction of the connection that is given."""

from alembic import context

from data.store.schema import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
context.run_migrations()
