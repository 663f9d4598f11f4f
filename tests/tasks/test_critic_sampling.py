"""Choosing by the discriminator draws from the softmax of its logits."""

import pytest
import torch
from torch import Tensor

from shoestring.tasks.critic_sampling import CriticSampling


def test_candidates_are_chosen_with_the_probabilities_of_the_softmax() -> None:
    count, logits = 40_000, torch.tensor([0.0, 0.1, 0.3])
    luck = torch.rand(3, count, generator=torch.Generator().manual_seed(0))
    images = [torch.full((count, 1, 2, 2), float(place)) for place in range(3)]
    offers = zip(images, logits[:, None].expand(3, count), luck, strict=True)
    chosen = CriticSampling(candidates=3, temperature=0.2).choose(offers)
    found = chosen[:, 0, 0, 0].long().bincount(minlength=3) / count
    assert torch.allclose(found, (logits / 0.2).softmax(0), atol=0.01)
    assert (chosen == chosen[:, :, :1, :1]).all()  # whole images, no mixtures


def test_near_zero_temperature_takes_the_favourite_of_each_place() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 3.0]])
    images = torch.arange(6.0).view(2, 3, 1, 1, 1)
    luck = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    chosen = CriticSampling(candidates=2, temperature=1e-4).choose(zip(images, logits, luck, strict=True))
    assert chosen.flatten().tolist() == [3.0, 1.0, 5.0]


def test_each_candidate_costs_a_call_of_both_nets_and_a_single_one_is_not_judged() -> None:
    assert CriticSampling().evaluations == 1
    assert CriticSampling(candidates=16).evaluations == 32
    with pytest.raises(ValueError, match="nothing to choose from"):
        CriticSampling().choose([])


def test_refinements_go_up_the_logit_within_the_scale_and_cost_two_calls_each() -> None:
    images = torch.tensor([0.0, 0.5, -0.9]).view(3, 1, 1, 1).expand(3, 2, 4, 4)
    goal = 0.8

    def judge(seen: Tensor) -> Tensor:
        return -((seen - goal).square().sum((1, 2, 3))) / 2

    how = CriticSampling(refinements=3, step_size=0.5)
    assert how.evaluations == 7
    assert CriticSampling(candidates=4, refinements=3).evaluations == 14
    found = how.refine(images, judge)
    torch.testing.assert_close(found, goal + (images - goal) / 8)
    assert not found.requires_grad
    up = CriticSampling(refinements=2, step_size=5).refine(images, lambda seen: seen.sum((1, 2, 3)))
    assert up.eq(1).all()
    assert CriticSampling().refine(images, judge).equal(images)
    with torch.inference_mode():
        torch.testing.assert_close(how.refine(images.clone(), judge), found)


def test_words_say_what_the_discriminator_does() -> None:
    assert CriticSampling().words == "one call"
    assert CriticSampling(candidates=4).words == "4 candidates, chosen at temperature 0.2"
    both = CriticSampling(candidates=4, refinements=5, step_size=0.25)
    assert both.words == "4 candidates, chosen at temperature 0.2, 5 refinements of 0.25"
