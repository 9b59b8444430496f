"""What can be proved: Theorem 2 for trimmed fits, and a ceiling on the harm of any p rows."""
