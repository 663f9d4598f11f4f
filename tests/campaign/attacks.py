"""Files cannot run code: attacks by hand, each of which would leave a mark if it worked."""

import contextlib
import hashlib
import html.parser
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from campaign.trials import Trial, forked, where
from shoestring import api
from shoestring.cli.main import main
from shoestring.core.packed import KEY, record_of
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.core.tensor_files import tensor_bytes

PROMISE = "files cannot run code"
SCRIPT = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Mark:
    """Unpickled, it leaves the mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


class Kit:
    """Where attacks lie, the mark that none may leave, and honest runs to spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / "it-ran"
        self.place = folder / "attack"
        self.pictures = tiny.write_pictures(folder / "pictures", train=3, test=2)
        recipe = tiny.classifier(self.pictures, budget__steps=2, data__tune=3, cadence__checkpoint=1)
        self.run = api.train(recipe, folder / "honest", device="cpu", progress=Progress())
        self.image = next((self.pictures / "test" / "red").iterdir())
        self.array = folder / "good.npy"
        np.save(self.array, np.zeros((12, 3, 8, 8), np.uint8))

    @property
    def code(self) -> str:
        """A file of code that leaves the mark when it is run."""
        return f"import pathlib\npathlib.Path({str(self.mark)!r}).mkdir(exist_ok=True)\nclass Net: pass\n"

    def copy(self) -> Run:
        """An honest run, to spoil."""
        return Run(Path(shutil.copytree(self.run.folder, self.place / "run")))

    def checkpoint(self, state: bytes) -> Run:
        """A run that is not finished, whose last checkpoint is this."""
        run = self.copy()
        for file in (run.weights_file, run.folder / "metrics.json", run.folder / "samples" / "pictures.json"):
            file.unlink(missing_ok=True)
        name = f"step-00000002-{hashlib.sha256(state).hexdigest()[:16]}.pt"
        (run.folder / "checkpoints" / name).write_bytes(state)
        return run

    def recipe_that_names(self, kind: str, part: str = "net", **more: Any) -> Run:
        """A run whose recipe names code."""
        run = self.copy()
        values = run.read_json("recipe.json")
        run.write_json("recipe.json", values | {part: {"kind": kind} | more})
        return run


Attack = Callable[[Kit], list[list[Any]]]
"""Writes its files, and gives the commands of a victim."""


def _pickled(kit: Kit, protocol: int = 4) -> bytes:
    return pickle.dumps({"data": Mark(kit.mark), "fine_labels": []}, protocol)


def cifar_pickle(kit: Kit) -> list[list[Any]]:
    home = kit.place / "cifar-100-python"
    home.mkdir()
    (home / "test").write_bytes(_pickled(kit))
    return [["evaluate", "cifar100-best-small", "--data-folder", kit.place]]


def cifar_pickle_of_protocol_0(kit: Kit) -> list[list[Any]]:
    home = kit.place / "cifar-100-python"
    home.mkdir()
    (home / "test").write_bytes(f"cos\nmkdir\n(S'{kit.mark}'\ntR.".encode())
    return [["evaluate", "cifar100-best-small", "--data-folder", kit.place]]


def cifar_meta(kit: Kit) -> list[list[Any]]:
    home = kit.place / "cifar-100-python"
    home.mkdir()
    (home / "meta").write_bytes(_pickled(kit, 2))
    (home / "test").write_bytes(pickle.dumps({}))
    return [["evaluate", "cifar100-best-small", "--data-folder", kit.place]]


def pickle_that_builds_on_a_stand_in(kit: Kit) -> list[list[Any]]:
    home = kit.place / "cifar-100-python"
    home.mkdir()
    # numpy.dtype is known; its attributes are asked for with a dotted name, as protocol 4 allows.
    content = b"\x80\x04\x8c\x05numpy\x8c\x1edtype.__init__.__globals__\x93\x94."
    (home / "test").write_bytes(content)
    return [["evaluate", "cifar100-best-small", "--data-folder", kit.place]]


def checkpoint_with_code(kit: Kit) -> list[list[Any]]:
    buffer = io.BytesIO()
    torch.save({"step": 2, "nets": Mark(kit.mark)}, buffer)
    run = kit.checkpoint(buffer.getvalue())
    return [["predict", run.folder, kit.image], ["train", run.recipe_file, "--run", run.folder]]


def checkpoint_in_the_old_format(kit: Kit) -> list[list[Any]]:
    buffer = io.BytesIO()
    torch.save({"step": 2, "nets": Mark(kit.mark)}, buffer, _use_new_zipfile_serialization=False)
    run = kit.checkpoint(buffer.getvalue())
    return [["predict", run.folder, kit.image]]


def checkpoint_that_is_a_bare_pickle(kit: Kit) -> list[list[Any]]:
    run = kit.checkpoint(_pickled(kit))
    return [["predict", run.folder, kit.image]]


def checkpoint_that_is_torchscript(kit: Kit) -> list[list[Any]]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("archive/data.pkl", _pickled(kit))
        file.writestr("archive/constants.pkl", _pickled(kit))
        file.writestr("archive/version", "3")
    run = kit.checkpoint(buffer.getvalue())
    return [["predict", run.folder, kit.image]]


def checkpoint_of_a_submission(kit: Kit) -> list[list[Any]]:
    buffer = io.BytesIO()
    torch.save({"step": 2, "nets": Mark(kit.mark)}, buffer)
    run = kit.copy()
    last = run.checkpoints.last()
    assert last is not None
    last.write_bytes(buffer.getvalue())
    rules = kit.place / "rules.json"
    limits = {"parameters": 2000, "steps": 12}
    rules.write_text(json.dumps({"name": "x", "classifier": limits, "data": run.read_recipe()["data"]}))
    return [["check", run.folder, "--rules", rules, "--level", 4]]


def inception_with_code(kit: Kit) -> list[list[Any]]:
    file = kit.place / "inception.pth"
    torch.save({"x": Mark(kit.mark)}, file)
    return [["evaluate", "--generated", kit.array, "--real", kit.array, "--inception", file]]


def weights_that_are_a_pickle(kit: Kit) -> list[list[Any]]:
    run = kit.copy()
    run.weights_file.write_bytes(_pickled(kit))
    return [["predict", run.folder, kit.image], ["evaluate", run.folder]]


def array_of_objects(kit: Kit) -> list[list[Any]]:
    file = kit.place / "x.npy"
    np.save(file, np.array([Mark(kit.mark)], dtype=object), allow_pickle=True)
    return [["evaluate", "--generated", file, "--real", kit.array, "--inception", "none"]]


def archive_of_objects(kit: Kit) -> list[list[Any]]:
    file = kit.place / "x.npz"
    np.savez(file, images=np.array([Mark(kit.mark)], dtype=object))
    return [["evaluate", "--generated", kit.array, "--real", file, "--inception", "none"]]


def array_that_is_a_pickle(kit: Kit) -> list[list[Any]]:
    file = kit.place / "x.npy"
    file.write_bytes(_pickled(kit))
    return [["evaluate", "--generated", file, "--real", kit.array, "--inception", "none"]]


def header_of_an_array_with_code(kit: Kit) -> list[list[Any]]:
    file = kit.place / "x.npy"
    head = (
        f"{{'descr': __import__('os').mkdir('{kit.mark}'), 'fortran_order': False, 'shape': (1,), }}".ljust(250) + "\n"
    )
    file.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    return [["evaluate", "--generated", file, "--real", kit.array, "--inception", "none"]]


def run_that_names_a_file(kit: Kit) -> list[list[Any]]:
    run = kit.recipe_that_names("evil.py:Net")
    run.write_bytes("source/evil.py", kit.code.encode())
    run.write_bytes("evil.py", kit.code.encode())
    return _all_of(run, kit)


def run_that_names_a_file_with_its_hash(kit: Kit) -> list[list[Any]]:
    digest = hashlib.sha256(kit.code.encode()).hexdigest()
    run = kit.recipe_that_names("evil.py:Net", source=digest, options={})
    run.write_bytes("source/evil.py", kit.code.encode())
    record = {"kind": "evil.py:Net", "sha256": digest, "file": "source/evil.py", "origin": None}
    run.write_json("source.json", {"net": record})
    return _all_of(run, kit)


def run_that_names_a_function_of_python(kit: Kit) -> list[list[Any]]:
    return _all_of(kit.recipe_that_names("subprocess:getoutput", options={"cmd": f"mkdir {kit.mark}"}), kit)


def run_that_names_a_builtin(kit: Kit) -> list[list[Any]]:
    return _all_of(kit.recipe_that_names("os:system", options={"command": f"mkdir {kit.mark}"}), kit)


def run_whose_data_are_code(kit: Kit) -> list[list[Any]]:
    run = kit.recipe_that_names("evil.py:data", part="data", options={})
    run.write_bytes("source/evil.py", kit.code.encode())
    return _all_of(run, kit)


def run_whose_optimiser_is_beside_torch(kit: Kit) -> list[list[Any]]:
    return _all_of(
        kit.recipe_that_names("torch.optim.os:mkdir", part="optimiser", options={"path": str(kit.mark)}), kit
    )


def run_whose_schedule_is_a_short_form(kit: Kit) -> list[list[Any]]:
    run = kit.copy()
    run.write_bytes("source/evil.py", kit.code.encode())
    run.write_json("recipe.json", run.read_json("recipe.json") | {"schedule": f"{run.folder}/source/evil.py:Net"})
    return _all_of(run, kit)


def run_with_a_kept_file_elsewhere(kit: Kit) -> list[list[Any]]:
    other = kit.place / "evil.py"
    other.write_text(kit.code)
    digest = hashlib.sha256(kit.code.encode()).hexdigest()
    run = kit.recipe_that_names("evil.py:Net", source=digest, options={})
    record = {"kind": "evil.py:Net", "sha256": digest, "file": "../../evil.py", "origin": str(other)}
    run.write_json("source.json", {"net": record})
    return _all_of(run, kit)


def packed_run_with_code(kit: Kit) -> list[list[Any]]:
    record = json.loads(json.dumps(record_of(kit.run).to_json()))
    record["files"]["recipe.json"]["net"] = {"kind": "evil.py:Net"}
    record["source"] = {"evil.py": kit.code}
    file = kit.place / "x.safetensors"
    file.write_bytes(tensor_bytes(kit.run.read_weights(), {KEY: json.dumps(record)}))
    return [["predict", file, kit.image], ["check", file], ["report", file, "--out", kit.place / "x.html"]]


def packed_run_that_writes_elsewhere(kit: Kit) -> list[list[Any]]:
    record = json.loads(json.dumps(record_of(kit.run).to_json()))
    record["source"] = {f"../../../{kit.mark.name}": "", "..py": ""}
    record["files"] |= {f"../../{kit.mark.name}": {}}
    file = kit.place / "x.safetensors"
    file.write_bytes(tensor_bytes(kit.run.read_weights(), {KEY: json.dumps(record)}))
    return [["predict", file, kit.image], ["check", file]]


def archive_with_a_way_out(kit: Kit) -> list[list[Any]]:
    from shoestring.core.errors import DataError
    from shoestring.data.cifar100 import unpack

    file = kit.place / "cifar-100-python.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name in ("cifar-100-python/train", f"../{kit.mark.name}", "cifar-100-python/test"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = (tarfile.SYMTYPE, str(kit.mark)) if name.endswith("train") else (b"0", "")
            tar.addfile(member, io.BytesIO(b""))
    with contextlib.suppress(DataError):
        unpack(file, kit.place / "cifar-100-python", Progress())
    return []


def shard_with_a_way_out(kit: Kit) -> list[list[Any]]:
    data = kit.place / "data"
    data.mkdir()
    with tarfile.open(data / "train.tar", "w") as tar:
        for index in range(4):
            for name, content in (
                (f"../../{kit.mark.name}{index}.png", kit.image.read_bytes()),
                (f"{index}.cls", b"0"),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return [["inspect", data]]


def image_that_is_postscript(kit: Kit) -> list[list[Any]]:
    file = kit.place / "x.eps"
    file.write_bytes(
        f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%mkdir {kit.mark}) (w) file\n%%EOF\n".encode()
    )
    return [["predict", kit.run.folder, file]]


def submission_of_code(kit: Kit) -> list[list[Any]]:
    folder = kit.place / "handed-in"
    folder.mkdir()
    (folder / "evil.py").write_text(kit.code)
    (folder / "model.pt").write_bytes(_pickled(kit))
    (folder / "model.pkl").write_bytes(_pickled(kit))
    (folder / "conftest.py").write_text(kit.code)
    return [["check", folder / "model.pt"], ["check", folder / "evil.py"], ["check", folder / "model.pkl"]]


def file_named_as_an_option(kit: Kit) -> list[list[Any]]:
    shutil.copy(kit.image, kit.place / "--net=evil.py:Net")
    (kit.place / "evil.py").write_text(kit.code)
    return [["predict", kit.run.folder, "--net=evil.py:Net"], ["predict", kit.run.folder, "./--net=evil.py:Net"]]


def modules_beside_the_data(kit: Kit) -> list[list[Any]]:
    data = shutil.copytree(kit.pictures, kit.place / "data")
    for name in ("__init__.py", "conftest.py", "numpy.py", "torch.py", "sitecustomize.py"):
        (data / name).write_text(kit.code)
    return [["inspect", data]]


def report_of_names_with_script(kit: Kit) -> list[list[Any]]:
    run = kit.copy()
    classes = [SCRIPT, "javascript:alert(1)", "</title><script>alert(2)</script>"]
    run.write_json("classes.json", classes)
    values = run.read_json("recipe.json")
    values |= {"name": "x</title><script>alert(3)<!--", "summary": SCRIPT}
    values["data"]["names"] = classes
    run.write_json("recipe.json", values)
    run.write_captions([{"file": SCRIPT, "title": SCRIPT, "caption": SCRIPT}])
    environment = run.read_json("environment.json")
    run.write_json("environment.json", environment | {"system": SCRIPT, "commit": SCRIPT})
    run.write_json("overrides.json", {SCRIPT: [SCRIPT, SCRIPT]})
    return [["report", run.folder, "--out", kit.place / "report.html"]]


def page_of_names_with_script(kit: Kit) -> list[list[Any]]:
    data = kit.place / "data"
    for name in ("<script>alert(1)<", "@@SCRIPT@@", '"onload="alert(1)'):
        for part in ("train", "test"):
            shutil.copytree(kit.pictures / part / "red", data / part / name)
    recipe = tiny.classifier(data, budget__steps=1, data__tune=3)
    run = api.train(recipe, kit.place / "@@FACTS@@<script>", device="cpu", progress=Progress())
    return [["export", run.folder, "--to", "web"], ["report", run.folder, "--out", kit.place / "report.html"]]


def _all_of(run: Run, kit: Kit) -> list[list[Any]]:
    """Whatever reads a run that was handed on; `train` and `show` of its recipe are the user's word for its code."""
    image = kit.image
    return [
        ["predict", run.folder, image], ["evaluate", run.folder], ["report", run.folder, "--out", kit.place / "x.html"],
        ["pack", run.folder, "--out", kit.place / "x.safetensors"], ["check", run.folder], ["promote", run.folder],
        ["export", run.folder, "--to", "web"], ["list"],
    ]  # fmt: skip


ATTACKS: tuple[Attack, ...] = (
    cifar_pickle, cifar_pickle_of_protocol_0, cifar_meta, pickle_that_builds_on_a_stand_in, checkpoint_with_code,
    checkpoint_in_the_old_format, checkpoint_that_is_a_bare_pickle, checkpoint_that_is_torchscript,
    checkpoint_of_a_submission, inception_with_code, weights_that_are_a_pickle, array_of_objects, archive_of_objects,
    array_that_is_a_pickle, header_of_an_array_with_code, run_that_names_a_file, run_that_names_a_file_with_its_hash,
    run_that_names_a_function_of_python, run_that_names_a_builtin, run_whose_data_are_code,
    run_whose_optimiser_is_beside_torch, run_whose_schedule_is_a_short_form, run_with_a_kept_file_elsewhere,
    packed_run_with_code, packed_run_that_writes_elsewhere, archive_with_a_way_out, shard_with_a_way_out,
    image_that_is_postscript, submission_of_code, file_named_as_an_option, modules_beside_the_data,
    report_of_names_with_script, page_of_names_with_script,
)  # fmt: skip
ASKED = len(ATTACKS)


def trials(folder: Path, seed: int, numbers: Iterable[int]) -> Iterator[Trial]:
    """A trial is an attack: no mark, no traceback, and no script in a page that the package did not write."""
    del seed  # nothing is drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOESTRING_TRUST", str(folder / "trusted"))
        patch.setenv("SHOESTRING_DATA", str(folder / "nothing"))
        kit = Kit(folder)
        for number in numbers:
            attack = ATTACKS[number]
            shutil.rmtree(kit.place, ignore_errors=True)
            kit.place.mkdir()
            status, found = forked(lambda attack=attack: _tried(kit, attack), 300)
            broken = f"its process ended with status {status}" if found is None else found
            if kit.mark.exists() or list(folder.glob(f"{kit.mark.name}*")):
                broken = "its code ran"
                for left in folder.glob(f"{kit.mark.name}*"):
                    shutil.rmtree(left, ignore_errors=True)
            yield Trial(number, attack.__name__, broken)


def _tried(kit: Kit, attack: Attack) -> str:
    os.chdir(kit.place)
    for words in attack(kit):
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                main([str(word) for word in words] + (["--device", "cpu"] if words[0] != "list" else []))
        except BaseException as error:
            return f"{words[0]}: {where(error)}"
    for page in kit.place.rglob("*.html"):
        if found := foreign_script(page.read_text(encoding="utf-8")):
            return f"{page.name}: {found}"
    return ""


def foreign_script(text: str) -> str:
    """What in a page came from a name and could run; empty where there is nothing."""
    page = _Page()
    page.feed(text)
    return "; ".join(page.found)


class _Page(html.parser.HTMLParser):
    """Looks for elements, attributes and addresses that only names could have brought."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        for name, value in attributes:
            address = name in ("href", "src", "action") and (value or "").strip().lower().startswith("javascript:")
            if name.startswith("on") or address:
                self.found.append(f"<{tag} {name}={value!r}>")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script" and "alert(" in data and "\\u003c" not in data:
            self.found.append(f"a script holds {data[:60]!r}")
