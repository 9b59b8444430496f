"""Getting the data sets of the catalogue, and saying what they are: ``poisonbench datasets``."""
