"""Proved bounds: Theorem 2 for trimmed fits, and ceilings on the effect of any p poison rows."""
