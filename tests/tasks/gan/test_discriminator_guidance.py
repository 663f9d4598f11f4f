"""Choosing by the discriminator draws from the softmax of its logits."""

import pytest
import torch
from torch import Tensor

from shoestring.tasks.gan.discriminator_guidance import CriticSampling, smoothed


def test_candidates_are_chosen_with_the_probabilities_of_the_softmax() -> None:
    count, logits = 40_000, torch.tensor([0.0, 0.1, 0.3])
    luck = torch.rand(3, count, generator=torch.Generator().manual_seed(0))
    latents = [torch.full((count, 4), float(place)) for place in range(3)]
    offers = zip(latents, logits[:, None].expand(3, count), luck, strict=True)
    chosen = CriticSampling(candidates=3, temperature=0.2).choose(offers)
    found = chosen[:, 0].long().bincount(minlength=3) / count
    assert torch.allclose(found, (logits / 0.2).softmax(0), atol=0.01)
    assert (chosen == chosen[:, :1]).all()  # whole vectors, no mixtures


def test_near_zero_temperature_takes_the_favourite_of_each_place() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [1.0, 1.0, 3.0]])
    latents = torch.arange(6.0).view(2, 3, 1, 1, 1)
    luck = torch.rand(2, 3, generator=torch.Generator().manual_seed(0))
    chosen = CriticSampling(candidates=2, temperature=1e-4).choose(zip(latents, logits, luck, strict=True))
    assert chosen.flatten().tolist() == [3.0, 1.0, 5.0]


def test_all_net_calls_are_counted() -> None:
    assert CriticSampling().evaluations == 1
    assert CriticSampling(candidates=16).evaluations == 33
    assert CriticSampling(latent_steps=5).evaluations == 21
    assert CriticSampling(candidates=4, latent_steps=5, refinements=3).evaluations == 35
    with pytest.raises(ValueError, match="nothing to choose from"):
        CriticSampling().choose([])


def test_refinements_go_up_the_logit_within_the_scale_and_cost_two_calls_each() -> None:
    images = torch.tensor([0.0, 0.5, -0.9]).view(3, 1, 1, 1).expand(3, 2, 4, 4)
    goal = 0.8

    steps: list[int] = []

    def judge(seen: Tensor, step: int) -> Tensor:
        steps.append(step)
        return -((seen - goal).square().sum((1, 2, 3))) / 2

    how = CriticSampling(refinements=3, step_size=0.5)
    assert how.evaluations == 7
    assert CriticSampling(candidates=4, refinements=3).evaluations == 15
    found = how.refine(images, judge)
    torch.testing.assert_close(found, goal + (images - goal) / 8)
    assert not found.requires_grad
    assert steps == [0, 1, 2]
    up = CriticSampling(refinements=2, step_size=5).refine(images, lambda seen, _: seen.sum((1, 2, 3)))
    assert up.eq(1).all()
    assert CriticSampling().refine(images, judge).equal(images)
    with torch.inference_mode():
        torch.testing.assert_close(how.refine(images.clone(), judge), found)


def test_smoothing_turns_a_change_towards_coarse_structure_and_keeps_its_length() -> None:
    changes = (
        torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
        * torch.tensor([1.0, 5, 0])[:, None, None, None]
    )
    found = smoothed(changes, 1.5)
    torch.testing.assert_close(found.flatten(1).norm(dim=1), changes.flatten(1).norm(dim=1))
    roughness = [each[:2].diff(dim=3).square().sum((1, 2, 3)) for each in (changes, found)]
    assert (roughness[1] < 0.5 * roughness[0]).all()
    torch.testing.assert_close(smoothed(changes[:2], 1.5), found[:2])  # whatever else is in the batch
    torch.testing.assert_close(smoothed(changes, 0), changes)


def test_refinements_follow_the_smoothed_slope() -> None:
    images, slope = torch.zeros(2, 3, 8, 8), torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    how = CriticSampling(refinements=2, step_size=0.01, smoothing=0.75)
    found = how.refine(images, lambda seen, _: (seen * slope).sum((1, 2, 3)))
    torch.testing.assert_close(found, 0.02 * smoothed(slope, 0.75))


def test_latent_vectors_are_led_to_the_distribution_that_the_logits_and_the_temperature_define() -> None:
    count, steps, goal = 20_000, 300, 2.0
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 1 + steps, 2, generator=random)

    def judge(latents: Tensor, _: int) -> Tensor:
        return -(latents - goal).square().sum(1) / 2

    how = CriticSampling(latent_steps=steps, latent_step_size=0.02, temperature=0.5)
    found = how.lead(noise[:, 0], noise[:, 1:], judge)
    # exp(-z^2 / 2 - (z - goal)^2) is a normal distribution of mean 2 goal / 3 and variance 1 / 3
    assert found.mean(0).allclose(torch.full((2,), goal * 2 / 3), atol=0.02)
    assert found.var(0).allclose(torch.full((2,), 1 / 3), atol=0.02)
    assert not found.requires_grad
    assert CriticSampling().lead(noise[:, 0], noise[:, :0], judge).equal(noise[:, 0])


def test_words_say_what_the_discriminator_does() -> None:
    assert CriticSampling().words == "one call"
    assert CriticSampling(candidates=4).words == "4 candidates, chosen at temperature 0.2"
    both = CriticSampling(candidates=4, refinements=5, step_size=0.25)
    assert both.words == "4 candidates, chosen at temperature 0.2, 5 refinements of 0.25"
    smooth = CriticSampling(refinements=5, step_size=0.25, smoothing=0.5)
    assert smooth.words == "5 refinements of 0.25, smoothed by 0.5"
    led = CriticSampling(latent_steps=10, temperature=0.5)
    assert led.words == "10 Langevin steps of 0.1 at temperature 0.5"
