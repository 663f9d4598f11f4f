"""Statistics of batch norm in averaged generators are those of the averaged weights."""

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.device import Machine
from shoestring.model.bn_recalibration import ema_or_raw_model, recalibrate_batchnorm
from shoestring.model.build import build
from shoestring.model.generator import Generator
from shoestring.model.load import inference_state_dict
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    pictures = tiny.write_pictures(tmp_path_factory.mktemp("pictures"), size=32)
    return Recipe.from_json(tiny.gan(pictures, ema=(0.9, 0.5)).to_json())


def machine_of(recipe):
    return Machine.choose(recipe.engine, "cpu")


def fresh(recipe):
    return Generator(recipe, build(recipe).nets.eval(), machine_of(recipe))


def normed(model):
    """Means and deviations by channel of what leaves the norms, scale and shift undone, for latents not seen before."""
    found = []

    def look(norm, _, out):
        plain = (out - norm.bias.view(-1, 1, 1)) / norm.weight.view(-1, 1, 1)
        found.append((plain.mean((0, 2, 3)), plain.std((0, 2, 3))))

    norms = [m for m in model.nets["generator"].modules() if isinstance(m, torch.nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(look) for norm in norms]
    with torch.no_grad():
        model.nets["generator"](model.latents(4000, seed=9))
    for hook in hooks:
        hook.remove()
    return found


def test_channels_come_out_with_mean_0_and_deviation_1(recipe):
    before = fresh(recipe)
    assert any((spread - 1).abs().max() > 0.3 for _, spread in normed(before))  # statistics of no training at all
    found = normed(recalibrate_batchnorm(before))
    assert len(found) == 5
    for mean, spread in found:
        assert mean.abs().max() < 0.05
        assert (spread - 1).abs().max() < 0.05


def test_the_model_given_is_left_alone_and_only_its_generators_statistics_change(recipe):
    model = fresh(recipe)
    kept = {name: tensor.clone() for name, tensor in model.nets.state_dict().items()}
    found = recalibrate_batchnorm(model)
    assert not any(module.training for nets in (model.nets, found.nets) for module in nets.modules())
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.nets.state_dict().items())
    new = found.nets.state_dict()
    differ = {name for name, tensor in kept.items() if not torch.equal(tensor, new[name])}
    assert differ == {name for name in kept if name.startswith("generator.") and ".running_" in name} | {
        name for name in kept if name.startswith("generator.") and name.endswith("num_batches_tracked")
    }


def test_a_classifier_is_given_back_as_it_is(tmp_path):
    model = fresh(tiny.classifier(tiny.write_pictures(tmp_path)))
    assert recalibrate_batchnorm(model) is model


def test_a_run_keeps_ema_weights_with_statistics_of_their_own(recipe, tmp_path):
    run = api.train(recipe, tmp_path / "run", device="cpu")
    state = State.start(recipe, build(recipe).nets, machine_of(recipe))
    state.load_state_dict(run.checkpoints.read(tiny.Heard(), torch.device("cpu")))
    for decay, nets in state.ema.items():
        expected = inference_state_dict(recalibrate_batchnorm(Generator(recipe, nets, machine_of(recipe))).nets)
        found = run.read_weights(decay)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    first, weights = run.read_weights(0.9), run.read_weights(None)
    assert all(torch.equal(weights[name], tensor) for name, tensor in first.items())


def test_without_ema_the_nets_keep_the_statistics_of_their_training(recipe):
    plain = tiny.changed(recipe, {"ema": []})
    state = State.start(plain, build(plain).nets, machine_of(plain))
    assert ema_or_raw_model(plain, state, machine_of(plain)).nets is state.nets
