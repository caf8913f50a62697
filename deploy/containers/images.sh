#!/bin/sh
# Builds the images of the test stack without a registry: the services from the Dockerfile as it is, on a toolchain that is
# this machine's, and in place of the two images that would be pulled our nats-server and the embedded ClickHouse.
#
# Run it by test.sh, which sets CONTAINERS_CONF and CONTAINERS_STORAGE_CONF; WORK is a folder for what it puts together.
set -eu
cd "$(dirname "$0")/../.."
: "${WORK:?}" "${CHDB_LIB_PATH:?}"

# with_libraries FOLDER FILE...: copies files to the places that they have here, and the libraries they need.
with_libraries() {
	root=$1
	shift
	for file in "$@" $(ldd "$@" 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\) (0x.*/\1/p' | sort -u); do
		mkdir -p "$root$(dirname "$file")"
		cp -L "$file" "$root$file"
	done
}

# image NAME FOLDER INSTRUCTION...: an image of nothing but a folder.
image() {
	name=$1 root=$2
	shift 2
	{
		printf 'FROM scratch\nCOPY . /\n'
		printf '%s\n' "$@"
	} >"$root.containerfile"
	podman build -q -f "$root.containerfile" -t "localhost/sluice-test/$name:dev" "$root" >/dev/null
	rm -rf "$root" "$root.containerfile"
}

# The toolchain: a shell and certificates; Go itself is mounted.
go="$WORK/go"
mkdir -p "$go/bin" "$go/tmp" "$go/usr/local/go" "$go/etc/ssl/certs"
chmod 1777 "$go/tmp"
cp "$(command -v busybox)" "$go/bin/sh"
cp /etc/ssl/certs/ca-certificates.crt "$go/etc/ssl/certs/"
image go "$go" 'ENV PATH=/usr/local/go/bin:/bin GOPATH=/go HOME=/root'

# Modules come from this machine's cache alone.
go mod download
version=$(git describe --always --dirty 2>/dev/null || echo dev)
for target in keys redactor sink notifier producer; do
	podman build -q --format docker --target "$target" -t "localhost/sluice/$target:dev" \
		--build-arg GO_IMAGE=localhost/sluice-test/go:dev --build-arg "VERSION=$version" --build-arg GOPROXY=file:///modules \
		-v "$(go env GOROOT):/usr/local/go:ro" -v "$(go env GOMODCACHE)/cache/download:/modules:ro" -v "$(go env GOCACHE):/root/.cache/go-build" \
		. >/dev/null
done

# The broker, with a shell and wget as in the image that it stands for.
nats="$WORK/nats"
mkdir -p "$nats/bin" "$nats/usr/local/bin" "$nats/tmp"
cp bin/nats-server "$nats/usr/local/bin/"
for name in sh wget; do cp "$(command -v busybox)" "$nats/bin/$name"; done
image nats "$nats" 'ENV PATH=/usr/local/bin:/bin'

# ClickHouse: the engine, what gives it TLS and passwords, wget, a shell, and the C library they need. The folder of the
# data is the server's user's, as in the image that it stands for: a new volume takes that over.
clickhouse="$WORK/clickhouse"
mkdir -p "$clickhouse/bin" "$clickhouse/usr/bin" "$clickhouse/usr/lib" "$clickhouse/var/lib" "$clickhouse/etc" "$clickhouse/owned/clickhouse" "$clickhouse/tmp"
chmod 1777 "$clickhouse/tmp" # podman gives a tmpfs the mode of what it covers
CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$clickhouse/usr/bin/clickhouse-server" ./e2e/cmd/clickhouse-server
cp bin/clickhouse-embedded "$clickhouse/usr/bin/"
with_libraries "$clickhouse" "$(command -v wget)"
with_libraries "$clickhouse" "$CHDB_LIB_PATH"
mv "$clickhouse$CHDB_LIB_PATH" "$clickhouse/usr/lib/libchdb.so"
cp "$(command -v busybox)" "$clickhouse/bin/sh"
echo 'hosts: files dns' >"$clickhouse/etc/nsswitch.conf"
image clickhouse "$clickhouse" 'COPY --chown=101:101 owned /var/lib' 'ENV PATH=/usr/bin:/bin CHDB_LIB_PATH=/usr/lib/libchdb.so'

podman image prune -f >/dev/null
podman images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
