"""The tests of rpcnode: they mirror its tree, file by file."""
