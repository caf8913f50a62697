#!/bin/sh
# engine.sh: brings standalone/engine/node_modules up to date with its lock file. A copy of the lock file inside
# node_modules says what is installed; npm deletes the folder first, so an interrupted install leaves no such copy
# and starts over.
set -eu
cd "$(dirname "$0")/../standalone/engine"

if [ -n "${CHDB_LIB_PATH-}" ]; then
	[ -f "$CHDB_LIB_PATH" ] || {
		echo "CHDB_LIB_PATH=$CHDB_LIB_PATH is not a file: set it to a libchdb.so, or unset it and let make install one" >&2
		exit 1
	}
	echo "engine: nothing to install, CHDB_LIB_PATH is set"
	exit
fi

installed=node_modules/.installed-lock.json
if cmp -s package-lock.json "$installed"; then
	exit
fi

echo "engine: installing ClickHouse as a library (566 MB unpacked), which takes about a minute the first time"
progress=--no-progress
if [ -t 1 ]; then
	progress=--progress
fi
npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error "$progress" || {
	echo "engine: npm could not install it, see above: run make engine again, or set CHDB_LIB_PATH to a libchdb.so you have" >&2
	exit 1
}

# The library is an optional package per platform, and npm passes over an optional package that it cannot get.
set -- node_modules/@chdb/lib-*
[ -d "$1" ] || {
	echo "engine: npm installed no library for $(uname -s) $(uname -m): see if the platform is in standalone/engine/package.json and run make engine again, or set CHDB_LIB_PATH to a libchdb.so you have, or CLICKHOUSE_URL to a server and start bin/standalone yourself" >&2
	exit 1
}
cp package-lock.json "$installed"
