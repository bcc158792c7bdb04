"""Exact log-probabilities of candidates: prefix once, candidates as a trie, packed forwards."""
