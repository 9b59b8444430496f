"""The ``poisonbench`` command line."""
