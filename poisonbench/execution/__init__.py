"""How the cells of a plan are computed: processes, signals, Slurm, Dask."""
