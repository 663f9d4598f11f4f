"""Checks of parts from outside the package, before any training: everything that would fail or mislead later."""

import copy
import io
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from shoestring.core.errors import RecipeError, ShoestringError
from shoestring.core.registry import failure
from shoestring.core.rng import generator, seeded
from shoestring.data.dataset import normalise
from shoestring.model.weights import inference_state_dict
from shoestring.optim.configs import set_learning_rate
from shoestring.recipes.recipe import Recipe


def require_sound(recipe: Recipe, nets: nn.ModuleDict, again: nn.ModuleDict) -> None:
    """Does nothing, if the nets of a recipe can be trained, saved, loaded and asked.

    A step is trained on noise, its weights are loaded into the nets that were built again, and both must answer alike.

    Args:
        recipe: What the nets are to learn, and how.
        nets: As built; left as they are.
        again: The same nets, built once more from other random numbers; their weights are lost.

    Raises:
        RecipeError: They cannot; says which part fails at what.
    """
    words = f"net {recipe.net.kind!r}"
    _require_weights(words, recipe, nets, again)
    with _told(words, "cannot be copied, as EMA weights are"):
        probe = copy.deepcopy(nets)
    with seeded(0, "probe"):
        _require_answers(words, recipe, probe)
        _take_step(words, recipe, probe)
        with torch.inference_mode():  # as models answer
            before = _answers(words, recipe, probe, 2)
        tensors = {name: tensor.clone() for name, tensor in inference_state_dict(probe).items()}
        with _told(words, "cannot load the weights that it trained"):
            again.load_state_dict(tensors, strict=False)
        with torch.inference_mode():
            after = _answers(words, recipe, again, 2)
    for name, answer in before.items():
        if not _alike(answer, after[name]):
            raise RecipeError(
                f"{words}: {name} answers otherwise when it is built anew and given its weights, so it keeps something "
                "besides parameters and buffers; register such tensors with register_buffer"
            )


def _require_weights(words: str, recipe: Recipe, nets: nn.ModuleDict, again: nn.ModuleDict) -> None:
    """Refuses nets of other names than the task's, without parameters, or with other ones each time."""
    phases = recipe.task.phases
    if set(nets) != set(phases):
        raise RecipeError(
            f"{words} makes {' and '.join(sorted(nets))}, but task {recipe.task.kind!r} trains {' and '.join(phases)}"
        )
    if (
        recipe.task.generator_net == "generator"
        and recipe.task.unconditional
        and len(_examples(recipe)["generator"]) > 1
    ):
        raise RecipeError(
            f"{words} takes num_classes, so its nets are conditional, but the task gives them no class: set "
            "task.conditional to true, or leave num_classes out"
        )
    for name, net in nets.items():
        if any(map(is_lazy, net.parameters())):
            raise RecipeError(f"{words}: {name} has lazy layers, whose parameters nobody can count; give their sizes")
        if not any(parameter.requires_grad for parameter in net.parameters()):
            raise RecipeError(f"{words}: {name} has no parameters to train")
        for buffer, tensor in net.named_buffers():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise RecipeError(f"{words}: its buffer {buffer} is not finite; take a large number for infinity")
    counts = [sum(parameter.numel() for parameter in each.parameters()) for each in (nets, again)]
    if counts[0] != counts[1]:
        raise RecipeError(f"{words} has {counts[0]:,} parameters, and {counts[1]:,} when it is built again")
    first, second = (
        {name: tensor.shape for name, tensor in inference_state_dict(each).items()} for each in (nets, again)
    )
    if first != second:
        other = sorted(name for name in {**first, **second} if first.get(name) != second.get(name))
        raise RecipeError(f"{words} has other tensors when it is built again: {', '.join(other[:3])}")


def _require_answers(words: str, recipe: Recipe, nets: nn.ModuleDict) -> None:
    """Refuses nets that cannot be asked about one or two images, or whose answers are no good."""
    shape, classes = recipe.data.shape, len(recipe.data.classes)
    expected = {"classifier": (classes,), "discriminator": ()}
    meaning = {"classifier": f"logits of {classes} classes", "discriminator": "a logit for each image"}
    single, double = (_answers(words, recipe, nets, count) for count in (1, 2))
    for name, answer in double.items():
        due = (2, *expected.get(name, shape))
        if tuple(answer.shape) != due:
            raise RecipeError(
                f"{words}: {name} gives {tuple(answer.shape)} for 2 images, not {due}, {meaning.get(name, 'images')}"
            )
        if not bool(answer.isfinite().all()):
            raise RecipeError(f"{words}: {name} gives NaN or infinity before any training")
    if "classifier" in single and not _alike(single["classifier"], double["classifier"][:1]):
        raise RecipeError(
            f"{words} answers otherwise about an image when another one is in its batch, in evaluation mode as well"
        )


def _answers(words: str, recipe: Recipe, nets: nn.ModuleDict, count: int) -> dict[str, Tensor]:
    """What each net makes of some noise in evaluation mode, by name; more images begin with the same ones."""
    found: dict[str, Tensor] = {}
    for name, example in _examples(recipe).items():
        if name not in nets:
            continue
        inputs = [_noise(each, count, place) for place, each in enumerate(example)]
        with _told(words, f"fails as {name} on a batch of {count} in evaluation mode"), torch.no_grad():
            answer = nets[name].eval()(*inputs)
        if not isinstance(answer, Tensor):
            raise RecipeError(f"{words}: {name} gives a {type(answer).__name__}, not a tensor")
        found[name] = answer.float()
    return found


def _examples(recipe: Recipe) -> Mapping[str, tuple[Tensor, ...]]:
    return recipe.net.examples(recipe.data.shape)


def _noise(example: Tensor, count: int, place: int) -> Tensor:
    if not example.is_floating_point():
        return torch.zeros(count, *example.shape[1:], dtype=example.dtype)
    draws = [torch.randn(example.shape[1:], generator=generator(0, "probe", place, i)) for i in range(count)]
    return torch.stack(draws)


def _take_step(words: str, recipe: Recipe, nets: nn.ModuleDict) -> None:
    """One step on noise, as the loop takes it, and what of it a checkpoint must hold."""
    task, count = recipe.task, min(recipe.batch_size, 2)
    draws = generator(0, "probe step")
    pixels = torch.randint(256, (count, *recipe.data.shape), generator=draws, dtype=torch.uint8)
    images = normalise(_augmented(recipe, pixels), recipe.data)
    labels = torch.arange(count) % len(recipe.data.classes)
    with _told(words, f"fails in a training step of {count} images"):
        batch = task.draw({"images": images, "labels": labels}, recipe.latent_shape, 0, draws)
        nets.train()
        for phase in task.phases:
            optimiser = recipe.optimiser.build(nets[phase])
            set_learning_rate(
                optimiser, recipe.optimiser.learning_rate * recipe.schedule.factor(0, recipe.budget.steps)
            )
            loss, _ = task.loss(phase, nets, batch)
            if loss.ndim or not bool(loss.isfinite()):
                raise RecipeError(f"{words}: the loss of {phase} is {loss.tolist()} before any training, not a number")
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            if all(parameter.grad is None for parameter in nets[phase].parameters()):
                raise RecipeError(f"{words}: the loss of {phase} moves none of its parameters")
            optimiser.step()  # pyright: ignore[reportUnknownMemberType]
            with _told(words, "cannot be read from a checkpoint again"):
                content = io.BytesIO()
                torch.save({"nets": nets.state_dict(), "optimiser": optimiser.state_dict()}, content)
                content.seek(0)
                torch.load(content, weights_only=True)


def _augmented(recipe: Recipe, pixels: Tensor) -> Tensor:
    """Images changed as at the first step, alike whenever that step is taken; checks what the schedule says too."""
    steps = recipe.budget.steps
    for step in (0, steps // 2, steps - 1):
        recipe.schedule.factor(step, steps)
    augment = recipe.annealed(0).augment
    first, again = (augment.apply(pixels.clone(), generator(0, "probe augment")) for _ in range(2))
    if not torch.equal(first, again):
        words = f"augment {getattr(augment, 'kind', '')!r}"
        raise RecipeError(
            f"{words} gives other images for the same torch.Generator, so a run could not go on where it stopped; draw "
            "all random numbers from it"
        )
    return first


def _alike(one: Tensor, other: Tensor) -> bool:
    scale = max(1.0, float(one.abs().max()))
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * scale)


@contextmanager
def _told(words: str, what: str) -> Generator[None]:
    """Turns what fails inside into one message."""
    try:
        yield
    except ShoestringError:
        raise
    except Exception as error:
        raise RecipeError(f"{words} {what}: {failure(error)}") from error
