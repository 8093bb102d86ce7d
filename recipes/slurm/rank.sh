#!/usr/bin/env bash
# One process of a training, as torch and accelerate want to be told of it. It becomes the command itself, so that
# SLURM's signals reach that and nothing in between.
if [ "$SLURM_NTASKS" -gt 1 ]; then
    export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS LOCAL_RANK=$SLURM_LOCALID
fi
exec "$@"
