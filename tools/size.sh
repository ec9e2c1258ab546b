#!/bin/sh
# size.sh: what the header costs: compile times, .text at -Os, deepest stack frame.  Run by make, from the top folder.
set -u
BUILD=${BUILD:-build}; CC=${CC:-cc}; PYTHON=${PYTHON:-python3}
mkdir -p "$BUILD"
printf '#include "../dreamdb.h"\nint dreamdb_only_included;\n' > "$BUILD/include_only.c"
"$PYTHON" tools/timed.py "$BUILD/include.seconds" "$CC" -std=c99 -I. -c "$BUILD/include_only.c" -o "$BUILD/include_only.o" > /dev/null || exit 1
usage=""
if "$CC" -fstack-usage -x c -c /dev/null -o "$BUILD/probe.o" > /dev/null 2>&1; then usage=-fstack-usage; fi
"$CC" -std=c99 -Os $usage -c examples/dreamdb.c -o "$BUILD/dreamdb-os.o" || exit 1
text=$(size -A "$BUILD/dreamdb-os.o" 2>/dev/null | awk '$1 == ".text" { print $2 }')
echo "include only: $(cat "$BUILD/include.seconds") s   implementation $(sed -n 1p "$BUILD/dreamdb.o.seconds" 2>/dev/null || echo '?') s (at the flags of the build)"
echo ".text at -Os: ${text:-unknown} bytes"
if [ -n "$usage" ] && [ -f "$BUILD/dreamdb-os.su" ]; then
    sort -t "$(printf '\t')" -k 2,2nr "$BUILD/dreamdb-os.su" | awk -F '\t' 'NR == 1 { n = split($1, p, ":"); print "largest stack frame: " $2 " bytes (" p[n] ")" }'
fi
rm -f "$BUILD/probe.o"
