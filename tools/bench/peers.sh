#!/bin/sh
# Installs what the benchmarks compare with, from PyPI.
set -e
python3 -m pip install --quiet numpy faiss-cpu==1.15.1 hnswlib usearch rabitqlib blake3 dreamdb==0.0.16 "$@"
