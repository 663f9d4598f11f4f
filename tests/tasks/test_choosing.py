"""Choosing by the discriminator draws from the softmax of its logits."""

import pytest
import torch

from shoestring.tasks.choosing import Choosing


def test_candidates_are_chosen_with_the_probabilities_of_the_softmax() -> None:
    count, logits = 40_000, torch.tensor([0.0, 0.1, 0.3])
    luck = torch.rand(3, count, generator=torch.Generator().manual_seed(0))
    images = [torch.full((count, 1, 2, 2), float(place)) for place in range(3)]
    offers = zip(images, logits[:, None].expand(3, count), luck, strict=True)
    chosen = Choosing(candidates=3, temperature=0.2).choose(offers)
    found = chosen[:, 0, 0, 0].long().bincount(minlength=3) / count
    assert torch.allclose(found, (logits / 0.2).softmax(0), atol=0.01)
    assert (chosen == chosen[:, :, :1, :1]).all()  # whole images, no mixtures


def test_near_zero_temperature_takes_the_favourite_of_each_place() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 3.0]])
    images = torch.arange(6.0).view(2, 3, 1, 1, 1)
    luck = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    chosen = Choosing(candidates=2, temperature=1e-4).choose(zip(images, logits, luck, strict=True))
    assert chosen.flatten().tolist() == [3.0, 1.0, 5.0]


def test_each_candidate_costs_a_call_of_both_nets_and_a_single_one_is_not_judged() -> None:
    assert Choosing().evaluations == 1
    assert Choosing(candidates=16).evaluations == 32
    with pytest.raises(ValueError, match="nothing to choose from"):
        Choosing().choose([])
