#!/bin/sh
# Compute one shard of a sweep, under a scheduler other than Slurm or without one:
#
#   configs/cluster/shard.sh CONFIG OUT SHARDS [I]
#
# I is the number of the shard, from 0.  Without it the script takes the array index that PBS or Grid
# Engine sets.  For example, with 20 shards:
#
#   qsub -J 0-19 -- "$PWD/configs/cluster/shard.sh" "$PWD/CONFIG" "$PWD/OUT" 20     (PBS)
#   qsub -t 1-20 -cwd -b y configs/cluster/shard.sh CONFIG OUT 20                   (Grid Engine)
#   parallel configs/cluster/shard.sh CONFIG OUT 20 {} ::: $(seq 0 19)              (GNU parallel)
#   for i in $(seq 0 19); do configs/cluster/shard.sh CONFIG OUT 20 "$i"; done      (a bare loop)
#
# Then run poisonbench merge OUT.  If shards are lost, run the same command again.
set -eu

if [ "$#" -lt 3 ] || [ "$#" -gt 4 ]; then
    echo "usage: $0 CONFIG OUT SHARDS [I]" >&2
    exit 2
fi

if [ "$#" -eq 4 ]; then
    shard=$4
elif [ -n "${PBS_ARRAY_INDEX:-}" ]; then
    shard=$PBS_ARRAY_INDEX
elif [ -n "${SGE_TASK_ID:-}" ] && [ "$SGE_TASK_ID" != undefined ]; then
    shard=$((SGE_TASK_ID - 1)) # Grid Engine counts from 1
else
    echo "$0: expected the number of the shard as the fourth argument" >&2
    exit 2
fi

# exec: the scheduler's SIGTERM must reach poisonbench itself.
exec poisonbench sweep "$1" --output "$2" --shard "$shard/$3" --jobs "${JOBS:-1}" --quiet
