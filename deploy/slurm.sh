#!/usr/bin/env bash
#SBATCH --job-name=sweep
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

# A part of a sweep in each task of an array. The arguments are those of `seedbed sweep`:
#
#     sbatch deploy/slurm.sh all --drops 0,0.1 --seeds 0..1000
#
# The same command again goes on where an attempt was interrupted, and does nothing for parts that are whole.
# Parts are in $PARTS, the folder `parts` if it is not set. docs/clusters.md tells how they are put together.
set -euo pipefail

parts=${PARTS:-parts}
mkdir -p "$parts"

# Exit code 1 is that a run failed. The part is whole then, and `seedbed merge` says the same again.
seedbed sweep "$@" --jobs "${SLURM_CPUS_PER_TASK:-1}" --shard auto --resume \
    --csv "$parts/part-$SLURM_ARRAY_TASK_ID.csv" --repros "$parts/repros" || [ $? -eq 1 ]
