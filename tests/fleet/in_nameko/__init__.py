"""What runs at both sides of the fleet, written for Nameko; rpcnode runs it with the word replaced.

The environment variable SIDE is `old` in Nameko's processes and `new` in rpcnode's.
"""
