"""Defending a file that may be poisoned: a robust model, the rows to look at, and their reasons.

There is no attack here and nothing is trusted.  :mod:`fit` is the whole in the order in which it
runs; it works on arrays.  The other modules are its steps, and what is read and written.
"""
