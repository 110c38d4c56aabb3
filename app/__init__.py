"""What people touch: the ``avatar`` command and the board."""
