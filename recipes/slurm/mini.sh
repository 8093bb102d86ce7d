# The shipped model's recipes on toys: hours on a few processors, no GPU needed.
WORK=${WORK:-$PWD/work}
SOURCE="toybox --num 3000" # what `trellis data export` is told; empty where $WORK/data is there already
SHARDS=16
AT_ONCE= # so many tasks of an array at a time; empty for as many as there is room for
RESOLUTION=32
VIEWS=(--num-views 24 --size 128)
SURFACES=(--num-views 24 --size 128) # with depth and normals, for the mesh decoder
CONDITIONS=() # pictures for flows from images alone; empty: they take the views
FEATURES=()
BATCH=(--item-timeout 300)
RECIPES=mini-cpu
FLOWS=(structure-flow slat-flow image-structure-flow image-slat-flow)
ENCODERS=("$(python -c 'from trellis_cli.io.model_folders import SHIPPED; print(SHIPPED / "mini" / "ckpts")')")
CPU_JOB=(--cpus-per-task=2 --time=04:00:00)
GPU_JOB=("${CPU_JOB[@]}")
TRAINING=(--ntasks=1 --cpus-per-task=2 --time=24:00:00)
# Changes to a recipe, one a line, by its name; `all` is for every training.
declare -A SET=()
