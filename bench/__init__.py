"""Benchmarks of fastbp beside its peers. ``fastbp bench`` runs them; README.md says how to read and extend them."""
