# The paper's sizes. Index and filter the assets first (docs/scaling.md); the manifest goes to $WORK/data.
WORK=${WORK:?the folder, on a disk that all nodes see}
SOURCE=
SHARDS=512 # about 1,000 assets each, of 500 thousand
AT_ONCE=128
RESOLUTION=64
VIEWS=(--num-views 150 --size 512)
SURFACES=(--num-views 24 --size 512) # with depth and normals, for the mesh decoder
CONDITIONS=(--num-views 24 --size 1024)
FEATURES=(--encoder dinov2)
BATCH=(--item-timeout 1800)
RECIPES=paper
FLOWS=(text-structure-flow-L text-slat-flow-L image-structure-flow-L image-slat-flow-L)
ENCODERS=() # the recipes name CLIP and DINOv2, which `trellis models fetch` brings to the hub's cache
declare -A SET=(
    # VGG's LPIPS as in the paper: its weights are a file of yours (docs/training.md).
    [slat-vae]="${VGG:+loss.lpips=$VGG}"
    [rf-decoder]="${VGG:+lpips=$VGG}"
    [mesh-decoder]="${VGG:+loss.lpips=$VGG}"
)
