"""Discriminator guidance: what steps in features and in pixels end at, and what they cost."""

import torch
from torch import Tensor

from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance


def test_all_net_calls_are_counted() -> None:
    assert DiscriminatorGuidance().nfe == 1
    assert DiscriminatorGuidance(feature_ascent_steps=5).nfe == 21
    assert DiscriminatorGuidance(pixel_ascent_steps=3).nfe == 7
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
    found = how.ascend_pixels(images, score)
    torch.testing.assert_close(found, goal + (images - goal) / 8)
    assert not found.requires_grad
    assert steps == [0, 1, 2]
    up = DiscriminatorGuidance(pixel_ascent_steps=2, pixel_ascent_step_size=5).ascend_pixels(
        images, lambda seen, _: seen.sum((1, 2, 3))
    )
    assert up.eq(1).all()
    assert DiscriminatorGuidance().ascend_pixels(images, score).equal(images)
    with torch.inference_mode():
        torch.testing.assert_close(how.ascend_pixels(images.clone(), score), found)


def test_steps_in_features_go_up_the_logit_without_bounds() -> None:
    features = torch.tensor([0.0, 3.0]).view(2, 1).expand(2, 3)
    how = DiscriminatorGuidance(feature_ascent_steps=2, feature_ascent_step_size=0.5)
    found = how.ascend_features(features, lambda seen, _: -((seen - 5).square().sum(1)) / 2)
    torch.testing.assert_close(found, 5 + (features - 5) / 4)
    assert not found.requires_grad


def test_words_say_what_the_discriminator_does() -> None:
    assert DiscriminatorGuidance().words == "one call"
    both = DiscriminatorGuidance(feature_ascent_steps=4, pixel_ascent_steps=5, pixel_ascent_step_size=0.25)
    assert both.words == "4 feature ascent steps of 10, 5 pixel ascent steps of 0.25"
    assert DiscriminatorGuidance(truncation=0.8).words == "one call, truncation 0.8"
    assert DiscriminatorGuidance(truncation=0.8).nfe == 1
    assert DiscriminatorGuidance(feature_ascent_steps=5).words == "5 feature ascent steps of 10"
    assert (
        DiscriminatorGuidance(truncation=0.8, pixel_ascent_steps=2).words
        == "2 pixel ascent steps of 0.3, truncation 0.8"
    )
