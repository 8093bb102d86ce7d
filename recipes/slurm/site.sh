# Settings of a site: what its cluster calls things, and what a job needs before `trellis` can be called.
# Every script here reads this file; nothing else has to be edited to run elsewhere.

# Options of sbatch for jobs on processors, and for trainings. One GPU a process; PROCESSES_PER_NODE of both.
CPU_JOB=(--cpus-per-task=8 --mem=32G --time=08:00:00)
GPU_JOB=(--cpus-per-task=8 --mem=64G --time=08:00:00 --gpus-per-task=1)
TRAINING=(--nodes=8 --ntasks-per-node=8 --gpus-per-node=8 --cpus-per-task=8 --mem=0 --time=24:00:00)

# How often a job that was killed is put back into the queue before it counts as failed.
MAX_RESTARTS=5

# Before each command: modules, a virtual environment, scratch disks.
prepare() {
    : # source /path/to/venv/bin/activate
}
