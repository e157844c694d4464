"""A name or a file to a network with its values."""

from dextr.weights.initialize import initialize
from dextr.weights.load import LoadedNetwork, load_network, load_predictor, save_network

__all__ = ["LoadedNetwork", "initialize", "load_network", "load_predictor", "save_network"]
