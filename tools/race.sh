#!/bin/sh
# race.sh: prints -race if this machine can build and run a program with the race detector, which on Linux takes a C
# compiler; otherwise prints nothing, and one line on standard error says why. It tries instead of guessing.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
cd "$dir"
printf 'package main\n\nfunc main() {}\n' >probe.go

if GOWORK=off go build -race -o probe probe.go 2>error && ./probe 2>>error; then
	echo -race
	exit
fi
compiler=$(go env CC)
if ! command -v "${compiler%% *}" >/dev/null; then
	echo 'race detector off: no C compiler found' >&2
else
	echo "race detector off: $(grep -v '^#' error | head -n 1)" >&2
fi
