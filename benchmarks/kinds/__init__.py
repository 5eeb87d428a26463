"""The kinds of workloads, a module each: a subclass of Workload that knows how to measure.

A new kind is a module with such a class; its workloads are lines of `benchmarks.workloads`.
"""
