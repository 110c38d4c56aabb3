"""Where avatars are kept: documents in SQL, volumes and tables as files named by their content."""

from data.store.store import AvatarStore

__all__ = ["AvatarStore"]
