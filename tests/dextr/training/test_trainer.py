import torch
from support.tiny import tiny_network

from dextr.common.processes import World
from dextr.training.trainer import shared


def test_one_process_trains_the_network_itself():
    network = tiny_network()
    assert shared(network, World(0, 1, torch.device("cpu"))) is network
