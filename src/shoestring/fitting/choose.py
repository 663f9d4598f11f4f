"""From a folder of images, limits and a time to a recipe, with the reason of each choice."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from shoestring.core.budget import Budget
from shoestring.core.class_balance import is_uneven
from shoestring.core.config import did_you_mean
from shoestring.core.errors import OverBudgetError, RecipeError, ShoestringError
from shoestring.core.progress import Progress
from shoestring.data.augment import Augment
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import FolderReport
from shoestring.fitting.families import FAMILIES, FINENESS, Family, FamilyName, largest_factor
from shoestring.fitting.in_time import MOST_STEPS, in_time
from shoestring.model.build import device_cost, initialise
from shoestring.model.load import open_run, recipe_of
from shoestring.nets.summary import count
from shoestring.optim.configs import Muon
from shoestring.optim.lr_schedule import WarmupStableDecay
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.classification import Classify

SIZES = (28, 32, 48, 64, 96, 128)
USUAL_SIZE = 64
"""The largest size that is taken unasked."""
HALF = 0.5
"""Of the parameters that are allowed: a net of plain convolutions that cannot use that many gives way."""


@dataclass(frozen=True)
class Wanted:
    """What a model may take, and how long its training.

    Attributes:
        parameters: At most.
        multiply_adds: At most for one image; None for any number.
        activation_bytes: Peak of int8 activations at most; None for any.
        weight_bytes: Of int8 weights at most; None for any.
        minutes: Of training on this machine.
        size: Height and width of images in pixels; None to choose.
        family: Of nets; None to choose.
        pretrained: A run, or a recipe whose weights are shipped, to start from; None to start anew.
    """

    parameters: int = 100_000
    multiply_adds: int | None = None
    activation_bytes: int | None = None
    weight_bytes: int | None = None
    minutes: float = 10.0
    size: int | None = None
    family: FamilyName | None = None
    pretrained: str | None = None

    def budget(self, steps: int) -> Budget:
        """The limits, as of a recipe."""
        return Budget(
            parameters=self.parameters,
            steps=steps,
            multiply_adds=self.multiply_adds,
            activation_bytes=self.activation_bytes,
            weight_bytes=self.weight_bytes,
        )


def wanted(**limits: Any) -> Wanted:
    """What a user wants, checked.

    Raises:
        RecipeError: There is no such limit or family, or a limit is not above 0.
    """
    known = [field.name for field in fields(Wanted)]
    for limit in limits.keys() - set(known):
        raise RecipeError(did_you_mean("limit", limit, known))
    for name in ("parameters", "multiply_adds", "activation_bytes", "weight_bytes", "minutes", "size"):
        value = limits.get(name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise RecipeError(f"{name.replace('_', ' ')} must be above 0, got {value}")
    if limits.get("family") is not None and limits["family"] not in FAMILIES:
        raise RecipeError(did_you_mean("family", limits["family"], FAMILIES))
    return Wanted(**limits)


@dataclass(frozen=True)
class Fitted:
    """A recipe and how it came about.

    Attributes:
        recipe: Ready to train.
        reasons: What was chosen -> what it is and why, in a line.
    """

    recipe: Recipe
    reasons: Mapping[str, str]


def choose(
    name: str, data: ImageFolder, seen: FolderReport, wanted: Wanted, device: str | None, progress: Progress
) -> Fitted:
    """A recipe for a folder of images.

    Args:
        name: What it is to be called.
        data: The folder, by its absolute path and with its class names.
        seen: What is in it.
        wanted: The limits.
        device: Where it will be trained: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Reports everything that takes time.

    Raises:
        OverBudgetError: No net of any family is within the limits; says of the narrowest what it takes.
        RecipeError: The weights to start from are none of a classifier of square images.
        RunError: There are no weights to start from.
    """
    reasons: dict[str, str] = {}
    start = recipe_of(open_run(wanted.pretrained)) if wanted.pretrained else None
    data, reasons["images"] = _sized(data, seen, wanted, start)
    augment, reasons["augmentation"] = _augmentation(data)
    uneven = is_uneven([sum(counts) for counts in zip(*seen.counts.values(), strict=True)])
    draft = Recipe(
        name=name,
        summary=f"{len(data.classes)} classes of {seen.folder.name}",
        budget=wanted.budget(MOST_STEPS),
        data=data,
        augment=augment,
        net=FAMILIES["basic"].net(1.0, 1),
        task=Classify(label_smoothing=0.1, class_weights=uneven),
        optimiser=Muon(learning_rate=0.02, weight_decay=0.02),
        schedule=WarmupStableDecay(warmup=0.05, cooldown=0.7),
        ema=(0.999,),
        pretrained=_absolute(wanted.pretrained),
    )
    if uneven:
        reasons["loss"] = "weighted by class, since classes are uneven; look at balanced accuracy"
    if start:
        recipe = draft.replace(net=start.net.model_dump())
        reasons["net"] = f"{start.net.kind} with the weights of {wanted.pretrained}, trained on {start.data.kind}"
    else:
        with progress.task("choosing the net", 1) as advance:
            recipe, reasons["net"] = _widest(draft, wanted)
            advance()
    reasons["takes"] = _taken(recipe)
    recipe, of_time = in_time(recipe, sum(seen.counts["train"]), wanted.minutes, device, progress)
    return Fitted(recipe, reasons | of_time)


def _absolute(pretrained: str | None) -> str | None:
    """A run's folder by its absolute path, so that the recipe means the same everywhere; a shipped name as it is."""
    return str(Path(pretrained).resolve()) if pretrained and Path(pretrained).is_dir() else pretrained


def _sized(data: ImageFolder, seen: FolderReport, wanted: Wanted, start: Recipe | None) -> tuple[ImageFolder, str]:
    """The data with the size and the channels that images are to have, and why."""
    grey = seen.total > 0 and seen.grey == seen.total
    if start is not None:
        channels, size, width = start.data.shape
        if start.makes_images or size != width or channels not in (1, 3):
            raise RecipeError(f"{wanted.pretrained} is no classifier of square images; start from one that is")
        if wanted.size not in (None, size):
            raise RecipeError(f"{wanted.pretrained} sees images of {size}x{size}; leave --size out, or give {size}")
        return data.replace(size=size, channels=channels), f"{channels}x{size}x{size}, as {wanted.pretrained} sees them"
    channels = 1 if grey else 3
    colour = "grey, since all are" if grey else "in colour"
    if wanted.size is not None:
        return data.replace(size=wanted.size, channels=channels), f"{wanted.size}x{wanted.size} as asked, {colour}"
    side = min(seen.widths[1], seen.heights[1])
    room = math.isqrt((wanted.activation_bytes or 2**40) // channels)  # an image takes memory, too
    size = max((each for each in SIZES if each <= min(side, USUAL_SIZE, room)), default=min(side, SIZES[0]))
    why = f"the images' median side is {side}"
    if size < min(side, USUAL_SIZE) and room < min(side, USUAL_SIZE):
        why = f"a larger one would not fit into {wanted.activation_bytes:,} bytes"
    elif side > USUAL_SIZE:
        why += f"; --size {next((each for each in SIZES if each > size), 128)} keeps more detail"
    return data.replace(size=size, channels=channels), f"{size}x{size}, {colour}: {why}"


def _augmentation(data: ImageFolder) -> tuple[Augment, str]:
    if data.channels == 1:
        found = Augment(rotation_degrees=10, translation=0.08, scale=(0.9, 1.1))
        return found, "small turns, shifts and scales; no mirroring, since grey images may be of signs"
    shift = max(1, data.size // 8)
    found = Augment(
        horizontal_flip=True, crop_padding=shift, scale=(0.8, 1.2), brightness=0.2, contrast=0.2, saturation=0.2
    )
    return found, f"mirroring, shifts of {shift} pixels, scale, brightness, contrast, saturation"


def _widest(draft: Recipe, wanted: Wanted) -> tuple[Recipe, str]:
    """The draft with the largest net of a family that all limits admit, and why that family."""
    if wanted.family is not None:
        return _of_family(draft, FAMILIES[wanted.family]), f"{wanted.family} as asked"
    basic, separable = FAMILIES["basic"], FAMILIES["separable"]
    try:
        first = _of_family(draft, basic)
    except OverBudgetError:
        return _of_family(draft, separable), f"separable, {separable.words}: no plain net is within the limits"
    used = count(initialise(first))
    if used >= HALF * wanted.parameters or not first.budget.limits_device:
        return first, f"basic, {basic.words}"
    second = _of_family(draft, separable)
    if (more := count(initialise(second))) <= used:
        return first, f"basic, {basic.words}"
    return second, (
        f"separable, {separable.words}: within these limits a plain net has {used:,} parameters, this one {more:,}"
    )


def _of_family(draft: Recipe, family: Family) -> Recipe:
    """The draft with the largest net of a family that its budget admits.

    Raises:
        OverBudgetError: There is none; says what the narrowest one takes.
    """
    stride = family.stem_stride(draft.data.shape[1])

    def at(factor: float) -> Recipe:
        return draft.replace(net=family.net(factor, stride).model_dump())

    def refusal(factor: float) -> ShoestringError | None:
        recipe = at(factor)
        nets = initialise(recipe)
        if (parameters := count(nets)) > recipe.budget.parameters:
            return OverBudgetError(f"it has {parameters:,} parameters")
        try:
            if recipe.budget.limits_device:
                recipe.budget.admit_on_device(device_cost(recipe, nets))
        except OverBudgetError as error:
            return error
        return None

    try:
        return at(largest_factor(lambda factor: refusal(factor) is None))
    except OverBudgetError as error:
        narrowest = refusal(1 / FINENESS)
        raise OverBudgetError(
            f"{error}, for images of {draft.data.shape[1]}x{draft.data.shape[1]}: {narrowest}; take smaller images "
            "with --size, or allow more"
        ) from None


def _taken(recipe: Recipe) -> str:
    """What a net takes, beside what it may."""
    nets, allowed = initialise(recipe), recipe.budget
    parts = [_of("parameters", count(nets), allowed.parameters)]
    try:
        cost = device_cost(recipe, nets)
    except ShoestringError:  # an own net to start from, which integers cannot hold
        return parts[0]
    parts += [
        _of("multiply-adds", cost.multiply_adds, allowed.multiply_adds),
        _of("bytes of int8 weights", cost.weight_bytes, allowed.weight_bytes),
        _of("bytes of int8 activations", cost.activation_bytes, allowed.activation_bytes),
    ]
    return ", ".join(parts)


def _of(what: str, used: int, allowed: int | None) -> str:
    return f"{used:,} {what}" if allowed is None else f"{used:,} of {allowed:,} {what}"
