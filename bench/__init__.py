"""Benchmarks: ``python -m bench`` prints every row, ``python -m bench.bench_gemm`` those of one file."""
