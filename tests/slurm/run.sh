#!/usr/bin/env bash
# recipes/slurm against a real SLURM on this one machine: the chain on 40 toys with four tasks an array, a task killed in
# the middle, and a broken asset. All that it writes must be that of the same chain done serially, byte for byte.
#
#   tests/slurm/run.sh [FOLDER]     0: equal; 1: not; 0 with a remark where SLURM cannot be installed
#
# It needs root, and Debian's packages for SLURM where that is not installed. `trellis` must be on the PATH.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(realpath -m "${1:-$(mktemp -d)}")
mkdir -p "$work"
skip() {
    echo "SLURM is not tested here: $1"
    exit 0
}

[ "$(id -u)" = 0 ] || skip "only root may start its daemons"
if ! command -v slurmctld >/dev/null || ! command -v munged >/dev/null; then
    command -v apt-get >/dev/null || skip "it is not installed, and there is no apt-get"
    { apt-get update && apt-get install -y --no-install-recommends slurm-wlm slurm-client munge; } \
        >"$work/install.log" 2>&1 || skip "it could not be installed: $(tail -n 1 "$work/install.log")"
fi

# --- a cluster of one node -------------------------------------------------------------------------------------------
host=$(hostname -s)
cpus=$(nproc)
mkdir -p "$work"/slurm/{state,spool,log}
[ -s /etc/munge/munge.key ] || { mkdir -p /etc/munge && head -c 1024 /dev/urandom >/etc/munge/munge.key; }
mkdir -p /run/munge /var/log/munge /var/lib/munge
chown -R munge: /etc/munge /run/munge /var/log/munge /var/lib/munge
chmod 400 /etc/munge/munge.key
chmod 755 /run/munge
pgrep -x munged >/dev/null || runuser -u munge -- munged
cat >"$work/slurm/slurm.conf" <<CONF
ClusterName=trellis
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=cred_expire=5
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=sched_interval=2,batch_sched_delay=1,bf_interval=2
KillWait=2
StateSaveLocation=$work/slurm/state
SlurmdSpoolDir=$work/slurm/spool
SlurmctldPidFile=$work/slurm/slurmctld.pid
SlurmdPidFile=$work/slurm/slurmd.pid
SlurmctldLogFile=$work/slurm/log/slurmctld.log
SlurmdLogFile=$work/slurm/log/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$work/slurm/slurm.conf
stop() {
    scancel --state=RUNNING --user=root 2>/dev/null || true
    scancel --user=root 2>/dev/null || true
    for name in slurmd slurmctld; do
        [ ! -e "$work/slurm/$name.pid" ] || kill "$(cat "$work/slurm/$name.pid")" 2>/dev/null || true
    done
}
trap stop EXIT
slurmctld
slurmd -N "$host"
for _ in $(seq 60); do
    [ "$(sinfo -h -o %T 2>/dev/null)" != idle ] || break
    sleep 0.5
done
[ "$(sinfo -h -o %T)" = idle ] || skip "its node does not come up: $(tail -n 1 "$work/slurm/log/slurmd.log")"

# --- the chain, small ------------------------------------------------------------------------------------------------
trunk='resolution = 16, model_channels = 32, latent_channels = 4, num_blocks = 1, num_heads = 2, window_size = 4'
gaussians="{num_gaussians = 2, voxel_size = 1.5, perturb_offset = true, '2d_filter_kernel_size' = 0.1,
 '3d_filter_kernel_size' = 9e-4, scaling_bias = 8e-3, opacity_bias = 0.1, scaling_activation = 'softplus',
 lr = {_xyz = 1.0, _features_dc = 1.0, _opacity = 1.0, _scaling = 1.0, _rotation = 0.1}}"
gaussians=${gaussians//$'\n'/}
flow='model_channels = 32, cond_channels = 384, pooled_channels = 384, num_blocks = 1, num_heads = 2, patch_size = 2, share_mod = true, qk_rms_norm = true'
export OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 # sums are the same wherever they are made
trellis data export toybox --num 40 -o "$work/toys" --quiet
python - "$work/toys" <<'PYTHON'
import hashlib, json, sys
from pathlib import Path
folder = Path(sys.argv[1])
rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
broken = b"this is no mesh"
rows.append(rows[0] | {"id": hashlib.sha256(broken).hexdigest(), "key": "broken", "name": "broken"})
(folder / "objects" / f"{rows[-1]['id']}.glb").write_bytes(broken)
(folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
PYTHON
for way in cluster serial; do
    mkdir -p "$work/$way"
    cp -r "$work/toys" "$work/$way/data"
    cat >"$work/$way.sh" <<SETTINGS
. "$root/recipes/slurm/mini.sh"
WORK=$work/$way
SOURCE=
SHARDS=4
RESOLUTION=16
BATCH=()
VIEWS=(--num-views 4 --size 64)
SURFACES=(--num-views 4 --size 32)
CONDITIONS=(--num-views 2 --size 32)
FLOWS=(structure-flow slat-flow image-structure-flow)
CPU_JOB=(--cpus-per-task=1)
GPU_JOB=(--cpus-per-task=1)
TRAINING=(--ntasks=1 --cpus-per-task=1)
SET=(
[all]="optimizer.precision='float32'
optimizer.warmup=0
optimizer.batch=2
optimizer.steps=4
loop.evaluate_every=100
loop.trackers=[]"
[structure-vae]="encoder.args={in_channels = 1, latent_channels = 4, num_res_blocks = 1, channels = [8, 16, 16]}
decoder.args={out_channels = 1, latent_channels = 4, num_res_blocks = 1, channels = [16, 16, 8]}"
[slat-vae]="encoder.args={in_channels = 131, $trunk}
decoder.args={$trunk, representation_config = $gaussians}"
[mesh-decoder]="decoder.args={$trunk, num_norm_groups = 4, representation_config = {use_color = true}}"
[rf-decoder]="decoder.args={$trunk, representation_config = {rank = 2, dim = 2}}"
[structure-flow]="network.args={resolution = 4, in_channels = 4, out_channels = 4, $flow}
source_weights={}"
[image-structure-flow]="network.args={resolution = 4, in_channels = 4, out_channels = 4, ${flow//384/172}}
source_weights={}"
[slat-flow]="network.args={resolution = 16, in_channels = 4, out_channels = 4, io = 'packed', $flow}
source_weights={}"
)
SETTINGS
done

# --- on the cluster, with a task of `render` killed ------------------------------------------------------------------
"$root/recipes/slurm/pipeline.sh" "$work/cluster.sh"
killed=
for _ in $(seq 1200); do
    parts=$(find "$work/cluster/data" -path '*/views/part-00002.h5.parts/*' -name '*.h5' | wc -l)
    if [ "$parts" -ge 2 ]; then
        killed=$(pgrep -f 'trellis render .*data/views/part-00002' | tail -n 1 || true)
        [ -z "$killed" ] || break
    fi
    sleep 0.1
done
[ -n "$killed" ] || { echo "no task of render could be killed in the middle"; exit 1; }
kill -KILL "$killed"
echo "killed process $killed, a task of render with $parts assets done"
for _ in $(seq 1200); do
    [ -n "$(squeue -h)" ] || break
    sleep 1
done
[ -z "$(squeue -h)" ] || { squeue; echo "the chain does not end"; exit 1; }
[ -e "$work/cluster/model/pipeline.json" ] || {
    tail -n 5 "$work"/cluster/logs/*.log
    echo "the chain made no model"
    exit 1
}
grep -l "restart 1" "$work"/cluster/logs/render-*.log >/dev/null || { echo "the killed task was not requeued"; exit 1; }

# --- a training of two processes, told to make room ------------------------------------------------------------------
training=$(SLURM_RECIPES=$root/recipes/slurm sbatch --parsable --ntasks=2 --cpus-per-task=1 --output="$work/training.log" \
    "$root/recipes/slurm/train.sbatch" trellis train-vae mini-cpu/structure-vae --data "$work/cluster/data" \
    --out "$work/training" --set loop.log_every=1 --set optimizer.steps=1000000 --set "optimizer.precision='float32'")
wait_for() { # SECONDS WHAT COMMAND..
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq "$seconds"); do
        "$@" && return
        sleep 1
    done
    cat "$work/training.log"
    echo "$what"
    exit 1
}
steps() { wc -l <"$work/training/log.jsonl"; }
wait_for 120 "the training does not begin" test -s "$work/training/log.jsonl"
scancel --signal=USR1 "$training"
wait_for 120 "the training was not requeued" grep -q "restart 1" "$work/training.log"
grep -q "stopping after this step" "$work/training.log" || { echo "the training did not save"; exit 1; }
saved=$(steps)
wait_for 120 "the training does not go on" eval '[ "$(steps)" -gt "$saved" ]'
scancel "$training"
python - "$work/training/log.jsonl" <<'PYTHON'
import json, sys
from pathlib import Path
steps = [json.loads(line)["step"] for line in Path(sys.argv[1]).read_text().splitlines()]
assert steps == list(range(1, len(steps) + 1)), steps  # none twice, none left out
PYTHON
echo "a training of two processes went on after $saved steps"

# --- serially, and compared ------------------------------------------------------------------------------------------
"$root/recipes/slurm/pipeline.sh" "$work/serial.sh" --serial
cd "$work/serial"
find data surfaces runs encoders model -type f ! -name log.jsonl | sort >"$work/serial.txt"
(cd "$work/cluster" && find data surfaces runs encoders model -type f ! -name log.jsonl | sort) >"$work/cluster.txt"
diff "$work/serial.txt" "$work/cluster.txt" || { echo "the two chains wrote different files"; exit 1; }
different=0
while IFS= read -r path; do
    case $path in
        *.ledger.jsonl) diff <(sed "s#$work/serial#$work/cluster#g" "$path") "$work/cluster/$path" ;; # reasons name files
        *) cmp "$path" "$work/cluster/$path" ;;
    esac || different=1
done <"$work/serial.txt"
[ "$different" = 0 ] || exit 1
grep -l "no mesh\|does not begin like a GLB" "$work"/cluster/data/voxels/*.ledger.jsonl >/dev/null
trellis merge "$work/cluster/data/voxels" -o "$work/merged.h5" --quiet
trellis voxelize "$work/toys/manifest.jsonl" -o "$work/one-go.h5" --resolution 16 --quiet || [ $? = 5 ]
cmp "$work/merged.h5" "$work/one-go.h5"
trellis verify "$work/cluster"
echo "SLURM: $(wc -l <"$work/serial.txt") files of the cluster's chain equal the serial one's"
