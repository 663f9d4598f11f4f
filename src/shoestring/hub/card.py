"""The model card of a run: what it is, what was measured, how to use it; measures also as the hub's metadata."""

from typing import Any

from shoestring.core.run import Run
from shoestring.hub.address import Address
from shoestring.hub.client import client

SHOWN = 12  # metrics in the table
DATASETS = {"cifar100": ("CIFAR-100", "cifar100"), "addnist": ("AddNIST", "addnist"), "mnist": ("MNIST", "mnist")}


def card(run: Run, address: Address) -> str:
    """The card as Markdown, with YAML in front that the hub reads."""
    library = client()
    recipe = run.read_recipe()
    makes_images = recipe["task"]["kind"] in ("adversarial", "flow")
    task = "unconditional-image-generation" if makes_images else "image-classification"
    name, kind = DATASETS.get(recipe["data"]["kind"], ("images of one's own", recipe["data"]["kind"]))
    found = _measured(run)
    results = [
        library.EvalResult(
            task_type=task,
            dataset_type=kind,
            dataset_name=name,
            dataset_split=split,
            metric_type=metric.split("_")[0] if makes_images else metric,
            metric_name=metric,
            metric_value=values["value"],
        )
        for split, metric, values in found
    ]
    data = library.ModelCardData(
        library_name="shoestring",
        pipeline_tag=task,
        tags=["shoestring", "small-models", recipe["data"]["kind"]],
        model_name=recipe["name"],
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_body(run, address, recipe, found, makes_images)}"


def _measured(run: Run) -> list[tuple[str, str, dict[str, Any]]]:
    """The metrics that say how good it is, on test before tune: (split, name, metric)."""
    metrics: dict[str, dict[str, dict[str, Any]]] = run.metrics()
    return [
        (split, name, metric)
        for split in ("test", "tune")
        for name, metric in metrics.get(split, {}).items()
        if isinstance(metric.get("value"), int | float)
    ][:SHOWN]


def _body(
    run: Run, address: Address, recipe: dict[str, Any], found: list[tuple[str, str, dict[str, Any]]], makes_images: bool
) -> str:
    parameters = sum(layer.parameters for layer in run.layers())
    budget = recipe["budget"]
    use = f"sample {address} --out samples.png" if makes_images else f"predict {address} photo.png"
    lines = [
        f"# {recipe['name']}",
        "",
        recipe["summary"] or f"A model of the kind {recipe['net']['kind']}.",
        "",
        f"{parameters:,} parameters of {budget['parameters']:,} allowed, trained for {budget['steps']:,} steps with",
        "shoestring. `recipe.json` says all of the training, `weights.safetensors` holds the weights in float32.",
        "",
        "```shell",
        f"shoestring {use}",
        f"shoestring report {address}",
        "```",
        "",
    ]
    if found:
        lines += ["| split | metric | value | interval | n |", "| --- | --- | --- | --- | --- |"]
        for split, name, metric in found:
            ends = " – ".join(f"{end:.4g}" for end in metric.get("interval") or ())
            lines.append(f"| {split} | {name} | {metric['value']:.4g} | {ends} | {metric.get('n', '')} |")
        lines.append("")
    if "source.json" in {file.name for file in run.folder.iterdir()}:
        lines += ["Parts of it are code, kept in `source/`. It runs only where you allow it: `shoestring trust`.", ""]
    return "\n".join(lines)
