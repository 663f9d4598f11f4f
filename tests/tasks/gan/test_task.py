import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

import shoestring
from shoestring.core.device import Engine, Machine
from shoestring.core.errors import RecipeError
from shoestring.core.rng import generator
from shoestring.nets.conditional_dcgan import ConditionalDCGAN
from shoestring.nets.dcgan import PlainDCGAN
from shoestring.tasks.contract import Batch
from shoestring.tasks.gan.diffaugment import DiffAugment
from shoestring.tasks.gan.task import Adversarial, frozen

SHAPE = (3, 4, 4)


def make_nets() -> nn.ModuleDict:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.ModuleDict({
            "generator": nn.Sequential(nn.Linear(2, 48), nn.Tanh(), nn.Unflatten(1, SHAPE)),
            "discriminator": nn.Sequential(nn.Flatten(), nn.Linear(48, 1), nn.Flatten(0)),
        })  # fmt: skip


def draw(task: Adversarial, n: int = 6, step: int = 0, seed: int = 0) -> Batch:
    images = torch.rand(n, *SHAPE, generator=generator(1, "images"))
    batch = {"images": images, "labels": torch.zeros(n, dtype=torch.int64)}
    return task.draw(batch, (2,), step, generator(seed, "noise", step))


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-t log p - (1 - t) log (1 - p), in float64."""
    p = logits.double().sigmoid()
    return -(targets.double() * p.log() + (1 - targets.double()) * (1 - p).log()).mean()


def test_losses_of_hard_labels_are_those_of_goodfellow() -> None:
    nets, task = make_nets(), Adversarial()
    batch = draw(task)
    assert set(batch) == {"images", "labels", "latent"}
    loss, metrics = task.loss("discriminator", nets, batch)
    real, fake = nets["discriminator"](batch["images"]), nets["discriminator"](nets["generator"](batch["latent"]))
    expected = cross_entropy(real, torch.ones(6)) + cross_entropy(fake, torch.zeros(6))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert metrics["real"].item() == pytest.approx(real.sigmoid().mean().item(), rel=1e-6)
    assert metrics["fake"].item() == pytest.approx(fake.sigmoid().mean().item(), rel=1e-6)
    loss, metrics = task.loss("generator", nets, batch)
    assert loss.item() == pytest.approx(-fake.double().sigmoid().log().mean().item(), rel=1e-6)  # non-saturating
    assert metrics == {}


def test_losses_of_soft_labels_and_noisy_images() -> None:
    nets, task = make_nets(), Adversarial(label_bound=0.3, instance_noise=0.5)
    batch = draw(task)
    loss, _ = task.loss("discriminator", nets, batch)
    discriminator = nets["discriminator"]
    real = discriminator(batch["images"] + batch["real_noise"])
    fake = discriminator(nets["generator"](batch["latent"]) + batch["fake_noise"])
    expected = cross_entropy(real, batch["real_target"]) + cross_entropy(fake, batch["fake_target"])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss, _ = task.loss("generator", nets, batch)  # the generator's own target stays hard, its images noisy
    assert loss.item() == pytest.approx(cross_entropy(fake, torch.ones(6)).item(), rel=1e-6)


def test_soft_labels_are_uniform_within_their_bound() -> None:
    batch = draw(Adversarial(label_bound=0.1), n=4_000)
    for target, low in ((batch["real_target"], 0.9), (batch["fake_target"], 0.0)):
        assert target.shape == (4_000,)
        assert low <= target.min() < low + 0.002
        assert low + 0.098 < target.max() <= low + 0.1
        assert target.mean().item() == pytest.approx(low + 0.05, abs=0.003)
        assert target.std().item() == pytest.approx(0.1 / math.sqrt(12), rel=0.05)
    correlation = torch.corrcoef(torch.stack((batch["real_target"], batch["fake_target"])))[0, 1]
    assert abs(correlation.item()) < 0.06


def test_instance_noise_has_its_deviation() -> None:
    expected = 0.1852
    batch = draw(Adversarial(instance_noise=expected), n=500)
    for name in ("real_noise", "fake_noise"):
        assert batch[name].shape == (500, *SHAPE)
        assert batch[name].std().item() == pytest.approx(expected, rel=0.02)
        assert abs(batch[name].mean().item()) < expected / 25
    assert not torch.equal(batch["real_noise"], batch["fake_noise"])


def test_draws_are_a_function_of_the_generator_alone() -> None:
    task = Adversarial(label_bound=0.1, instance_noise=0.25)
    first, again, other = draw(task, seed=3), draw(task, seed=3), draw(task, seed=4)
    for name in set(first) - {"images", "labels"}:
        assert torch.equal(first[name], again[name])
        assert not torch.equal(first[name], other[name])
    assert first["latent"].shape == (6, 2)


def test_the_discriminator_learns_from_made_images_without_moving_the_generator() -> None:
    nets, task = make_nets(), Adversarial(instance_noise=0.1)
    loss, _ = task.loss("discriminator", nets, draw(task))
    loss.backward()
    assert all(parameter.grad is None for parameter in nets["generator"].parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in nets["discriminator"].parameters())


def test_the_generator_learns_through_the_discriminator_without_moving_it() -> None:
    nets, task = make_nets(), Adversarial(instance_noise=0.1)
    batch = draw(task)
    task.loss("discriminator", nets, batch)
    nets.zero_grad()
    loss, _ = task.loss("generator", nets, batch)
    loss.backward()
    assert all(parameter.grad is None for parameter in nets["discriminator"].parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in nets["generator"].parameters())
    assert all(parameter.requires_grad for parameter in nets["discriminator"].parameters())
    # The same gradient as without the freezing.
    expected = F.softplus(-nets["discriminator"](nets["generator"](batch["latent"]) + batch["fake_noise"])).mean()
    weight = nets["generator"][0].weight
    torch.testing.assert_close(torch.autograd.grad(expected, weight)[0], weight.grad)


def test_both_phases_share_the_made_images() -> None:
    nets, task = make_nets(), Adversarial()
    batch = draw(task)
    calls: list[int] = []
    nets["generator"].register_forward_hook(lambda *_: calls.append(1))
    task.loss("discriminator", nets, batch)
    task.loss("generator", nets, batch)
    assert len(calls) == 1


def test_a_frozen_net_is_as_it_was_even_after_an_error() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)

    def fail() -> None:
        with frozen(net):
            assert not any(parameter.requires_grad for parameter in net.parameters())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert (net.weight.requires_grad, net.bias.requires_grad) == (True, False)


def test_relativistic_losses_compare_each_real_image_with_the_made_one_beside_it() -> None:
    nets, task = make_nets(), Adversarial(rule="relativistic")
    batch = draw(task)
    assert set(batch) == {"images", "labels", "latent"}
    loss, metrics = task.loss("discriminator", nets, batch)
    real, fake = (nets["discriminator"](batch[name]).double() for name in ("images", "fake"))
    expected = sum(math.log(1 + math.exp(f - r)) for r, f in zip(real.tolist(), fake.tolist(), strict=True)) / 6
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert metrics["real"].item() == pytest.approx((real - fake).sigmoid().mean().item(), rel=1e-6)
    assert metrics["real"].item() + metrics["fake"].item() == pytest.approx(1)
    with torch.no_grad():
        nets["discriminator"][1].weight.mul_(-3)  # the discriminator learns before the generator does
    loss, metrics = task.loss("generator", nets, batch)
    real, fake = (nets["discriminator"](batch[name]) for name in ("images", "fake"))
    assert loss.item() == pytest.approx(F.softplus(real - fake).mean().item(), rel=1e-6)
    assert metrics == {}
    weight = nets["generator"][0].weight
    (expected_gradient,) = torch.autograd.grad(F.softplus(real.detach() - fake).mean(), weight, retain_graph=True)
    loss.backward()
    torch.testing.assert_close(weight.grad, expected_gradient)
    assert nets["discriminator"][1].weight.grad is None


@pytest.mark.parametrize("rule", ["bce", "relativistic"])
@pytest.mark.parametrize(("r1", "r2"), [(0.7, 0.0), (0.0, 0.3), (0.7, 0.3)])
def test_penalties_of_a_linear_discriminator_are_half_the_squared_length_of_its_weight(rule, r1, r2) -> None:
    nets = make_nets()
    plain, _ = Adversarial(rule=rule).loss("discriminator", nets, draw(Adversarial()))
    penalty_fraction, metrics = Adversarial(rule=rule, r1=r1, r2=r2).loss("discriminator", nets, draw(Adversarial()))
    square = nets["discriminator"][1].weight.detach().square().sum().item()
    assert (penalty_fraction - plain).item() == pytest.approx((r1 + r2) / 2 * square, rel=1e-4)
    expected = {
        name: pytest.approx(square)
        for name, weight in (("real_squared_gradient", r1), ("fake_squared_gradient", r2))
        if weight
    }
    assert {name: fact.item() for name, fact in metrics.items() if name not in ("real", "fake")} == expected
    penalty_fraction.backward()
    assert all(parameter.grad is None for parameter in nets["generator"].parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in nets["discriminator"].parameters()) or rule != "bce"


class Quadratic(nn.Module):
    """Half the sum of squares of each image: its gradient is the image."""

    def forward(self, x: Tensor) -> Tensor:
        return x.square().flatten(1).sum(1) / 2


@pytest.mark.parametrize(("fraction", "steep"), [(1.0, 6), (0.5, 3), (0.01, 1)])
def test_gradients_are_taken_at_a_fraction_of_the_images_and_all_are_scored(fraction, steep) -> None:
    nets = make_nets()
    nets["discriminator"] = Quadratic()
    batch = draw(Adversarial())
    plain, _ = Adversarial().loss("discriminator", nets, batch)
    loss, metrics = Adversarial(r1=0.7, r2=0.3, penalty_fraction=fraction).loss("discriminator", nets, batch)
    real, fake = (batch[name][:steep].square().flatten(1).sum(1).mean().item() for name in ("images", "fake"))
    assert metrics["real_squared_gradient"].item() == pytest.approx(real, rel=1e-5)
    assert metrics["fake_squared_gradient"].item() == pytest.approx(fake, rel=1e-5)
    assert loss.item() == pytest.approx(plain.item() + 0.35 * real + 0.15 * fake, rel=1e-5)


def test_the_discriminator_sees_real_and_made_images_changed_alike_in_both_phases() -> None:
    nets, task = make_nets(), Adversarial(augment=DiffAugment(colour=1, translation=0.25, cutout=0.5), r1=0.1)
    batch = draw(task)
    assert batch["changes"].shape == (6, 7)
    assert torch.equal(batch["changes"], draw(task)["changes"])
    assert not torch.equal(batch["changes"], draw(task, seed=1)["changes"])
    seen: list[Tensor] = []
    nets["discriminator"][0].register_forward_hook(lambda _, given, __: seen.append(given[0].detach()))
    task.loss("discriminator", nets, batch)
    task.loss("generator", nets, batch)
    expected = [task.augment.apply(batch[name], batch["changes"]) for name in ("images", "fake", "fake")]
    assert len(seen) == 3
    assert all(torch.equal(one, other) for one, other in zip(seen, expected, strict=True))


def test_options_that_are_off_draw_nothing_more() -> None:
    plain, augmented = (
        draw(Adversarial(instance_noise=0.1)),
        draw(Adversarial(instance_noise=0.1, augment=DiffAugment(cutout=0.5))),
    )
    assert augmented.keys() - plain.keys() == {"changes"}
    assert all(torch.equal(augmented[name], tensor) for name, tensor in plain.items())


class Told(nn.Module):
    """Notes the classes it is told, and answers with them."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.told: list[Tensor] = []

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        self.told.append(labels)
        return self.net(x)


@pytest.mark.parametrize(("rule", "calls"), [("bce", 3), ("relativistic", 4)])
def test_conditional_nets_are_told_the_classes_of_the_batch_at_every_call(rule, calls) -> None:
    nets = nn.ModuleDict({name: Told(net) for name, net in make_nets().items()})
    task = Adversarial(rule=rule, conditional=True, r1=0.1)
    batch = draw(task) | {"labels": torch.arange(6)}
    task.loss("discriminator", nets, batch)
    task.loss("generator", nets, batch)
    assert len(nets["generator"].told) == 1
    assert len(nets["discriminator"].told) == calls
    assert all(torch.equal(told, batch["labels"]) for net in nets.values() for told in net.told)
    mixed = torch.rand(6, 9)
    task.sampler(nets, Machine.choose(Engine(), "cpu"), mirrored=False).generate(batch["latent"], mixed)
    assert nets["generator"].told[-1] is mixed


class Operations(TorchDispatchMode):
    """Sums what torch says of each operator; its FlopCounterMode cannot be where gradients are differentiated."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        self.total += count(*args, **(kwargs or {}), out_val=result) if count else 0
        return result


@pytest.mark.parametrize("rule", ["bce", "relativistic"])
@pytest.mark.parametrize(("r1", "r2", "penalty_fraction"), [(0, 0, 1), (0.1, 0, 1), (0.1, 0.1, 1), (0.1, 0.1, 0.5)])
def test_forward_passes_are_the_arithmetic_that_a_step_does(rule, r1, r2, penalty_fraction) -> None:
    task = Adversarial(rule=rule, conditional=True, r1=r1, r2=r2, penalty_fraction=penalty_fraction)
    spec = ConditionalDCGAN()
    nets, example = spec.build((3, 32, 32), 5), spec.examples((3, 32, 32))
    once: dict[str, int] = {}
    for name, net in nets.items():
        with Operations() as counter, torch.no_grad():
            net(*example[name])
        once[name] = counter.total
    batch = {"images": torch.randn(2, 3, 32, 32), "labels": torch.tensor([0, 1])}
    batch = task.draw(batch, (spec.latent,), 0, generator(0, "noise"))
    with Operations() as counter:
        for phase in task.phases:
            nets.zero_grad()
            task.loss(phase, nets, batch)[0].backward()
    expected = 2 * sum(calls * once[net] for net, calls in task.forward_passes.items())
    assert counter.total == pytest.approx(expected, rel=0.05)


def test_soft_labels_are_refused_where_there_are_no_targets() -> None:
    with pytest.raises(ValueError, match="label_bound softens the targets of bce"):
        Adversarial(rule="relativistic", label_bound=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"label_bound": 0.5},
        {"instance_noise": -1},
        {"r1": -1},
        {"r2": -1},
        {"penalty_fraction": 0},
        {"penalty_fraction": 1.1},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Adversarial.model_validate(wrong)


def test_auxiliary_losses_are_those_of_odena() -> None:
    """Each net's loss is the plain one plus the cross-entropy of the classes, of both kinds of images for the judge."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nets = PlainDCGAN(latent=4, width=4, auxiliary=True).build((3, 32, 32), 5)
    task = Adversarial(conditional=True, auxiliary=0.7)
    batch = {"images": torch.rand(6, 3, 32, 32), "labels": torch.tensor([0, 1, 2, 3, 4, 0])}
    batch = task.draw(batch, (4,), 0, generator(0, "noise"))
    nets.eval()
    loss, metrics = task.loss("discriminator", nets, batch)
    made = nets["generator"](batch["latent"], batch["labels"])
    expected = torch.zeros(())
    for images, target in ((batch["images"], 1.0), (made, 0.0)):
        logits, named = nets["discriminator"].named(images)
        expected = expected + cross_entropy(logits, torch.full((6,), target))
        expected = expected + 0.7 * F.cross_entropy(named, batch["labels"])
        assert torch.equal(nets["discriminator"](images, batch["labels"]), logits)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert set(metrics) == {"real", "fake", "real_named", "fake_named"}
    loss, _ = task.loss("generator", nets, batch)
    logits, named = nets["discriminator"].named(made)
    expected = cross_entropy(logits, torch.ones(6)) + 0.7 * F.cross_entropy(named, batch["labels"])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_auxiliary_needs_classes_and_a_net_that_names_them() -> None:
    with pytest.raises(ValueError, match="set conditional"):
        Adversarial(auxiliary=1.0)
    with pytest.raises(RecipeError, match="both or neither"):
        shoestring.recipe("cifar100-dcgan-44", net={"auxiliary": True})
