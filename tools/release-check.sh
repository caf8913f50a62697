#!/bin/sh
# release-check.sh PLATFORMS: clones the last commit into two folders, of different names and lengths, makes the release in
# both and compares what came out, byte by byte.
set -eu
cd "$(dirname "$0")/.."
platforms=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

for place in "$work/one" "$work/another/place/of/the/same"; do
	git -c safe.directory='*' clone --quiet --no-hardlinks . "$place"
	make --no-print-directory -C "$place" release PLATFORMS="$platforms"
done
diff -r "$work/one/dist" "$work/another/place/of/the/same/dist" || {
	echo "release-check: two builds of one commit differ, see above" >&2
	exit 1
}
echo "release-check: two builds of $(git -c safe.directory='*' describe --always) in two folders are the same:"
cat "$work/one/dist/SHA256SUMS"
