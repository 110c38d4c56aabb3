"""What we believe: mathematics over the nouns of :mod:`data`. No files, no clock, no global randomness."""
