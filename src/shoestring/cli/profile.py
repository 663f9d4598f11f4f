"""The verb that times a recipe on this machine."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, Suppress, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options
from shoestring.core.errors import require_at_least

if TYPE_CHECKING:
    from shoestring.profiling.autotune import EngineTiming


@dataclass(frozen=True, kw_only=True)
class Speed(Options):
    """How fast a recipe trains and samples here, where the time goes, and how long its whole budget takes.

    Steps are taken on random images, so no data is needed, and nothing is written. After NAME come typed overrides,
    such as --engine.threads 1 or --batch-size 128.
    """

    target: Annotated[Positional[str], arg(metavar="NAME_OR_FILE")]
    """A recipe's name, or a TOML or JSON file."""
    timed_steps: int = 20
    """Steps to time."""
    compare: FlagCreatePairsOff[bool] = False
    """Try the engine's choices too: threads, memory format, precision."""
    recipe: Suppress[Any] = None

    def do(self, display: Display) -> None:
        """Times, and prints the figures."""
        from shoestring import api
        from shoestring.profiling.autotune import try_choices
        from shoestring.profiling.profile import profile_step

        require_at_least(1, timed_steps=self.timed_steps)
        recipe = api.located(self.recipe, self.data_folder)
        figures = profile_step(recipe, self.device, self.timed_steps, display).to_json()
        timings = try_choices(recipe, self.device, display) if self.compare else []
        tried = [timing.to_json() for timing in timings]
        display.result({"recipe": recipe.name} | figures | ({"tried": tried} if tried else {}))
        if not display.as_json:
            _show(recipe.name, figures, display)
            _show_timings(timings, display)


def _show(name: str, figures: dict[str, Any], display: Display) -> None:
    from shoestring.report.format import duration

    machine = figures["machine"]
    layout = "channels last" if machine["channels_last"] else "channels first"
    place = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    shared = f"{machine['processes']} processes of " if "processes" in machine else ""
    display.line(f"{name} on {place}: {shared}{machine['threads']} threads, {machine['precision']}, {layout}.")
    rows = [
        ("a step", f"{figures['milliseconds']:,.1f} ms, median of {figures['steps_timed']}"),
        ("", f"{figures['fastest_milliseconds']:,.1f} to {figures['slowest_milliseconds']:,.1f} ms"),
        ("images a second", f"{figures['images_per_second']:,.0f}"),
        (f"{figures['budget_steps']:,} steps take", duration(figures["budget_seconds"])),
        ("arithmetic", f"{figures['gigaflop']:,.2f} GFLOP a step, {figures['gigaflop_per_second']:,.1f} GFLOP/s"),
        ("a matrix product reaches", f"{figures['ceiling_gigaflop_per_second']:,.0f} GFLOP/s"),
        ("fraction of that", f"{100 * figures['fraction_of_ceiling']:.0f} %"),
        ("operators read and write", f"{figures['moved_megabytes']:,.0f} MB a step"),
        ("a copy reaches", f"{figures['copy_gigabytes_per_second']:,.1f} GB/s"),
        ("least, at both limits", f"{figures['least_milliseconds']:,.1f} ms a step, operator by operator"),
    ]
    if "image_milliseconds" in figures:
        takes = duration(10 * figures["image_milliseconds"])
        rows.append(("10,000 samples take", f"{takes}, net calls for each: {figures['nfe']}"))
    display.table("Speed", ("figure", "value"), rows)
    parts = figures["parts_milliseconds"]
    total = sum(parts.values())
    cells = ([part, f"{value:,.1f}", f"{100 * value / total:.1f} %"] for part, value in parts.items())
    display.table("Where the time goes", ("part", "ms a step", "share"), cells, numbers=("ms a step", "share"))


def _show_timings(timings: "list[EngineTiming]", display: Display) -> None:
    if not timings:
        return
    fields = ("threads", "processes", "channels_last", "precision", "graphs")
    best = min(timings, key=lambda timing: timing.milliseconds)
    rows: list[list[str]] = []
    for timing in timings:
        values = timing.engine.model_dump()
        mark = "fastest" if timing is best else ""
        rows.append([*(_word(values[field]) for field in fields), f"{timing.milliseconds:,.1f}", mark])
    columns = tuple(field.replace("_", " ") for field in fields)
    display.table("The engine's choices", (*columns, "ms a step", ""), rows, numbers=("ms a step",))
    first, chosen = timings[0].engine.model_dump(), best.engine.model_dump()
    options = [
        f"--engine.{field.replace('_', '-')} {chosen[field]}" for field in fields if chosen[field] != first[field]
    ]
    ways = " ".join(options)
    display.line(f"Fastest here: {ways}" if ways else "The choices taken without autotuning are the fastest here.")


def _word(value: object) -> str:
    if value is None:
        return ""
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
