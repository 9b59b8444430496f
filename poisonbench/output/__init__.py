"""The output folder: one file for each cell, and the tables made from them."""
