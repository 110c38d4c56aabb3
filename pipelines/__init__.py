"""What we do: files -> avatar -> answer. One step a file; resumable; every step records provenance."""
