#!/usr/bin/env bash
# From assets to a packed model: every stage as an array of jobs, every training as one, chained by dependencies.
#
#   recipes/slurm/pipeline.sh SETTINGS            submit the whole chain; what is done already is skipped
#   recipes/slurm/pipeline.sh SETTINGS --serial   do the same work here, one command after the other, without SLURM
#
# SETTINGS is a file like mini.sh or paper.sh beside this one: which data, how many shards, which recipes.
set -euo pipefail
SLURM_RECIPES=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SLURM_RECIPES
settings=${1:?usage: pipeline.sh SETTINGS [--serial]}
serial=${2:-}
. "$SLURM_RECIPES/site.sh"
# shellcheck source=recipes/slurm/mini.sh
. "$settings"
mkdir -p "$WORK/logs" "$WORK/surfaces"
last=$((SHARDS - 1))

# submit NAME DEPENDENCY ARRAY OPTIONS.. -- COMMAND..: sets `job`. DEPENDENCY is as of sbatch, or empty; ARRAY is 1 for one
# task a shard.
submit() {
    local name=$1 after=$2 array=$3 options=() script=command.sbatch
    shift 3
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    if [ "$serial" = --serial ]; then
        here "$name" "$array" "$@"
        return
    fi
    [ "${2:-}" != train-vae ] && [ "${2:-}" != train-flow ] || script=train.sbatch
    [ -z "$after" ] || options+=(--dependency="$after" --kill-on-invalid-dep=yes)
    [ "$array" = 0 ] || options+=(--array="0-$last${AT_ONCE:+%$AT_ONCE}")
    job=$(sbatch --parsable --job-name="$name" --output="$WORK/logs/$name-%j.log" "${options[@]}" \
        "$SLURM_RECIPES/$script" "$@")
    echo "$name: job $job${after:+, $after}"
}

# The same command here: shard by shard. 5: some items failed, and the ledger has them.
here() {
    local name=$1 array=$2 shard number
    shift 2
    job=
    for shard in $(if [ "$array" = 0 ]; then echo 0; else seq 0 "$last"; fi); do
        number=$(printf %05d "$shard")
        local words=("${@//%a/$number}")
        [ "$array" = 0 ] || words+=(--shard "$shard/$SHARDS")
        echo "$name $shard: ${words[*]}"
        (prepare && "${words[@]}") >>"$WORK/logs/$name.log" 2>&1 || [ $? = 5 ]
    done
}

# train NAME DEPENDENCY DATA: by the recipe $RECIPES/NAME, with the changes of $SET[NAME], into $WORK/runs/NAME.
train() {
    local name=$1 after=$2 data=$3 command=train-vae words=() change
    shift 3
    case $name in *flow*) command=train-flow ;; esac
    while IFS= read -r change; do
        [ -z "$change" ] || words+=(--set "$change")
    done <<<"${SET[all]:-}
${SET[$name]:-}"
    submit "$name" "$after" 0 "${TRAINING[@]}" -- \
        trellis "$command" "$RECIPES/$name" --data "$WORK/$data" --out "$WORK/runs/$name" "${words[@]}" "$@"
}

after() { # KIND JOB..: a dependency on the jobs, none where there are none
    local kind=$1 IFS=:
    shift
    [ -z "$*" ] || echo "$kind:$*"
}

exported=
if [ -n "${SOURCE:-}" ]; then
    submit export "" 0 "${CPU_JOB[@]}" -- trellis data export $SOURCE -o "$WORK/data"
    exported=$job
fi
objects=$WORK/data/manifest.jsonl
ln -sf ../data/manifest.jsonl "$WORK/surfaces/manifest.jsonl"
for shard in $(seq -f %05.0f 0 "$last"); do
    ln -sf "../data/latents/part-$shard.h5" "$WORK/surfaces/latents-$shard.h5"
done

submit voxelize "$(after afterok $exported)" 1 "${CPU_JOB[@]}" -- \
    trellis voxelize "$objects" -o "$WORK/data/voxels/part-%a.h5" --resolution "$RESOLUTION" "${BATCH[@]}"
voxels=$job
submit render "$(after afterok $exported)" 1 "${CPU_JOB[@]}" -- \
    trellis render "$objects" -o "$WORK/data/views/part-%a.h5" "${VIEWS[@]}" "${BATCH[@]}"
views=$job
submit surfaces "$(after afterok $exported)" 1 "${CPU_JOB[@]}" -- \
    trellis render "$objects" -o "$WORK/surfaces/views/part-%a.h5" "${SURFACES[@]}" --depth --normal "${BATCH[@]}"
surfaces=$job
conditions=
if [ "${#CONDITIONS[@]}" -gt 0 ]; then # pictures for flows from images; without, those take the views
    submit conditions "$(after afterok $exported)" 1 "${CPU_JOB[@]}" -- \
        trellis render "$objects" -o "$WORK/data/conditions/part-%a.h5" "${CONDITIONS[@]}" --conditions "${BATCH[@]}"
    conditions=$job
fi
# A shard's features need the same shard's voxels and views alone: task k waits for the tasks k.
submit featurize "$(after aftercorr $voxels $views)" 1 "${GPU_JOB[@]}" -- \
    trellis featurize "$WORK/data/voxels/part-%a.h5" "$WORK/data/views/part-%a.h5" \
    -o "$WORK/data/features/part-%a.h5" "${FEATURES[@]}" "${BATCH[@]}"
features=$job

train structure-vae "$(after afterok $voxels)" data
structure_vae=$job
train slat-vae "$(after afterok $features)" data
slat_vae=$job
submit encoders "$(after afterok $structure_vae $slat_vae)" 0 "${CPU_JOB[@]}" -- \
    trellis models pack "$WORK/runs/structure-vae" "$WORK/runs/slat-vae" -o "$WORK/encoders" --overwrite
encoders=$job
submit encode "$(after afterok $encoders)" 1 "${GPU_JOB[@]}" -- \
    trellis encode "$WORK/data/features/part-%a.h5" -o "$WORK/data/latents/part-%a.h5" --model "$WORK/encoders" \
    "${BATCH[@]}"
latents=$job
submit stats "$(after afterok $latents)" 0 "${CPU_JOB[@]}" -- \
    trellis stats "$WORK/data" -o "$WORK/data/normalization.json"
stats=$job

train mesh-decoder "$(after afterok $latents $surfaces)" surfaces
decoders=$job
train rf-decoder "$(after afterok $latents)" data
decoders="$decoders $job"
flows=
runs=("$WORK"/runs/{structure-vae,slat-vae,mesh-decoder,rf-decoder})
for flow in "${FLOWS[@]}"; do
    case $flow in
        *image*) train "$flow" "$(after afterok $latents $stats $conditions)" data ;;
        *slat*) train "$flow" "$(after afterok $latents $stats)" data ;;
        *) train "$flow" "$(after afterok $latents)" data ;;
    esac
    flows="$flows $job"
    runs+=("$WORK/runs/$flow")
done
submit pack "$(after afterok $decoders $flows)" 0 "${CPU_JOB[@]}" -- \
    trellis models pack "${runs[@]}" "${ENCODERS[@]}" -o "$WORK/model" --overwrite
