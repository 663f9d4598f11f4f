"""What `list` and `show` tell about recipes."""

from pathlib import Path
from typing import Any

from shoestring import zoo
from shoestring.cli.display import Display
from shoestring.core.run import Run
from shoestring.model.build import build, count
from shoestring.model.run_rules import said
from shoestring.recipes import RECIPES
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.rules import Rules, rules
from shoestring.report.format import number, percent
from shoestring.report.headline import main_metric
from shoestring.report.run_data import read


def overview(rules_file: Path | None = None) -> tuple[Rules, list[dict[str, Any]]]:
    """The rules in a file, by default the shipped ones, and a row for each recipe.

    Keys of a row that end in _text hold the form for people; "departures" are sentences.
    """
    in_force, rows = rules(rules_file), list[dict[str, Any]]()
    for name, make in RECIPES.items():
        recipe = make()
        parameters = count(recipe)
        published = recipe.published
        accuracy = published is not None and published.metric == "accuracy"
        value = None if published is None else published.value
        measured = measured_result(Run(zoo.FOLDER / name))
        rows.append({
            "recipe": name,
            "summary": recipe.summary,
            "task": recipe.task.kind,
            "data": recipe.data.kind,
            "parameters": parameters,
            "parameters_text": f"{parameters:,}",
            "budget": recipe.budget.parameters,
            "budget_text": f"{recipe.budget.parameters:,}",
            "steps": recipe.budget.steps,
            "steps_text": f"{recipe.budget.steps:,}",
            "departures": said(in_force.departures(recipe), in_force.name),
            "published": value,
            "published_text": "" if value is None else percent(value) if accuracy else f"FID {value:g}",
            "measured": measured,
            "measured_text": "not trained yet" if measured is None else measured["text"],
        })  # fmt: skip
    return in_force, rows


def measured_result(run: Run) -> dict[str, Any] | None:
    """The headline of a run's final evaluation under its name, with its n and a text; None when there is none.

    Of a generator it is the FID, with its real-vs-real baseline: what other real images get.
    """
    main = main_metric(read([run])[0]) if run.exists() else None
    if main is None or main.split != "test":
        return None
    found: dict[str, Any] = {main.name: main.value, "n": main.n}
    if main.name == "accuracy":
        return found | {"text": percent(main.value)}
    kind, features, resizing = main.name.split("_")
    real_baseline = main.rest.get("real_baseline")
    beside = "" if real_baseline is None else f", real images {number(real_baseline, 3)}"
    name = f"{kind.upper()}-{features}{'' if resizing == 'clean' else f' {resizing}'}"
    return found | {"real_baseline": real_baseline, "text": f"{name} {number(main.value, 3)}{beside} (n {main.n:,})"}


def show(recipe: Recipe, rules_file: Path | None, display: Display) -> None:
    """Prints a recipe, its layer table, what is left of the budget, and its departures from rules."""
    in_force, built = rules(rules_file), build(recipe)
    departures = said(in_force.departures(recipe), in_force.name)
    operations = sum(layer.multiply_adds for layer in built.layers)
    left = recipe.budget.parameters - built.parameters
    display.result({
        "recipe": recipe.to_json(),
        "parameters": built.parameters,
        "multiply_adds": operations,
        "net_calls": recipe.task.nfe,
        "budget": recipe.budget.model_dump(),
        "parameters_left": left,
        "departures": departures,
        "layers": [vars(layer) for layer in built.layers],
    })  # fmt: skip
    display.line(f"{recipe.name}: {recipe.summary}")
    fields = ([key, _words(value)] for key, value in recipe.to_json().items() if key not in ("name", "summary"))
    display.table("Recipe", ("field", "value"), fields)
    rows = [
        [layer.name, layer.type, "x".join(map(str, layer.output)), f"{layer.parameters:,}", f"{layer.multiply_adds:,}"]
        for layer in built.layers
    ]
    numbers = ("parameters", "multiply-adds")
    display.table("Layers", ("layer", "type", "output", *numbers), rows, numbers=numbers)
    display.line(f"{built.parameters:,} parameters of {recipe.budget.parameters:,}: {left:,} left.")
    seen = (
        "one image" if recipe.makes_images or recipe.task.nfe == 1 else f"each of {recipe.task.nfe} views of an image"
    )
    display.line(
        f"{operations:,} multiply-adds for {seen}. {recipe.budget.steps:,} steps of {recipe.batch_size} images."
    )
    for departure in departures:
        display.line(f"{recipe.name} {departure}.")
    if recipe.published:
        display.line(f"Published: {recipe.published.line} ({recipe.published.source}).")


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_words(inner)}" for key, inner in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list):
        return " ".join(map(_words, value)) or "none"  # pyright: ignore[reportUnknownArgumentType]
    return "none" if value is None else str(value)
