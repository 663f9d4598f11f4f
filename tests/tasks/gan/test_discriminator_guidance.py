"""Discriminator guidance: what Langevin steps and steps in pixels end at, and what they cost."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from shoestring.core.device import Engine, Machine
from shoestring.tasks.gan.diffaugment import DiffAugment
from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance
from shoestring.tasks.gan.guided_sampler import GuidedSampler


def test_all_net_calls_are_counted() -> None:
    assert DiscriminatorGuidance().nfe == 1
    assert DiscriminatorGuidance(langevin_steps=5).nfe == 21
    assert DiscriminatorGuidance(langevin_steps=5, pixel_ascent_steps=3).nfe == 27
    assert DiscriminatorGuidance(feature_ascent_steps=2, pixel_ascent_steps=3).nfe == 15


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


def test_steps_in_features_go_up_the_logit_without_bounds() -> None:
    features = torch.tensor([0.0, 3.0]).view(2, 1).expand(2, 3)
    how = DiscriminatorGuidance(feature_ascent_steps=2, feature_ascent_step_size=0.5)
    found = how.ascend_features(features, lambda seen, _: -((seen - 5).square().sum(1)) / 2)
    torch.testing.assert_close(found, 5 + (features - 5) / 4)
    assert not found.requires_grad


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


class Near(nn.Module):
    """Logits of images that should be near 2."""

    def forward(self, images: Tensor) -> Tensor:
        return -(images - 2).square().sum((1, 2, 3)) / 2


def test_langevin_steps_of_truncated_latents_stay_within_their_narrower_normal() -> None:
    count, steps, std = 20_000, 300, 0.5
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(count, 1 + steps, 2, generator=random)
    how = DiscriminatorGuidance(truncation=std, langevin_steps=steps, langevin_step_size=0.04, temperature=0.5)
    nets = nn.ModuleDict({"generator": nn.Unflatten(1, (2, 1, 1)), "discriminator": Near()})
    machine = Machine.choose(Engine(), "cpu")
    sampler = GuidedSampler(how, DiffAugment(), conditional=False, nets=nets, machine=machine, mirrored=False)
    assert sampler.moves
    found = sampler.move(noise[:, 0], noise[:, 1:], torch.zeros(count, dtype=torch.int64))
    precision = 1 / std**2 + 2  # of the normal distribution exp(-z^2 / (2 std^2) - (z - 2)^2), of mean 4 / precision
    assert found.mean(0).allclose(torch.full((2,), 4 / precision), atol=0.02)
    assert found.var(0).allclose(torch.full((2,), 1 / precision), atol=0.01)
    assert not replace(sampler, sampling=DiscriminatorGuidance()).moves


def test_words_say_what_the_discriminator_does() -> None:
    assert DiscriminatorGuidance().words == "one call"
    both = DiscriminatorGuidance(langevin_steps=4, pixel_ascent_steps=5, pixel_ascent_step_size=0.25)
    assert both.words == "4 Langevin steps of 0.1 at temperature 0.2, 5 pixel ascent steps of 0.25"
    moved = DiscriminatorGuidance(langevin_steps=10, temperature=0.5)
    assert moved.words == "10 Langevin steps of 0.1 at temperature 0.5"
    assert DiscriminatorGuidance(truncation=0.8).words == "one call, truncation 0.8"
    assert DiscriminatorGuidance(truncation=0.8).nfe == 1
    assert DiscriminatorGuidance(feature_ascent_steps=5).words == "5 feature ascent steps of 10"
    assert (
        DiscriminatorGuidance(truncation=0.8, pixel_ascent_steps=2).words
        == "2 pixel ascent steps of 0.3, truncation 0.8"
    )
