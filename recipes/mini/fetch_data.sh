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

newest() { # package: its file of the highest version here
    ls "$1"_*.deb 2>/dev/null | sort -V | tail -n 1
}

unpack() { # package, folder
    [ ! -e "$2/.complete" ] || return 0
    deb=$(newest "$1")
    if [ -z "$deb" ] || ! dpkg-deb --fsys-tarfile "$deb" >/dev/null; then # none, or one that was cut off
        mkdir -p fetching
        (cd fetching && rm -f "$1"_*.deb && apt-get download "$1")
        dpkg-deb --info "fetching/$(cd fetching && newest "$1")" >/dev/null
        mv fetching/"$1"_*.deb .
        rmdir fetching
        deb=$(newest "$1")
    fi
    rm -rf "$2"
    mkdir "$2"
    dpkg-deb -x "$deb" "$2"
    touch "$2/.complete"
}

unpack sweethome3d-furniture sweethome3d
unpack 0ad-data 0ad
