#!/bin/sh
# Builds the images of the test stack, has the e2e tests go up with it and down again, and leaves nothing behind: podman
# keeps all it has in a folder of its own, apart from this machine's containers. README.md beside this has the rest.
set -eu
cd "$(dirname "$0")/../.."

missing=
for tool in podman runc podman-compose busybox wget; do
	command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
if [ -n "$missing" ]; then
	echo "containers-test: missing:$missing (apt-get install podman runc podman-compose busybox-static wget ca-certificates)" >&2
	exit 1
fi
[ "$(id -u)" = 0 ] || { echo "containers-test: run it as root: it looks into the containers' volumes and processes" >&2; exit 1; }

: "${CHDB_LIB_PATH:=$(ls "$PWD"/standalone/engine/node_modules/@chdb/lib-*/libchdb.*)}"
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-containers.XXXXXX") # short: sockets are in it
export CHDB_LIB_PATH WORK="$dir/work" TMPDIR="$dir/tmp"
export CONTAINERS_CONF="$dir/containers.conf" CONTAINERS_STORAGE_CONF="$dir/storage.conf"
export DISABLE_HC_SYSTEMD=true # health checks are run by the tests; there may be no systemd for them
mkdir -p "$WORK" "$TMPDIR" "$dir/networks"

clean() {
	podman rm -fa -t 0 >/dev/null 2>&1 || true
	podman network prune -f >/dev/null 2>&1 || true
	rm -rf "$dir" || echo "containers-test: something is left in $dir" >&2
}
trap clean EXIT
trap 'exit 1' INT TERM HUP

# runc, since crun and user namespaces are not everywhere; limits that a container may set in whatever shell this runs;
# pids_limit in place of the compose file's, which podman-compose 1.0 does not pass on.
cat >"$CONTAINERS_CONF" <<EOF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn | sed 's/unlimited/65536/'):$(ulimit -Hn | sed 's/unlimited/65536/')", "nproc=4096:4096"]
pids_limit = 4096
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$dir/libpod"
[network]
network_config_dir = "$dir/networks"
EOF
cat >"$CONTAINERS_STORAGE_CONF" <<EOF
[storage]
driver = "${CONTAINERS_STORAGE_DRIVER:-overlay}"
graphroot = "$dir/graph"
runroot = "$dir/run"
EOF

echo "containers-test: building the images"
deploy/containers/images.sh

# Ports that nobody else is likely to have, and ClickHouse's HTTPS in place of its native protocol, which the embedded
# engine does not speak.
export SLUICE_NATS_PORT="${SLUICE_NATS_PORT:-24222}" SLUICE_CLICKHOUSE_PORT="${SLUICE_CLICKHOUSE_PORT:-28443}"
export SLUICE_DOOR_PORT="${SLUICE_DOOR_PORT:-28090}" SLUICE_GRAFANA_PORT="${SLUICE_GRAFANA_PORT:-23000}"
export CLICKHOUSE_URL=https://clickhouse:8443
status=0
E2E_STACK=sluicetest SLUICE_BIN="$PWD/bin" go test ./e2e -run '^TestStack$' -count=1 -v -timeout 10m || status=$?
exit "$status"
