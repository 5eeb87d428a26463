"""What `rpcnode migrate` knows: what a code base uses of Nameko, and what becomes of it.

Nothing here imports or runs the code that it reads.
"""
