#!/bin/sh
# Fetch mini's real objects: two Debian packages, unpacked without installing them (no root needed).
#
#   recipes/mini/fetch_data.sh DIR        then: trellis data export sweethome3d DIR/sweethome3d -o DATA
#                                               trellis data export 0ad DIR/0ad -o DATA
# Takes 1.5 GB of download and 2.9 GB of disk. A package already in DIR is not fetched again. `apt-get update` first.
set -eu
dir=${1:?usage: recipes/mini/fetch_data.sh DIR}
mkdir -p "$dir"
cd "$dir"

unpack() { # package, folder
    [ -e "$2/.complete" ] && return
    ls "$1"_*.deb >/dev/null 2>&1 || apt-get download "$1"
    rm -rf "$2"
    mkdir "$2"
    dpkg-deb -x "$(ls "$1"_*.deb | head -n 1)" "$2"
    touch "$2/.complete"
}

unpack sweethome3d-furniture sweethome3d
unpack 0ad-data 0ad
