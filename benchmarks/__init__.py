"""The measurements of rpcnode beside its peers: `make bench`; docs/benchmarks.md explains them."""
