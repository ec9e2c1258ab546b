#!/bin/sh
# demo.sh: the main job on real data: 6,500 English words with their GloVe vectors (see NOTICE).  `make demo` runs it.
# It checks what it shows and fails loudly.  DREAMDB=path of the command, DEMO_DIR=where the dataset goes.
set -eu
cd "$(dirname "$0")/../.."
dreamdb=${DREAMDB:-build/dreamdb}
work=${DEMO_DIR:-build/demo}
data=examples/demo
[ -x "$dreamdb" ] || make "$dreamdb"
rm -rf "$work"
mkdir -p "$work"
DREAMDB_STORE=$work/words.ddb
export DREAMDB_STORE

title() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
fail() { printf 'demo: FAILED: %s\n' "$1" >&2; exit 1; }

# run ARGUMENTS...: shows the command line, runs it, keeps its output in $work/out and shows it.
run() {
    printf '$ dreamdb'
    for word in "$@"; do
        case $word in *[\ \(\<\>]*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
    done
    printf '\n'
    code=0
    "$dreamdb" "$@" >"$work/out" || code=$?
    cat "$work/out"
    [ $code -eq 0 ] || fail "dreamdb $1 exited with $code"
}
# Whole words of the last output.
expect() { for word in "$@"; do grep -qw -- "$word" "$work/out" || fail "the output does not hold '$word'"; done; }
expect_not() { for word in "$@"; do if grep -qw -- "$word" "$work/out"; then fail "the output holds '$word'"; fi; done; }
# The anchor of a word: its place in the list.
anchor() { awk -v word="$1" '$0 == word { print NR - 1; exit }' $data/words.txt; }

# Words with columns of their own: the first 4,000 now, the others later.
awk -v first="$work/first.csv" -v more="$work/more.csv" '
    BEGIN { head = "_anchor,word,letters,initial"; print head > first; print head > more }
    { print NR - 1 "," $0 "," length($0) "," substr($0, 1, 1) > (NR <= 4000 ? first : more) }' $data/words.txt
king=$(anchor king) guitar=$(anchor guitar) physics=$(anchor physics)

title "A dataset with a trained index, made from a sample of its own vectors"
run create words --field emb:embedding,train=$data/vectors.npy,k=64 --field word:string --field letters:int --field initial:categorical
expect "k 64"

title "The 4,000 most frequent words, one commit"
run append words --column emb=$data/vectors.npy --rows "$work/first.csv"
expect 4,000

title "The words nearest to king"
run query words emb --anchor "$king" --top-k 8 --nprobe 8 --fields word,letters
expect king prince queen emperor kingdom

title "The same, of words with at most five letters that start with k, q or l"
run query words emb --anchor "$king" --top-k 5 --exact --where 'letters<=5 and initial in (k,q,l)' --fields word,letters,initial
expect king queen lord
expect_not prince kingdom emperor

title "Keep this state, then append 2,500 more words"
run snapshot words v1
run append words --column emb=$data/more.npy --rows "$work/more.csv"
expect 2,500

title "The words nearest to guitar: now, and in the state that was kept"
run query words emb --anchor "$guitar" --top-k 5 --nprobe 16 --fields word
expect guitar vocals bass piano guitarist
run query words@v1 emb --anchor "$guitar" --top-k 5 --nprobe 16 --fields word
expect guitar music
expect_not vocals bass piano guitarist
run scan words --where "word=physics" --fields word,letters
expect "$physics" physics
run count words~1 --where "word=physics"
expect 0

title "What it is made of"
run log words
expect commit create
run inspect words
expect 6,500 ivf
run stats words
expect bucket

title "Out again: the vectors of the kept state equal the file that went in, byte for byte"
run export words@v1 --column emb="$work/vectors.npy" --order anchor
cmp "$work/vectors.npy" $data/vectors.npy || fail "the exported vectors differ"
printf 'cmp: equal\n'

title "Everything is hashed: verify reads it all, and one flipped bit is found and named"
run verify words --history all
expect "no fault"
cp -R "$DREAMDB_STORE" "$work/damaged.ddb"
bucket=$(find "$work/damaged.ddb" -type f -size +4k -path '*/embedding.f32*' ! -path '*/track/*' | sort | head -n 1)
[ -n "$bucket" ] || fail "no bucket is there to damage"
byte=$(od -An -tu1 -j 1000 -N 1 "$bucket" | tr -d ' ')
printf "\\$(printf '%o' $((byte ^ 1)))" | dd of="$bucket" bs=1 seek=1000 conv=notrunc 2>/dev/null
code=0
printf '$ dreamdb --store damaged.ddb verify words\n'
"$dreamdb" --store "$work/damaged.ddb" verify words >"$work/out" 2>&1 || code=$?
cat "$work/out"
[ $code -eq 5 ] || fail "verify of a damaged store exited with $code, not 5"
expect "$(basename "$bucket")"

printf '\ndemo: all checks passed\n'
