"""What the demo needs and how it is obtained (:mod:`.sri24`, :mod:`.public_cases`) or generated."""
