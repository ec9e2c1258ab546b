#!/usr/bin/env bash
# bench_hash.sh [SECONDS A ROW]: fetches the official BLAKE3 (crates.io package blake3: its folder c/ has the C and assembly) into
# build/blake3 with cargo, builds it and tools/bench_hash.c, runs the bench.  Needs cargo, a C compiler and the network, x86-64 only.
set -eu
cd "$(dirname "$0")/.."
version=1.8.2; CC=${CC:-cc}; b=build/blake3
mkdir -p $b/src
if [ ! -d $b/vendor/blake3/c ]; then
  printf '[package]\nname = "peer"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nblake3 = "=%s"\n[workspace]\n' $version > $b/Cargo.toml
  : > $b/src/lib.rs
  (cd $b && cargo vendor -q vendor >/dev/null)
fi
c=$b/vendor/blake3/c
if [ ! -f $b/libpeer.a ]; then
  for f in blake3 blake3_dispatch blake3_portable blake3_sse2_x86-64_unix blake3_sse41_x86-64_unix blake3_avx2_x86-64_unix blake3_avx512_x86-64_unix; do
    src=$c/$f.c; [ -f "$src" ] || src=$c/$f.S
    $CC -O3 -c "$src" -o $b/$f.o
  done
  rm -f $b/libpeer.a; ar rcs $b/libpeer.a $b/blake3*.o
fi
$CC -std=c99 -O2 -I $c tools/bench_hash.c $b/libpeer.a -lpthread -o build/bench_hash
exec build/bench_hash "$@"
