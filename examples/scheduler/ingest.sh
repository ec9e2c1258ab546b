#!/bin/sh
# ingest.sh STORE REF WORKERS ANCHOR_START FIELD=FILE...: several processes append one set of files, each its part on a branch of its own;
# then the branches are merged into REF.  Run again with the same JOB after a crash: nothing lands twice.
#   DREAMDB=path of the command   JOB=id (default: a new one)
set -eu
dreamdb=${DREAMDB:-dreamdb}
[ $# -ge 5 ] || { echo "usage: ingest.sh STORE REF WORKERS ANCHOR_START FIELD=FILE..." >&2; exit 2; }
store=$1 ref=$2 workers=$3 start=$4
shift 4
job=${JOB:-ingest-$(date -u +%Y%m%d-%H%M%S)-$$}
last=$((workers - 1))
columns=
for column in "$@"; do columns="$columns --column $column"; done      # names without spaces, please

branches=
for n in $(seq 0 "$last"); do
    "$dreamdb" --store "$store" branch "$ref" "$job/$n" --if-absent >/dev/null
    branches="$branches $job/$n"
done
# shellcheck disable=SC2086
seq 0 "$last" | xargs -P "$workers" -I '{}' "$dreamdb" --store "$store" --threads 1 append "$job/{}" $columns --anchor-start "$start" \
    --shard '{}' --of "$workers" --token "$job-{}" --resume
# shellcheck disable=SC2086
"$dreamdb" --store "$store" merge-many "$ref" $branches --retry 20
for branch in $branches; do
    "$dreamdb" --store "$store" delete-ref "$branch" >/dev/null || [ $? -eq 4 ]      # 4: gone already
done
