"""Puna beside its peers: the same file, the same tokens, the same machine, in turn."""
