"""Data-poisoning attacks on linear regression, and the defenses against them."""

__version__ = "0.1.0"
