"""Data sets: loaders, scaling to the box, splits."""
