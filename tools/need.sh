#!/bin/sh
# need.sh COMMAND...: exits with one line on standard error that says what is missing and how to get it. Go must also
# be as new as the go line of go.work asks. Prints nothing when all is there.
set -eu
cd "$(dirname "$0")/.."

missing() {
	printf '%s\n' "$1" >&2
	exit 1
}

# older HAVE WANT: true when version HAVE (1.25.3, 1.26rc1) comes before WANT (1.26.0).
older() {
	printf '%s %s\n' "$1" "$2" | awk '{
		candidate = sub(/(beta|rc)[0-9]+/, "", $1)
		split($1, have, "."); split($2, want, ".")
		for (i = 1; i <= 3; i++) if (have[i] + 0 != want[i] + 0) exit !(have[i] + 0 < want[i] + 0)
		exit !candidate
	}'
}

for command in "$@"; do
	case $command in
	go)
		want=$(sed -n 's/^go //p' go.work)
		command -v go >/dev/null ||
			missing "go not found: install Go $want or newer from https://go.dev/dl/ and put its bin directory on PATH"
		# Asked here, a Go that may fetch a newer toolchain answers with that one; one that may not fails or says its own.
		have=$(go env GOVERSION 2>/dev/null) || have=$(cd / && go env GOVERSION)
		case $have in go[0-9]*) ;; *) continue ;; esac # a development build of Go: newer than any release
		if older "${have#go}" "$want"; then
			missing "go is ${have#go}, too old: install Go $want or newer from https://go.dev/dl/"
		fi
		;;
	npm)
		if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
			missing "npm not found, needed to install the embedded ClickHouse engine: install Node.js with npm from https://nodejs.org/ (or your system's packages nodejs and npm), or set CHDB_LIB_PATH to a libchdb.so you have"
		fi
		;;
	*)
		command -v "$command" >/dev/null || missing "$command not found: install it and try again"
		;;
	esac
done
