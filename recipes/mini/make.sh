#!/usr/bin/env bash
# Make the model `mini`: from fetching the data to a packed model folder, WORK/mini.
#
#   recipes/mini/make.sh WORK [--recipes mini|mini-cpu] [--max-minutes M]
#
# mini wants a GPU; mini-cpu is its smaller sister for two cores. The same command again goes on where it stopped,
# after a kill too: every step skips what is done. --max-minutes stops each training after so long (the script then
# ends with exit code 75; call it again to go on).
#
# Needs `trellis` and its `python` on the PATH (on a GPU with gsplat: pip install 'trellis-slat[gpu]'), Debian's or
# Ubuntu's apt after `apt-get update` (1.5 GB of download; no root), pip's index for the pretrained encoders, 8 GB of
# disk.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { # exit code, lines
    printf '%s\n' "${@:2}" >&2
    exit "$1"
}
usage="usage: recipes/mini/make.sh WORK [--recipes mini|mini-cpu] [--max-minutes M]"
case ${1:-} in '' | -*) fail 2 "$usage" ;; esac
work=$1 recipes=mini limit=()
shift
while [ $# -gt 0 ]; do
    case $1 in
        --recipes | --max-minutes) [ $# -ge 2 ] || fail 2 "error: $1 needs a value" "$usage" ;;
        *) fail 2 "error: $1 is no option" "$usage" ;;
    esac
    case $1=$2 in
        --recipes=mini | --recipes=mini-cpu) recipes=$2 ;;
        --max-minutes=*) limit=(--max-minutes "$2") ;;
        *) fail 2 "error: there are no recipes $2" "$usage" ;;
    esac
    shift 2
done
toys=4250    # procedural objects; the first of them also get looks
looks=2000
mkdir -p "$work"
work=$(cd "$work" && pwd)
exec 9>"$work/.lock" # every child holds it too, so that it lasts as long as any of them writes
flock -n 9 || fail 1 "error: another make.sh, or what one left running, works in $work" " hint: wait until it has ended"
encoder=$work/encoder/ckpts # the pretrained text encoder; image encoder and LPIPS heads are the shipped ones
shipped=$(python -c 'from trellis_cli.io.model_folders import SHIPPED; print(SHIPPED / "mini" / "ckpts")')

some() { "$@" || [ $? -eq 5 ]; } # exit code 5: a few broken objects, listed in a ledger; the others are done

train() { # train-vae or train-flow, recipe, data, further options
    echo "== $2" >&2
    trellis "$1" "$recipes/$2" --data "$3" --out "$work/runs/$2" "${limit[@]}" "${@:4}" --json >"$work/$2.json"
    grep -q '"finished": true' "$work/$2.json" || fail 75 "$2: out of time; call again to go on"
}

pack() { # model, its runs; anew where one of them has trained on (a finished run that is called writes ckpts alone)
    local model=$work/models/$1 run
    for run in "${@:2}"; do
        [ "$model/pipeline.json" -nt "$work/runs/$run/checkpoint.safetensors" ] && continue
        (cd "$work/runs" && trellis models pack "${@:2}" -o "$model" --overwrite)
        return
    done
}

encode() { # input, output, model, further options; anew where the model is newer
    local model=$work/models/$3
    [ ! "$model/pipeline.json" -nt "$work/$2" ] || rm -f "$work/$2"
    trellis encode "$work/$1" -o "$work/$2" --model "$model" "${@:4}"
}

folder() { # a data folder of its own, with the common manifest
    mkdir -p "$work/$1"
    ln -sf ../data/manifest.jsonl "$work/$1/manifest.jsonl"
}

objects() {
    "$here/fetch_data.sh" "$work/raw"
    [ -e "$encoder/text_encoder.json" ] || python "$here/fetch_weights.py" --out "$encoder"
    [ -e "$work/data/.complete-$toys" ] || {
        some trellis data export sweethome3d "$work/raw/sweethome3d" -o "$work/data"
        some trellis data export 0ad "$work/raw/0ad" -o "$work/data"
        some trellis data export toybox --num "$toys" -o "$work/data"
        touch "$work/data/.complete-$toys"
    }
    some trellis voxelize "$work/data/objects" -o "$work/data/voxels.h5" --resolution 32
    for name in looks surfaces; do folder "$name"; done
    # Which objects are rendered: all real ones and the first toys; with depth and normals, every fourth of these.
    python - "$work" "$looks" <<'PYTHON'
import json, sys
from pathlib import Path
work, looks = Path(sys.argv[1]), int(sys.argv[2])
rows = [json.loads(line) for line in (work / "data/manifest.jsonl").read_text().splitlines()]
ids = [r["id"] for r in rows if r["source"] != "toybox" or int(r["key"].split("/")[1]) < looks]
for name, chosen in (("looks", ids), ("surfaces", ids[::4])):
    (work / name / "objects.txt").write_text("".join(f"../data/objects/{i}.glb\n" for i in chosen))
PYTHON
}

structure() { # which voxels: their VAE, their latents (and mirrored ones), the flow
    train train-vae structure-vae "$work/data"
    pack structure structure-vae
    touch "$work/.structure-encoder"
    folder structure
    encode data/voxels.h5 structure/latents.h5 structure
    encode data/voxels.h5 structure/mirrored.h5 structure --mirror
    train train-flow structure-flow "$work/structure" --encoder "$encoder" --preview "$work/models/structure"
}

looks() { # what is on them: views and features, the SLAT VAE, latents, mesh and radiance field decoders, the flow
    local views=(--num-views 24 --size 128)
    some trellis render "$work/looks/objects.txt" -o "$work/looks/views.h5" "${views[@]}"
    some trellis featurize "$work/data/voxels.h5" "$work/looks/views.h5" -o "$work/looks/features.h5"
    train train-vae slat-vae "$work/looks"
    # `encode` writes both latents from features, so it wants both encoders: the other lane must have its own first.
    until [ -e "$work/.structure-encoder" ]; do
        kill -0 "${lanes[0]:-none}" 2>/dev/null || fail 75 "looks: the structure's encoder is not there; call again to go on"
        sleep 1
    done
    pack encoders structure-vae slat-vae
    folder latents
    encode looks/features.h5 latents/latents.h5 encoders
    ln -sf ../latents/latents.h5 "$work/surfaces/latents.h5"
    some trellis render "$work/surfaces/objects.txt" -o "$work/surfaces/views.h5" "${views[@]}" --depth --normal
    train train-vae mesh-decoder "$work/surfaces"
    folder fields
    ln -sf ../latents/latents.h5 ../looks/views.h5 "$work/fields/"
    train train-vae rf-decoder "$work/fields"
    train train-flow slat-flow "$work/latents" --encoder "$encoder" --preview "$work/models/encoders"
}

from_images() { # which flow: what it learnt from texts, taught anew with the views
    case $1 in
        structure) local folder=structure model=structure ;;
        slat) local folder=latents model=encoders ;;
    esac
    ln -sf ../looks/views.h5 "$work/$folder/views.h5"
    train train-flow "image-$1-flow" "$work/$folder" --start-from "$work/runs/$1-flow" --preview "$work/models/$model"
}

everything() {
    structure
    looks
    from_images structure
    from_images slat
}

mini() {
    trellis models pack "$work"/runs/{structure-vae,slat-vae,mesh-decoder,rf-decoder,{,image-}{structure,slat}-flow} \
        "$encoder" "$shipped" -o "$work/mini" --store int8 --overwrite
}

# A lane is a job in a process group of its own, so that it can be stopped with all its children.
set -m
lanes=()
lane() {
    "$@" &
    lanes+=($!)
}

meet() { # wait for the lanes; end where one failed, with its code rather than with "out of time"
    local code=0 one
    for pid in "${lanes[@]}"; do
        one=0
        wait "$pid" || one=$?
        if [ "$code" -eq 0 ] || { [ "$code" -eq 75 ] && [ "$one" -ne 0 ]; }; then code=$one; fi
    done
    lanes=()
    [ "$code" -eq 0 ] || exit "$code"
}

stop() { # ... and stay until all have saved what they had
    trap - EXIT INT TERM HUP
    for pid in "${lanes[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null || true
    done
    for pid in "${lanes[@]}"; do
        while kill -0 -- "-$pid" 2>/dev/null; do sleep 0.2; done
    done
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

gpu=$(python -c 'import importlib.util as i, torch; print(torch.cuda.is_available(), bool(i.find_spec("gsplat")))')
[ "$gpu" != "True False" ] || fail 4 "error: gsplat is not installed, and the GPU's trainings want it" \
    " hint: pip install 'trellis-slat[gpu]'"
rm -f "$work/.structure-encoder"
lane objects
meet
case $gpu in
    True*) lane everything ;;
    *) # two cores: one lane each
        export OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1
        lane structure
        lane looks
        meet
        lane from_images structure
        lane from_images slat
        ;;
esac
meet
lane mini
meet
