"""Computing the cells of a plan: processes, signals, Slurm and Dask."""
