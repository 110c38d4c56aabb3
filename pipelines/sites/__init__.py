"""What differs per tumor site: labels, sequences, prior class. A site is data plus small functions."""
