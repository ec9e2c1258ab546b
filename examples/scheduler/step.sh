#!/bin/sh
# step.sh STORE REF [WORKERS [OPTIONS OF THE PLAN...]]: one step of Ada-IVF by several processes of one machine.
# GNU parallel runs them where it is installed, else xargs -P.  Run again after a crash with the same JOB it goes on where it stopped.
#   DREAMDB=path of the command   JOB=id of the job (default: a new one)
set -eu
dreamdb=${DREAMDB:-dreamdb}
[ $# -ge 2 ] || { echo "usage: step.sh STORE REF [WORKERS [--max-cells N ...]]" >&2; exit 2; }
store=$1 ref=$2 workers=${3:-4}
[ $# -ge 3 ] && shift 3 || shift 2
job=${JOB:-step-$(date -u +%Y%m%dT%H%M%S)-$$}

# Where all shares are done, or the job has ended, there is nothing left but this.
if [ -n "${JOB:-}" ] && "$dreamdb" --store "$store" ada-ivf-step "$ref" --job-id "$job" --orchestrate --finish 2>/dev/null; then exit 0; fi

"$dreamdb" --store "$store" ada-ivf-step "$ref" --job-id "$job" --orchestrate --propose "$@"

# Shares count from 0.  One thread each: the processes are the threads here.
last=$((workers - 1))
shares() {
    if parallel --version 2>/dev/null | grep -q 'GNU parallel'; then
        seq 0 "$last" | parallel --halt soon,fail=1 --retries 3 -j "$workers" \
            "$dreamdb" --store "$store" --threads 1 ada-ivf-step "$ref" --job-id "$job" --shard {} --of "$workers"
    else
        seq 0 "$last" | xargs -P "$workers" -I '{}' \
            "$dreamdb" --store "$store" --threads 1 ada-ivf-step "$ref" --job-id "$job" --shard '{}' --of "$workers"
    fi
}

shares                                        # first they propose how hot cells are split,
"$dreamdb" --store "$store" ada-ivf-step "$ref" --job-id "$job" --orchestrate --propose "$@"
shares                                        # then they place the records
"$dreamdb" --store "$store" ada-ivf-step "$ref" --job-id "$job" --orchestrate --finish
