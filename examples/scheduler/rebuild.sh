#!/bin/sh
# rebuild.sh STORE REF [WORKERS [OPTIONS OF THE PLAN...]]: a new index by several processes of one machine, for every record of REF.
# Run again after a crash with the same JOB it goes on where it stopped.
#   DREAMDB=path of the command   JOB=id of the job (default: a new one)
set -eu
dreamdb=${DREAMDB:-dreamdb}
[ $# -ge 2 ] || { echo "usage: rebuild.sh STORE REF [WORKERS [--k N --memory SIZE ...]]" >&2; exit 2; }
store=$1 ref=$2 workers=${3:-4}
[ $# -ge 3 ] && shift 3 || shift 2
job=${JOB:-rebuild-$(date -u +%Y%m%dT%H%M%S)-$$}

# Where all shares are done, or the job has ended, there is nothing left but this.
if [ -n "${JOB:-}" ] && "$dreamdb" --store "$store" rebuild-ivf "$ref" --job-id "$job" --orchestrate --finish 2>/dev/null; then exit 0; fi

"$dreamdb" --store "$store" rebuild-ivf "$ref" --job-id "$job" --orchestrate "$@"

# All shares run at the same time: each places its rows, waits for the others, and writes its cells.
seq 0 $((workers - 1)) | xargs -P "$workers" -I '{}' \
    "$dreamdb" --store "$store" --threads 1 rebuild-ivf "$ref" --job-id "$job" --shard '{}' --of "$workers" --wait 24h

"$dreamdb" --store "$store" rebuild-ivf "$ref" --job-id "$job" --orchestrate --finish
