#!/bin/sh
# One shard of a sweep, for schedulers other than Slurm and for none:
#
#   configs/cluster/shard.sh CONFIG OUT SHARDS [I]
#
# I counts from 0; without it the scheduler's own number is taken.  So, with 20 shards:
#
#   qsub -J 0-19 -- "$PWD/configs/cluster/shard.sh" "$PWD/CONFIG" "$PWD/OUT" 20     (PBS)
#   qsub -t 1-20 -cwd -b y configs/cluster/shard.sh CONFIG OUT 20                   (Grid Engine)
#   parallel configs/cluster/shard.sh CONFIG OUT 20 {} ::: $(seq 0 19)              (GNU parallel)
#   for i in $(seq 0 19); do configs/cluster/shard.sh CONFIG OUT 20 "$i"; done      (a bare loop)
#
# and then poisonbench merge OUT.  Whatever is lost, the same line again.
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
    echo "$0: which shard? give its number as the fourth word" >&2
    exit 2
fi

# exec, so that a scheduler's SIGTERM reaches poisonbench itself.
exec poisonbench sweep "$1" --output "$2" --shard "$shard/$3" --jobs "${JOBS:-1}" --quiet
