#!/bin/bash
# slurm.sh STORE REF [WORKERS]: one step of Ada-IVF as Slurm arrays.  Submits five jobs, each once the one before is done: the opening, an
# array that proposes splits, the plan, an array that places the records, the end.  A share that a node lost is run again by Slurm (--requeue) or by hand; the result is the same.
# As a batch script (submitted by itself below) it runs the stage that STAGE names.
#SBATCH --job-name=dreamdb-step
#SBATCH --requeue
#SBATCH --cpus-per-task=2
#SBATCH --mem=2G
set -eu
dreamdb=${DREAMDB:-dreamdb}
case ${STAGE:-submit} in
submit)
    [ $# -ge 2 ] || { echo "usage: slurm.sh STORE REF [WORKERS]" >&2; exit 2; }
    export DREAMDB_STORE=$1 REF=$2 WORKERS=${3:-8} JOB=${JOB:-slurm-$(date -u +%Y%m%dT%H%M%S)-$$}
    plan=$(STAGE=plan sbatch --parsable --export=ALL "$0")
    split=$(STAGE=work sbatch --parsable --export=ALL --dependency="afterok:${plan%%;*}" --array="0-$((WORKERS - 1))" "$0")
    again=$(STAGE=plan sbatch --parsable --export=ALL --dependency="afterok:${split%%;*}" "$0")
    work=$(STAGE=work sbatch --parsable --export=ALL --dependency="afterok:${again%%;*}" --array="0-$((WORKERS - 1))" "$0")
    end=$(STAGE=finish sbatch --parsable --export=ALL --dependency="afterok:${work%%;*}" "$0")
    echo "job $JOB: opening ${plan%%;*}, splits ${split%%;*}, plan ${again%%;*}, shares ${work%%;*}, end ${end%%;*}"
    ;;
plan) exec "$dreamdb" ada-ivf-step "$REF" --job-id "$JOB" --orchestrate --propose ;;
work) exec "$dreamdb" ada-ivf-step "$REF" --job-id "$JOB" --shard "$SLURM_ARRAY_TASK_ID" --of "$WORKERS" ;;
finish) exec "$dreamdb" ada-ivf-step "$REF" --job-id "$JOB" --orchestrate --finish ;;
*) echo "slurm.sh: no stage '$STAGE'" >&2; exit 2 ;;
esac
