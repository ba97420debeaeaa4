#!/bin/sh
# Fetches a package of Debian 13, whatever this machine runs, and unpacks it in a folder of its own; nothing
# is installed. The mirror is the one that this machine gets its packages from.
#   debian13.sh FOLDER PACKAGE
set -eu
[ $# -eq 2 ] || { echo "usage: debian13.sh FOLDER PACKAGE" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
package=$2
[ ! -e "$folder/$package.done" ] || exit 0

mirror=$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(COMPONENT) $(CREATED_BY)' |
    awk '$1 ~ /\/debian\/?$/ && $NF == "Packages" { print $1; exit }')
[ -n "$mirror" ] || { echo "no Debian mirror in this machine's sources" >&2; exit 1; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/tree"
echo "deb [signed-by=$keys] $mirror trixie main" >"$folder/apt/sources.list"
: >"$folder/apt/status"

apt() {
    apt-get -qq -o Dir::Etc::SourceList="$folder/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" \
        -o Dir::Cache="$folder/apt/cache" -o APT::Sandbox::User=root "$@"
}

apt update
(cd "$folder/apt" && apt download "$package")
dpkg-deb -x "$folder"/apt/"$package"_*.deb "$folder/tree"
touch "$folder/$package.done"
