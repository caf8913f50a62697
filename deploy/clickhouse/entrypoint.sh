#!/bin/sh
# Starts ClickHouse with the hashes of the passwords that lie in a folder, each in a file
# clickhouse-<user>.password, so that no configuration holds a password: users.d/sluice.xml
# takes the hashes from the environment. Arguments are the command to start.
set -eu
keys=${CLICKHOUSE_KEYS:-/etc/clickhouse-server/keys}
for user in sink analyst admin; do
    file=$keys/clickhouse-$user.password
    if [ ! -r "$file" ] || [ ! -s "$file" ]; then
        echo "entrypoint.sh: there is no password in $file: make one, or set CLICKHOUSE_KEYS to the folder" >&2
        exit 1
    fi
    hash=$(tr -d '\r\n' <"$file" | sha256sum | cut -d' ' -f1)
    name=$(echo "CLICKHOUSE_${user}_PASSWORD_SHA256" | tr a-z A-Z)
    export "$name=$hash"
done
# The image's own way to make a user is not used.
export CLICKHOUSE_SKIP_USER_SETUP=1
if [ $# -eq 0 ]; then
    set -- /entrypoint.sh
fi
exec "$@"
