"""Discriminator guidance: what Langevin steps and steps in pixels end at, and what they cost."""

import torch
from torch import Tensor

from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance


def test_all_net_calls_are_counted() -> None:
    assert DiscriminatorGuidance().nfe == 1
    assert DiscriminatorGuidance(langevin_steps=5).nfe == 21
    assert DiscriminatorGuidance(langevin_steps=5, pixel_ascent_steps=3).nfe == 27


def test_steps_in_pixels_go_up_the_logit_within_the_scale_and_cost_two_calls_each() -> None:
    images = torch.tensor([0.0, 0.5, -0.9]).view(3, 1, 1, 1).expand(3, 2, 4, 4)
    goal = 0.8

    steps: list[int] = []

    def score(seen: Tensor, step: int) -> Tensor:
        steps.append(step)
        return -((seen - goal).square().sum((1, 2, 3))) / 2

    how = DiscriminatorGuidance(pixel_ascent_steps=3, pixel_ascent_step_size=0.5)
    assert how.nfe == 7
    found = how.ascend(images, score)
    torch.testing.assert_close(found, goal + (images - goal) / 8)
    assert not found.requires_grad
    assert steps == [0, 1, 2]
    up = DiscriminatorGuidance(pixel_ascent_steps=2, pixel_ascent_step_size=5).ascend(
        images, lambda seen, _: seen.sum((1, 2, 3))
    )
    assert up.eq(1).all()
    assert DiscriminatorGuidance().ascend(images, score).equal(images)
    with torch.inference_mode():
        torch.testing.assert_close(how.ascend(images.clone(), score), found)


def test_langevin_steps_end_at_the_distribution_that_the_logits_and_the_temperature_define() -> None:
    count, steps, goal = 20_000, 300, 2.0
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 1 + steps, 2, generator=random)

    def score(latents: Tensor, _: int) -> Tensor:
        return -(latents - goal).square().sum(1) / 2

    how = DiscriminatorGuidance(langevin_steps=steps, langevin_step_size=0.02, temperature=0.5)
    found = how.langevin(noise[:, 0], noise[:, 1:], score)
    # exp(-z^2 / 2 - (z - goal)^2) is a normal distribution of mean 2 goal / 3 and variance 1 / 3
    assert found.mean(0).allclose(torch.full((2,), goal * 2 / 3), atol=0.02)
    assert found.var(0).allclose(torch.full((2,), 1 / 3), atol=0.02)
    assert not found.requires_grad
    assert DiscriminatorGuidance().langevin(noise[:, 0], noise[:, :0], score).equal(noise[:, 0])


def test_words_say_what_the_discriminator_does() -> None:
    assert DiscriminatorGuidance().words == "one call"
    both = DiscriminatorGuidance(langevin_steps=4, pixel_ascent_steps=5, pixel_ascent_step_size=0.25)
    assert both.words == "4 Langevin steps of 0.1 at temperature 0.2, 5 pixel ascent steps of 0.25"
    moved = DiscriminatorGuidance(langevin_steps=10, temperature=0.5)
    assert moved.words == "10 Langevin steps of 0.1 at temperature 0.5"
