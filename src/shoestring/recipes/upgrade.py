"""Recipes of runs that earlier versions wrote, completed with what those versions did unasked."""

from typing import Any, cast


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """A run's recipe as plain JSON values, with the fields it lacks where their default is not what was done before.

    A field that does by default what was done without it needs no entry.

    Args:
        values: As `Run.read_recipe` gives them.
    """
    found = {name: cast(dict[str, Any], part) for name, part in values.items() if isinstance(part, dict)}
    data, net, task = (found.get(name, {}) for name in ("data", "net", "task"))
    if net.get("kind") == "refined-dcgan":
        found["net"] = {"refinement": "relu"} | net
    if task.get("kind") in ("adversarial", "flow") and data.get("scale") != "signed":
        found["task"] = {"pixel_range": "data"} | task
    if data.get("kind") == "folder":
        found["data"] = {"reading": 1, "tune": 0} | data
    return values | found
