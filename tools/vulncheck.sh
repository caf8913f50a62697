#!/bin/sh
# vulncheck.sh MODULE...: runs bin/tools/govulncheck on each module. Exits with 1 if code of ours calls something with a
# known vulnerability, with 0 and one line if the database cannot be reached, or with 2 then if VULNCHECK_STRICT is set.
# VULNDB is another database: https://... or file:///...
set -u
cd "$(dirname "$0")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT TERM

found=0
for module in "$@"; do
	echo "govulncheck $module"
	(cd "$module" && CGO_ENABLED=0 ../bin/tools/govulncheck ${VULNDB:+-db "$VULNDB"} ./...) >"$out" 2>&1
	case $? in
	0) ;;
	3)
		cat "$out"
		found=1
		;;
	*)
		# It fetches the database's index before it looks at anything.
		if grep -Eq 'fetching vulnerabilities|vuln\.go\.dev|index/(db|modules)\.json|no such host|dial tcp|connection refused|HTTP GET|proxyconnect|Forbidden' "$out"; then
			echo "vulncheck: nothing was checked, since the database of vulnerabilities cannot be reached: run it where ${VULNDB:-https://vuln.go.dev} can be, or set VULNDB to a copy"
			[ -z "${VULNCHECK_STRICT-}" ] || exit 2
			exit 0
		fi
		cat "$out" >&2
		exit 1
		;;
	esac
done
if [ "$found" = 1 ]; then
	echo "vulncheck: the code calls what is vulnerable, see above: take the version that is named as fixed" >&2
	exit 1
fi
echo "vulncheck: nothing known"
