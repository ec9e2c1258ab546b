#!/usr/bin/env bash
# check_exact_object.sh [CC...]: room exact and the exact kernels under the compiler flags that change floats.  For each compiler and flag
# set: the golden test must pass, also when the program is linked with -ffast-math (flush to zero from the start), and the object code of the
# functions that define bytes must hold no fused multiply-add.  Needs objdump for the second part.
set -u
cd "$(dirname "$0")/.."
tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
compilers=("$@"); [ $# -gt 0 ] || compilers=(gcc clang clang-14)
native=-march=native; case $(uname -m) in aarch64|arm64) native=-mcpu=native;; esac
fma=-mfma; case $(uname -m) in aarch64|arm64) fma=;; esac
flags=("-O0" "-O2 -std=gnu11 $fma" "-O3 $native -ffp-contract=fast" "-O2 -ffast-math" "-O3 $native -ffast-math -std=gnu11" "-Os -Ofast")
exact='^<(ddb_exact_.*|ddb_kern_(fold_block|dist_block|one|dist|rows|rows_mul|rows_far|rows_term|rows_four|sum)(_any|_512|_256|_neon)?)(\.[a-z0-9.]+)?>:$'
control='^<ddb_kern_dot_(512|256|neon)(\.[a-z0-9.]+)?>:$'
fused='[[:space:]]v?f(n?m(add|sub)|mla|mls|maddsub)|[[:space:]]vfn?m(add|sub)'
bad=0; seen=0
# functions of an object that match $2 and hold a fused operation
fused_in() {
    objdump -d --no-show-raw-insn "$1" | sed 's/^[0-9a-f]* </</' | awk -v want="$2" -v fused="$fused" \
        '/^<.*>:$/ { on = $0 ~ want; name = $0; if (on) count++ } on && $0 ~ fused { print name, $0 } END { print count + 0 > "/dev/stderr" }' 2>"$tmp/count"
}
for cc in "${compilers[@]}"; do
    command -v "$cc" >/dev/null 2>&1 || continue
    for f in "${flags[@]}"; do
        for room in exact kmeans; do
            # shellcheck disable=SC2086
            if ! $cc $f -w tests/test_$room.c -o "$tmp/test" -lpthread || ! (cd tests && "$tmp/test" >"$tmp/out" 2>&1); then
                echo "FAIL: $cc $f: test_$room"; cat "$tmp/out" 2>/dev/null | head -5; bad=1
            fi
        done
        # shellcheck disable=SC2086
        if command -v objdump >/dev/null 2>&1 && $cc $f -w -fno-inline -c tests/test_bound.c -o "$tmp/object.o"; then
            found=$(fused_in "$tmp/object.o" "$exact"); count=$(cat "$tmp/count")
            [ -z "$found" ] || { echo "FAIL: $cc $f: fused operations:"; echo "$found" | head -10; bad=1; }
            [ "$count" -ge 10 ] || { echo "FAIL: $cc $f: only $count exact functions found in the object"; bad=1; }
            [ -n "$(fused_in "$tmp/object.o" "$control")" ] || { echo "FAIL: $cc $f: the search does not see the fused operations of ddb_kern_dot"; bad=1; }
        fi
        seen=$((seen + 1))
    done
done
[ "$bad" = 0 ] && echo "check_exact_object: $seen builds, all exact"
exit $bad
