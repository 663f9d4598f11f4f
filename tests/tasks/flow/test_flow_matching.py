import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from shoestring.core.device import Engine, Machine
from shoestring.nets.unet import ThriftyUNet
from shoestring.tasks.contract import NO_CLASS, Batch
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.flow.samplers import ODESampling


class Predictions(nn.Module):
    """Gives what it is told to, and notes how it was asked."""

    def __init__(self, answer: Tensor | float = 0.0) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, log_noise: Tensor, labels: Tensor) -> Tensor:
        self.asked.append((log_noise, labels))
        return torch.zeros_like(x) + self.answer


def drawn(flow: Flow, count: int = 64, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 8, 8, generator=generator) * 0.5
    labels = torch.randint(10, (count,), generator=generator)
    return flow.draw({"images": images, "labels": labels}, (3, 8, 8), 0, generator)


def edm_target(batch: Batch, std: float) -> Tensor:
    """What Karras et al. 2022 (table 1, last column) have their net estimate, with noise sigma = t / (1 - t)."""
    sigma = (batch["time"] / (1 - batch["time"])).view(-1, 1, 1, 1)
    noised = batch["images"] + sigma * batch["noise"]
    skip = std**2 / (sigma**2 + std**2)
    out = sigma * std / (sigma**2 + std**2).sqrt()
    return (batch["images"] - skip * noised) / out


def test_loss_is_that_of_edm_up_to_the_sign_of_the_net() -> None:
    flow = Flow(data_std=0.6)
    batch = drawn(flow)
    answer = torch.randn(batch["images"].shape)
    loss, _ = flow.loss("denoiser", nn.ModuleDict({"denoiser": Predictions(answer)}), dict(batch))
    expected = (-answer - edm_target(batch, 0.6)).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_loss_of_the_best_linear_estimate_is_one_on_gaussian_images() -> None:
    loss, _ = Flow().loss("denoiser", nn.ModuleDict({"denoiser": Predictions()}), drawn(Flow(), 2000))
    assert loss.item() == pytest.approx(1, abs=0.01)


def test_net_that_meets_its_target_has_no_loss_and_gives_the_velocity_noise_minus_image() -> None:
    flow = Flow()
    batch = drawn(flow)
    batch["time"] = torch.full_like(batch["time"], 0.3)
    net = Predictions(-edm_target(batch, 0.5))
    loss, _ = flow.loss("denoiser", nn.ModuleDict({"denoiser": net}), batch)
    assert loss.item() == pytest.approx(0, abs=1e-9)
    x = 0.7 * batch["images"] + 0.3 * batch["noise"]
    assert flow.velocity(net, batch["labels"])(x, 0.3).allclose(batch["noise"] - batch["images"], atol=1e-5)


def test_net_is_asked_the_same_in_training_and_in_sampling() -> None:
    flow, net = Flow(), Predictions()
    batch = drawn(flow)
    batch["time"] = torch.full_like(batch["time"], 0.3)
    flow.loss("denoiser", nn.ModuleDict({"denoiser": net}), batch)
    flow.velocity(net, batch["given"])(0.7 * batch["images"] + 0.3 * batch["noise"], 0.3)
    (noise, told), (noise_then, told_then) = net.asked
    assert noise.allclose(noise_then)
    assert noise[0].item() == pytest.approx(torch.logit(torch.tensor(0.3)).item(), abs=1e-5)
    assert told.equal(told_then)


def test_times_have_one_in_each_stratum_of_their_distribution() -> None:
    flow, count = Flow(time_mean=-0.7, time_std=1.4), 500
    time = drawn(flow, count)["time"].double()
    uniform = torch.special.ndtr((torch.logit(time) + 0.7) / 1.4)
    assert (uniform * count).floor().long().sort().values.tolist() == list(range(count))
    assert not time.equal(time.sort().values)


def test_dropped_labels_become_no_class_at_their_rate_and_the_others_stay() -> None:
    batch = drawn(Flow(label_dropout=0.2), 5000)
    dropped = batch["given"] == NO_CLASS
    assert dropped.float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert batch["given"][~dropped].equal(batch["labels"][~dropped])
    assert drawn(Flow(label_dropout=0), 500)["given"].equal(drawn(Flow(), 500)["labels"])


def test_noise_is_standard_normal_and_all_is_a_function_of_the_generator() -> None:
    flow = Flow()
    one, same, other = drawn(flow, 500), drawn(flow, 500), drawn(flow, 500, seed=1)
    assert all(one[name].equal(same[name]) for name in one)
    assert not one["noise"].equal(other["noise"])
    assert one["noise"].mean().item() == pytest.approx(0, abs=0.02)
    assert one["noise"].std().item() == pytest.approx(1, abs=0.02)


def generate(flow: Flow, nets: nn.ModuleDict, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return flow.sampler(nets, Machine.choose(Engine(), "cpu"), mirrored=False).generate(noise, labels)


def test_the_guide_is_the_net_without_class() -> None:
    net = Predictions()
    flow = Flow(sampling=ODESampling(solver="euler", steps=1, guidance=3))
    generate(flow, nn.ModuleDict({"denoiser": net}), torch.randn(2, 3, 8, 8), torch.tensor([7, 7]))
    assert [labels.tolist() for _, labels in net.asked] == [[7, 7], [NO_CLASS, NO_CLASS]]


def test_made_images_depend_on_noise_and_class_alone_and_have_the_deviation_of_the_data() -> None:
    torch.manual_seed(0)
    flow = Flow(sampling=ODESampling(steps=6))
    nets = ThriftyUNet(width=32, depths=(1, 1, 2), embedding=16, attention=32).build((3, 8, 8), 10)
    noise = torch.randn(8, 3, 8, 8)
    untrained = generate(flow, nets, noise, torch.arange(8))
    # An untrained net answers 0: the best linear estimate, which makes images that are Gaussian noise themselves.
    assert untrained.allclose(0.5 * noise, atol=0.05)
    with torch.no_grad():
        nets["denoiser"].head.strength.factor.fill_(1)
        nets["denoiser"].modulate.gain.fill_(1)
        made = generate(flow, nets, noise, torch.arange(8))
        assert made.equal(generate(flow, nets, noise, torch.arange(8)))
        assert not made.allclose(generate(flow, nets, noise, torch.full((8,), NO_CLASS)), atol=1e-3)
        assert made[3:5].allclose(generate(flow, nets, noise[3:5], torch.tensor([3, 4])), atol=1e-4)


def test_nothing_in_a_step_needs_a_value_from_the_device() -> None:
    # Tensors on the meta device have no values: reading one, as .item() or a branch on it would, raises. What passes
    # here never makes a GPU wait, and can be captured as one graph.
    flow = Flow()
    nets = ThriftyUNet(width=32, depths=(1, 1, 2), embedding=16, attention=32).build((3, 8, 8), 10).to("meta")
    batch = {name: tensor.to("meta") for name, tensor in drawn(flow).items()}
    loss, _ = flow.loss("denoiser", nets, batch)
    loss.backward()
    assert loss.shape == ()


def test_a_guide_that_was_never_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="label_dropout above 0"):
        Flow(label_dropout=0, sampling=ODESampling(guidance=1.5))
    assert Flow(label_dropout=0).nfe == 35  # without guidance the guide is not asked


@pytest.mark.parametrize("grid", [{"span": (0.02, 80.0)}, {"span": (0.02, 300.0)}, {"grid": "uniform"}])
def test_the_net_is_asked_about_noise_over_signal_as_in_training(grid: dict[str, Any]) -> None:
    net = Predictions()
    flow = Flow(sampling=ODESampling(solver="euler", steps=5, **grid))
    generate(flow, nn.ModuleDict({"denoiser": net}), torch.randn(2, 3, 8, 8), torch.tensor([7, 7]))
    times = torch.tensor(flow.sampling.times()[:-1], dtype=torch.float64)
    asked = torch.stack([log_noise[0] for log_noise, _ in net.asked]).double()
    assert asked.allclose(torch.logit(times).clamp(max=math.log(80)), atol=1e-6)
    assert asked[0].item() == pytest.approx(math.log(80), abs=1e-6)  # the most that it is asked about
