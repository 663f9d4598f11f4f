"""No input makes a traceback, hangs or takes memory without bound: files and options that are almost right."""

import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import socket
import struct
import tarfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import own_parts
import pytest
import tiny
import tomli_w
import torch
from PIL import Image
from safetensors.torch import save

from campaign.mutations import STRANGE, bytes_like, text_like, values_like
from campaign.trials import Trial, drawn, forget_peak, isolated, peak_bytes, resident_bytes, where
from shoestring import api
from shoestring.cli.main import main
from shoestring.core.errors import ShoestringError
from shoestring.core.packed import pack
from shoestring.core.progress import Progress
from shoestring.core.run import Run

PROMISE = "no input makes a traceback"
ASKED = 10_000
SECONDS, EXTRA_BYTES = 60.0, 2 << 30  # what a trial may take
Words = list[Any]


class Kit:
    """Good inputs, which trials spoil."""

    def __init__(self, folder: Path) -> None:
        self.pictures = tiny.write_pictures(folder / "pictures", train=3, test=2)
        recipe = tiny.classifier(self.pictures, budget__steps=2, data__tune=3, cadence__checkpoint=1)
        self.recipe = recipe.to_json()
        self.run = api.train(recipe, folder / "run", device="cpu", progress=Progress())
        self.gan = api.train(
            tiny.gan(self.pictures, budget__steps=1), folder / "gan", device="cpu", progress=Progress()
        )
        self.unfinished = Run(folder / "unfinished")
        with contextlib.suppress(tiny.Crash):
            longer = tiny.classifier(self.pictures, budget__steps=4, data__tune=3, cadence__checkpoint=1)
            api.train(longer, self.unfinished.folder, device="cpu", progress=tiny.Crashing(4))
        self.packed = pack(self.run)
        self.sweep = self.recipe | {"sweep": {"grid": {"optimiser.learning_rate": [0.01, 0.02]}, "seeds": 1}}
        self.rules = {"name": "tiny", "classifier": {"parameters": 2000, "steps": 12}, "data": self.recipe["data"]}
        noise = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
        self.images = {ending: _encoded(noise, form) for ending, form in FORMS.items() if form in Image.SAVE}
        self.array = np.random.default_rng(0).integers(0, 256, (12, 3, 8, 8), dtype=np.uint8)
        self.good_array = folder / "good.npy"
        np.save(self.good_array, self.array)


FORMS = {
    "png": "PNG", "jpg": "JPEG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF", "ico": "ICO", "ppm": "PPM",
    "tga": "TGA", "pcx": "PCX", "dds": "DDS", "jp2": "JPEG2000", "sgi": "SGI",
}  # fmt: skip


def trials(folder: Path, seed: int, numbers: Iterable[int]) -> Iterator[Trial]:
    """Trials by number, each of one family in turn."""
    Image.init()
    kit = Kit(folder)
    place = folder / "trial"

    def trial(number: int) -> Trial:
        draw = drawn(seed, number)
        family = FAMILIES[number % len(FAMILIES)]
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        words = [str(word) for word in family(draw, kit, place)]
        what = f"{family.__name__}: {' '.join(word[:60] for word in words)}"
        forget_peak()
        before, started = resident_bytes(), time.process_time()
        broken = _broken(words, place)
        facts = {"processor seconds": time.process_time() - started, "MB more": (peak_bytes() - before) / 1e6}
        return Trial(number, what, broken, facts)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOESTRING_DATA", str(folder / "nothing"))
        patch.setenv("SHOESTRING_TRUST", str(folder / "trusted"))
        # A sweep is planned and checked, but its trainings, which may be any number, are left out.
        patch.setattr("shoestring.api.sweeps.run_sweep", _no_sweep)
        patch.setattr("socket.getaddrinfo", _no_network)
        patch.setattr("shoestring.data.download.time", SimpleNamespace(sleep=lambda _: None))
        yield from isolated(trial, numbers, SECONDS, EXTRA_BYTES)


def _no_sweep(*_: Any) -> dict[str, Any]:
    raise ShoestringError("trainings of sweeps are left out")


def _no_network(*_: Any, **__: Any) -> Any:
    raise socket.gaierror("there is no network")


def _broken(words: list[str], place: Path) -> str:
    out, said = io.StringIO(), io.StringIO()
    before = Path.cwd()
    try:
        os.chdir(place)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            status = main(words)
    except BaseException as error:
        return where(error)
    finally:
        os.chdir(before)
    if "Traceback (most recent call last)" in out.getvalue() + said.getvalue():
        return "a traceback was printed"
    if status == 1 and words[0] not in ("check", "inspect") and "error: " not in said.getvalue():
        return "it failed without an error message"
    return ""


# Families: each writes files that are almost right, and gives a command that reads them.


def recipe_file(draw: random.Random, kit: Kit, place: Path) -> Words:
    file = _recipe(draw, place, kit.recipe)
    if draw.random() < 0.1:
        return ["train", file, "--budget.steps", 1, "--run", place / "run", "--device", "cpu"]
    return ["show", file, *_json(draw)]


def recipe_on_a_base(draw: random.Random, kit: Kit, place: Path) -> Words:
    values = {"name": "mine", "base": draw.choice(("addnist-quick", "cifar100-flow-quick", "cifar100-gan-best"))}
    values |= {"budget": {"steps": 3}, "optimiser": {"learning_rate": 0.1}, "batch_size": 4, "ema": [0.9]}
    return ["show", _recipe(draw, place, values), *_json(draw)]


def options(draw: random.Random, kit: Kit, place: Path) -> Words:
    verb, target = draw.choice(
        (
            ("show", "addnist-quick"), ("show", "cifar100-gan-best"), ("predict", kit.run.folder),
            ("evaluate", kit.run.folder), ("sample", kit.gan.folder), ("report", kit.run.folder),
            ("inspect", kit.pictures), ("interpolate", kit.gan.folder),
            ("new", "mine.toml"), ("check", kit.run.folder), ("pack", kit.run.folder), ("promote", kit.gan.folder),
            ("list", ""), ("trust", kit.run.folder), ("export", kit.run.folder), ("nothing", ""),
        )
    )  # fmt: skip
    known = (
        "--count", "--seed", "--columns", "--top", "--split", "--ema-decay", "--class", "--out", "--base", "--size",
        "--budget.steps", "--net.width", "--batch-size", "--optimiser.learning-rate", "--data.tune", "--json",
        "--device", "--inception", "--pairs", "--steps",
        "--rules", "--level", "--seeds", "--net", "--task", "--data", "--augment",
        "--optimiser", "--schedule", "--sampling.truncation", "--to", "--help", "--data-folder", "--ema", "--name",
    )  # fmt: skip
    words = [verb, target]
    for _ in range(draw.randrange(4)):
        words.insert(draw.randrange(1, len(words) + 1), draw.choice(known))
        words.append(draw.choice((draw.choice(STRANGE), draw.randrange(-2, 70), draw.choice(known), "cpu")))
    plain = (str(word).replace("\x00", "0")[:200] for word in words)  # a command line holds no zero bytes
    return [word.encode(errors="replace").decode() for word in plain if word]


def image(draw: random.Random, kit: Kit, place: Path) -> Words:
    ending = draw.choice(list(kit.images))
    content = bytes_like(draw, kit.images[ending])
    if draw.random() < 0.05:
        ending, content = "png", draw.choice(PNG_CLAIMS)
    file = place / f"x.{ending}"
    file.write_bytes(content)
    return ["predict", kit.run.folder, file, *_json(draw)]


def images(draw: random.Random, kit: Kit, place: Path) -> Words:
    data = place / "data"
    for label in ("a", "b"):
        (data / label).mkdir(parents=True)
        for index in range(3):
            ending = draw.choice(list(kit.images))
            (data / label / f"{index}.{ending}").write_bytes(kit.images[ending])
    spoilt = draw.choice(sorted(data.glob("*/*")))
    spoilt.write_bytes(bytes_like(draw, spoilt.read_bytes()))
    if draw.random() < 0.2:
        recipe = tiny.changed(tiny.classifier(data), {"budget__steps": 1, "data__tune": 0}).to_json()
        (place / "mine.toml").write_text(tiny.toml(recipe))
        return ["train", place / "mine.toml", "--run", place / "run", *draw.choice(((), ("--skip-bad",)))]
    return ["inspect", data, *_json(draw)]


def label_table(draw: random.Random, kit: Kit, place: Path) -> Words:
    shutil.copytree(kit.pictures / "train", place / "files")
    rows = [f"{file.relative_to(place / 'files')},{file.parent.name}" for file in sorted(place.glob("files/*/*.png"))]
    text = text_like(draw, "\n".join(["file,label", *rows]) + "\n")
    (place / "files" / "labels.csv").write_bytes(text.encode(errors="surrogatepass"))
    return ["inspect", place / "files" / "labels.csv", *_json(draw)]


def array(draw: random.Random, kit: Kit, place: Path) -> Words:
    ending, content = draw.choice((("npy", _npy(kit.array)), ("npz", _npz(draw, kit.array))))
    content = bytes_like(draw, content)
    if draw.random() < 0.1:
        ending, content = draw.choice(ARRAY_CLAIMS)()
    file = place / f"x.{ending}"
    file.write_bytes(content)
    sets = [file, kit.good_array]
    draw.shuffle(sets)
    return ["evaluate", "--generated", sets[0], "--real", sets[1], "--inception", "none", "--count", 12, *_json(draw)]


def pickled(draw: random.Random, kit: Kit, place: Path) -> Words:
    home = place / "cifar-100-python"
    home.mkdir()
    labels = draw.choice(([0] * 12, list(range(12)), None, [[1], [2, 3]], "x"))
    data = draw.choice((kit.array.reshape(12, -1), np.array([object()]), kit.array.astype(float), [1, 2]))
    content = pickle.dumps({"data": data, "fine_labels": labels}, protocol=draw.randrange(6))
    (home / "test").write_bytes(bytes_like(draw, content))
    if draw.random() < 0.5:
        (home / "meta").write_bytes(bytes_like(draw, pickle.dumps({"fine_label_names": ["a", "b"]})))
    return ["evaluate", "cifar100-best-small", "--data-folder", place, *_json(draw)]


def idx(draw: random.Random, kit: Kit, place: Path) -> Words:
    raw = place / "MNIST" / "raw"
    raw.mkdir(parents=True)
    few = draw.choice((2, 10_000))
    contents = {
        "t10k-images-idx3-ubyte": struct.pack(">4i", 0x803, few, 28, 28) + bytes(few * 784 if few < 9 else 500),
        "t10k-labels-idx1-ubyte": struct.pack(">2i", 0x801, few) + bytes(few),
    }
    for name, content in contents.items():
        content = bytes_like(draw, content)
        packed = draw.random() < 0.5
        content = bytes_like(draw, zlib.compress(content, wbits=31)) if packed else content
        (raw / (f"{name}.gz" if packed else name)).write_bytes(content)
    return ["evaluate", "addnist-best-small", "--data-folder", place, *_json(draw)]


def parquet(draw: random.Random, kit: Kit, place: Path) -> Words:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as tables

    cells: Any = [{"bytes": kit.images["png"], "path": None}] * 4
    cells[draw.randrange(4)] = draw.choice(
        ({"bytes": None, "path": "x"}, {"bytes": bytes_like(draw, kit.images["png"]), "path": None})
    )
    names = draw.choice((("image", "label"), ("img", "fine_label"), ("image", "nothing")))
    labels = draw.choice(
        ([0, 1, 0, 1], ["a", "b", "a", "b"], [None, 1, 0, -1], [7, 8, 9, 10], [0.5, float("nan"), 1, 2])
    )
    data = place / "data"
    data.mkdir()
    table = pyarrow.table(dict(zip(names, (cells, labels), strict=True)))
    tables.write_table(table, data / "train-00000-of-00001.parquet")
    file = next(data.iterdir())
    if draw.random() < 0.7:
        file.write_bytes(bytes_like(draw, file.read_bytes()))
    if draw.random() < 0.3:
        (place / "cifar100").mkdir()
        file.rename(place / "cifar100" / "test-0.parquet")
        return ["evaluate", "cifar100-best-small", "--data-folder", place, *_json(draw)]
    return ["inspect", data, *_json(draw)]


def shards(draw: random.Random, kit: Kit, place: Path) -> Words:
    data = place / "data"
    data.mkdir()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for index in range(6):
            for ending, part in (("png", kit.images["png"]), ("cls", b"%d" % (index % 2))):
                part = bytes_like(draw, part) if draw.random() < 0.1 else part
                member = tarfile.TarInfo(
                    draw.choice((f"{index}.{ending}", f"{index}.{ending}", f"../{index}.{ending}"))
                )
                member.size = len(part)
                tar.addfile(member, io.BytesIO(part))
    whole = content.getvalue()
    (data / "train.tar").write_bytes(bytes_like(draw, whole) if draw.random() < 0.8 else whole)
    return ["inspect", data, *_json(draw)]


def weights(draw: random.Random, kit: Kit, place: Path) -> Words:
    run = _copy(kit.run, place)
    content = bytes_like(draw, run.weights_file.read_bytes())
    match draw.randrange(10):
        case 0:
            content = draw.choice(TENSOR_CLAIMS)
        case 1 | 2:
            tensors = run.read_weights()
            name = draw.choice(list(tensors))
            tensors[name] = draw.choice(
                (tensors[name].half(), tensors[name][None], tensors[name] * float("nan"), torch.zeros(0))
            )
            content = save(tensors)
    run.weights_file.write_bytes(content)
    verb = draw.choice(("predict", "predict", "evaluate", "check", "report", "pack"))
    more = [next(kit.pictures.glob("test/red/*"))] if verb == "predict" else []
    more += ["--rules", _rules(kit, place), "--level", draw.choice("123")] if verb == "check" else []
    more += ["--out", place / "x.safetensors"] if verb == "pack" else []
    return [verb, run.folder, *more, *_json(draw)]


def packed_run(draw: random.Random, kit: Kit, place: Path) -> Words:
    content = bytes_like(draw, kit.packed)
    start = 8 + int.from_bytes(kit.packed[:8], "little")
    if draw.random() < 0.7:
        header = json.loads(kit.packed[8:start])
        record = values_like(draw, json.loads(header["__metadata__"]["shoestring"]))
        try:
            header["__metadata__"]["shoestring"] = json.dumps(record)
            said = json.dumps(header).encode()
            content = len(said).to_bytes(8, "little") + said + kit.packed[start:]
        except (ValueError, TypeError, UnicodeError):
            pass
    file = place / "x.safetensors"
    file.write_bytes(content)
    if draw.random() < 0.3:
        return ["predict", file, next(kit.pictures.glob("test/red/*"))]
    return ["check", file, "--rules", _rules(kit, place), "--level", draw.choice("123"), *_json(draw)]


def checkpoint(draw: random.Random, kit: Kit, place: Path) -> Words:
    run = _copy(kit.unfinished, place)
    last = run.checkpoints.last()
    assert last is not None
    content = last.read_bytes()
    content = _spoilt_state(draw, content) if draw.random() < 0.3 else bytes_like(draw, content)
    last.unlink()
    sha256 = hashlib.sha256(content).hexdigest()[:16] if draw.random() < 0.9 else "0" * 16
    last.with_name(f"{last.stem.rpartition('-')[0]}-{sha256}.pt").write_bytes(content)
    if draw.random() < 0.5:
        return ["predict", run.folder, next(kit.pictures.glob("test/red/*")), *_json(draw)]
    return ["train", run.recipe_file, "--run", run.folder, "--device", "cpu"]


def inception(draw: random.Random, kit: Kit, place: Path) -> Words:
    some = {"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 3, 3, 3), "fc.bias": torch.zeros(2)}
    if draw.random() < 0.5:
        ending, content = "safetensors", save(some)
    else:
        buffer, ending = io.BytesIO(), "pth"
        torch.save(draw.choice((some, [1], {"x": 1}, {1: torch.zeros(2)})), buffer)
        content = buffer.getvalue()
    file = place / f"inception.{ending}"
    file.write_bytes(draw.choice(TENSOR_CLAIMS) if draw.random() < 0.1 else bytes_like(draw, content))
    return ["evaluate", "--generated", kit.good_array, "--real", kit.good_array, "--inception", file, *_json(draw)]


def own_net(draw: random.Random, kit: Kit, place: Path) -> Words:
    text = text_like(draw, own_parts.NET)
    (place / "my_net.py").write_bytes(text.encode(errors="surrogatepass"))
    (place / "mine.toml").write_text(tiny.toml(kit.recipe))
    name = draw.choice(("TinyNet", "TinyNet", "timm_style", "Attention", "nothing", "nn", "torch"))
    return ["show", place / "mine.toml", "--net", f"my_net.py:{name}", *_json(draw)]


def sweep_file(draw: random.Random, kit: Kit, place: Path) -> Words:
    table = values_like(draw, kit.sweep["sweep"]) if draw.random() < 0.7 else kit.sweep["sweep"]
    grid = {"sweep": table} if draw.random() < 0.9 else values_like(draw, {"sweep": table})
    return [
        "sweep",
        _written(draw, place, kit.recipe | grid),
        "--out",
        place / "sweep",
        "--device",
        "cpu",
        *_json(draw),
    ]


def sweep_folder(draw: random.Random, kit: Kit, place: Path) -> Words:
    home = place / "sweep"
    for name in ("base", "runs/point-0"):
        shutil.copytree(kit.run.folder, home / name)
    plan = {
        "format": 1,
        "grid": {"optimiser.learning_rate": [0.01]},
        "seeds": 1,
        "search": "grid",
        "measure": "accuracy",
    }
    (home / "sweep.json").write_text(_json_text(values_like(draw, {"plan": plan, "fingerprint": "x", "name": "x"})))
    return ["sweep", "--join", home]


def rules_file(draw: random.Random, kit: Kit, place: Path) -> Words:
    file = _recipe(draw, place, kit.rules)
    return draw.choice((["list", "--rules", file], ["check", kit.run.folder, "--rules", file, "--level", 1]))


def run_folder(draw: random.Random, kit: Kit, place: Path) -> Words:
    run = _copy(draw.choice((kit.run, kit.run, kit.gan, kit.unfinished)), place)
    for _ in range(draw.choice((1, 1, 2))):
        files = sorted(file for file in run.folder.rglob("*") if file.is_file())
        file = draw.choice([file for file in files if file.suffix in (".json", ".jsonl")] or files)
        match draw.randrange(6):
            case 0:
                draw.choice(files).unlink()
            case 1:
                file.write_bytes(bytes_like(draw, file.read_bytes()))
            case 2:
                file.unlink()
                file.mkdir()
            case 3 if file.suffix == ".jsonl":
                lines = [json.loads(line) for line in file.read_text().splitlines()]
                changed = values_like(draw, lines)
                file.write_text("\n".join(_json_text(x) for x in (changed if isinstance(changed, list) else [changed])))
            case _ if file.suffix == ".json":
                with contextlib.suppress(ValueError):  # it was spoilt before
                    file.write_text(_json_text(values_like(draw, json.loads(file.read_text()))))
    makes = run.folder.name == "gan"
    picture = next(kit.pictures.glob("test/red/*"))
    commands: list[Words] = [
        ["report", run.folder], ["report", run.folder, kit.run.folder, "--out", place / "both.html"],
        ["evaluate", run.folder, "--split", "tune"], ["pack", run.folder, "--out", place / "x.safetensors"],
        ["check", run.folder, "--rules", _rules(kit, place), "--level", 2], ["show", run.recipe_file],
        ["train", run.recipe_file, "--run", run.folder, "--device", "cpu"], ["trust", run.folder],
        ["sample", run.folder, "--count", 2] if makes else ["predict", run.folder, picture],
        ["promote", run.folder] if makes else ["predict", run.folder, picture, "--json"],
        ["export", run.folder, "--to", "torch"],
    ]  # fmt: skip
    return draw.choice(commands)


def older_run(draw: random.Random, kit: Kit, place: Path) -> Words:
    former = Path(__file__).parents[1] / "recipes" / "former"
    file = draw.choice(sorted(file for file in former.rglob("*") if file.suffix in (".json", ".toml")))
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json" and draw.random() < 0.6:
        text = _json_text(values_like(draw, json.loads(text)))
    else:
        text = text_like(draw, text)
    copy = place / f"recipe{file.suffix}"
    copy.write_bytes(text.encode(errors="surrogatepass"))
    return ["show", copy, *_json(draw)]


FAMILIES: tuple[Callable[[random.Random, Kit, Path], Words], ...] = (
    recipe_file, recipe_on_a_base, options, image, images, label_table, array, pickled, idx, parquet, shards, weights,
    packed_run, checkpoint, inception, own_net, sweep_file, sweep_folder, rules_file, run_folder, older_run, run_folder,
)  # fmt: skip


def _json(draw: random.Random) -> list[str]:
    return ["--json"] if draw.random() < 0.3 else []


def _copy(run: Run, place: Path) -> Run:
    return Run(Path(shutil.copytree(run.folder, place / run.folder.name)))


def _rules(kit: Kit, place: Path) -> Path:
    file = place / "rules.json"
    file.write_text(json.dumps(kit.rules))
    return file


def _recipe(draw: random.Random, place: Path, values: dict[str, Any]) -> Path:
    """A file of almost these values, or almost a file of these values."""
    if draw.random() < 0.7:
        return _written(draw, place, values_like(draw, values))
    file = _written(draw, place, values)
    file.write_bytes(text_like(draw, file.read_text()).encode(errors="surrogatepass"))
    return file


def _written(draw: random.Random, place: Path, values: Any) -> Path:
    with contextlib.suppress(TypeError, ValueError, AttributeError, RecursionError):
        if draw.random() < 0.6:
            file = place / "mine.toml"
            file.write_bytes(tomli_w.dumps(_without_none(values)).encode())
            return file
    file = place / "mine.json"
    file.write_text(_json_text(values))
    return file


def _without_none(values: Any) -> Any:
    if isinstance(values, dict):
        return {key: _without_none(value) for key, value in values.items() if value is not None}
    return [_without_none(value) for value in values if value is not None] if isinstance(values, list) else values


def _json_text(values: Any) -> str:
    try:
        return json.dumps(values)  # NaN, infinity and lone surrogates too, as Python writes them
    except (ValueError, RecursionError):  # it came to hold itself
        return "{}"


def _encoded(pixels: np.ndarray[Any, Any], form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def _npy(values: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _npz(draw: random.Random, values: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    save_array = draw.choice((np.savez, np.savez_compressed))
    save_array(buffer, **{draw.choice(("images", "samples", "x")): values})
    return buffer.getvalue()


def _spoilt_state(draw: random.Random, content: bytes) -> bytes:
    state = torch.load(io.BytesIO(content), weights_only=True)
    match draw.randrange(6):
        case 0:
            state = draw.choice(([], 1, {}, {"step": 1}, torch.zeros(1)))
        case 1:
            del state[draw.choice(list(state))]
        case 2:
            state[draw.choice(list(state))] = draw.choice((None, -1, 10**9, {}, [], "x"))
        case 3:
            nets = state["nets"]
            nets[draw.choice(list(nets))] = torch.zeros(1)
        case 4:
            state["optimisers"] = {"classifier": {"state": {}, "param_groups": []}}
        case _:
            state["step"] = draw.choice((-1, 0, 99, 1.5, "3"))
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _png(width: int, height: int, content: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", content or zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


PNG_CLAIMS = (
    _png(100_000, 100_000), _png(2**31 - 1, 1), _png(1, 2**31 - 1), _png(0, 5),
    _png(20_000, 8_000, zlib.compress(bytes(50_000_000))),
    _png(8, 8)[:-12] + struct.pack(">I", 30) + b"zTXt" + b"a\0\0" + zlib.compress(bytes(10**8), 9)[:27] + b"0000",
)  # fmt: skip
TENSOR_CLAIMS = (
    (2**30).to_bytes(8, "little") + b"{", (2**63).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}",
    (90).to_bytes(8, "little")
    + b'{"x":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'.ljust(90),
    (70).to_bytes(8, "little") + b'{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}'.ljust(70) + b"0000",
    b"",
)  # fmt: skip


def _claimed_array(shape: str, kind: str = "|u1") -> tuple[str, bytes]:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return "npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(100)


def _zip_bomb() -> tuple[str, bytes]:
    """An archive of 50 kB with 50 MB of zeros, of 12 GB that it claims."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("images.npy", _claimed_array("(4000, 3, 1024, 1024)")[1] + bytes(50_000_000))
    return "npz", buffer.getvalue()


ARRAY_CLAIMS: tuple[Callable[[], tuple[str, bytes]], ...] = (
    lambda: _claimed_array("(1000000, 3, 10000, 10000)"),
    lambda: _claimed_array("(4, 3, 8, 8)", "|O"),
    lambda: _claimed_array("(-4, 3, 8, 8)"),
    lambda: _claimed_array("(4, 3, 8, 8), 'x': ().__class__"),
    _zip_bomb,
)  # fmt: skip
