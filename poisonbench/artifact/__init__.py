"""Experiments as an artifact: a folder from which others can repeat them and check the claims."""
