import dataclasses

import pytest
import torch

from networks import build_network
from networks.inference import for_inference


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    plain = build_network("resnet18", head_width=4, stages=2).double().eval()
    for parameter in plain.parameters():
        if parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=(2 / parameter[0].numel()) ** 0.5)
    both = build_network("resnet18", head_width=4, stages=2, mirror=True).double().eval()
    both.load_state_dict(plain.state_dict())
    return plain, both


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_mean_over_crop_and_mirror_image(networks, count):
    plain, both = networks
    x = 255 * torch.rand(count, 4, 24, 40, dtype=torch.float64)
    with torch.no_grad():
        there, back = plain(x), plain(torch.flip(x, [3])).flip(3)
        answer = both(x)
    torch.testing.assert_close(answer, (there + back) / 2, rtol=1e-9, atol=1e-9)
    assert count == 0 or not torch.allclose(answer, there)


def test_a_mirrored_crop_gets_the_mirrored_answer(networks):
    both = for_inference(networks[1])
    x = 255 * torch.rand(2, 4, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(both(x.flip(3)), both(x).flip(3), rtol=1e-9, atol=1e-9)


def test_training_sees_the_crop_alone(networks):
    plain, both = networks
    x = 255 * torch.rand(2, 4, 32, 32, dtype=torch.float64)
    assert torch.equal(both.train()(x), plain.train()(x))
    plain.eval(), both.eval()


def test_only_yes_or_no():
    with pytest.raises(ValueError, match="mirror"):
        dataclasses.replace(build_network("resnet18", head_width=4).config, mirror="x")
