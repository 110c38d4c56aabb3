"""Keys for the fields of a page, as its buttons have them."""

from __future__ import annotations

from app.components.shared import component


class FieldKeys:
    """Which key goes to which field: told in the field's help, in a line at the page's foot, and heard.

    A key is heard while nothing is typed, and outside what has keys of its own.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def help(self, key: str, name: str, words: str) -> str:
        """Help of a field of this name, with the key (one character) that goes to it from now on."""
        taken = self._names.setdefault(key.lower(), name)
        if taken != name:
            raise ValueError(f"{key} goes to {taken!r} already: choose another key for {name!r}")
        return f"{words} ({key})"

    def listen(self) -> None:
        """The line of keys; last on the page."""
        component("keys")(data={"names": list(self._names.items())}, key="field-keys")
