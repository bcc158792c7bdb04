"""Fetching models: the only part of Puna that uses the network."""

from puna.weights.pull.fetch import HubSource, PulledModel, pull

__all__ = ["HubSource", "PulledModel", "pull"]
