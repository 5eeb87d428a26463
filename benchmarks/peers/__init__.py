"""The frameworks that are measured, a folder each.

A folder has two programs, `service` and `client`, which run in the peer's own interpreter and
speak the line protocol of `conversation`; `peer.toml`, which says what the peer is and promises;
and, unless rpcnode's environment does for it, a `requirements.txt` that pins what it needs.
"""
