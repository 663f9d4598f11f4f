"""`shoestring evaluate` as its users meet it: runs of generators, folders of pictures, and what is wrong with them."""

import functools
import json

import numpy as np
import pytest
import tiny
import torch

from shoestring import api
from shoestring.cli.main import main
from shoestring.core.errors import RecipeError
from shoestring.core.image_grid import to_pil
from shoestring.core.run import Run
from shoestring.data.download import fetch
from shoestring.evaluation import extractors
from shoestring.metrics.features.extractor import FunctionExtractor
from shoestring.metrics.features.inception import OFFICIAL_FILE


def noise(count, seed, side=16):
    return torch.randint(256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def write(folder, images):
    folder.mkdir()
    for index, image in enumerate(images):
        to_pil(image).save(folder / f"{index:03d}.png")
    return str(folder)


@pytest.fixture
def sets(tmp_path):
    """Generated, real and further real pictures, as folders."""
    return [write(tmp_path / name, noise(55, seed)) for seed, name in enumerate(("generated", "real", "further"))]


@pytest.fixture
def say(tmp_path, capsys):
    """Runs `shoestring evaluate` in a data folder of its own; gives status, JSON and messages."""

    def run(*words):
        status = main(
            ["evaluate", *map(str, words), "--json", "--device", "cpu", "--data-folder", str(tmp_path / "data")]
        )
        captured = capsys.readouterr()
        return status, json.loads(captured.out) if captured.out else None, captured.err

    return run


@pytest.fixture
def stand_in(monkeypatch):
    """A projection in place of Inception, whose layers would take a minute."""
    weights = torch.randn(3 * 4 * 4, 4, generator=torch.Generator().manual_seed(0)) / 50

    def function(images):
        return torch.nn.functional.adaptive_avg_pool2d(images.float(), 4).flatten(1) @ weights

    def opened(file, folder, dimensions, resizing, device, progress):
        return FunctionExtractor("stand-in", 4, "0" * 12, function, resizing)

    monkeypatch.setattr(extractors, "open_inception", opened)


def test_folders_give_numbers_that_arrays_of_the_same_images_give(sets, say, stand_in, tmp_path):
    status, found, _ = say("--generated", sets[0], "--real", sets[1], "--real-baseline", sets[2])
    assert status == 0
    assert (found["fid_4_clean"]["n"], found["fid_4_clean"]["n_real"]) == (55, 55)
    assert found["fid_4_clean"]["gap_to_real"] == found["fid_4_clean"]["value"] - found["fid_4_clean"]["real_baseline"]
    np.save(tmp_path / "generated.npy", noise(55, 0).permute(0, 2, 3, 1).numpy())
    np.savez(tmp_path / "real.npz", images=noise(55, 1).numpy())
    _, again, said = say("--generated", tmp_path / "generated.npy", "--real", tmp_path / "real.npz")
    assert again["fid_4_clean"]["value"] == found["fid_4_clean"]["value"]
    assert again["fid_4_clean"]["real_baseline"] is None
    assert "no baseline" in said


def test_real_against_themselves_is_zero_and_legacy_is_named(sets, say, stand_in):
    _, found, _ = say("--generated", sets[1], "--real", sets[1], "--real-baseline", sets[2], "--resizing", "legacy")
    assert found["fid_4_legacy"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["fid_4_legacy"]["real_baseline"] > 0
    assert "fid_4_clean" not in found
    assert found["recall_4_legacy"]["value"] == 1


def test_a_floor_is_never_of_the_real_images_themselves(sets, say, stand_in, tmp_path):
    _, alone, _ = say("--generated", sets[0], "--real", sets[1], "--real-baseline", sets[2])
    both = torch.cat((noise(55, 1), noise(55, 2)))
    np.save(tmp_path / "both.npy", both.numpy())
    _, found, said = say("--generated", sets[0], "--real", sets[1], "--real-baseline", tmp_path / "both.npy")
    assert found == alone
    assert "55 images of" in said
    _, found, said = say("--generated", sets[0], "--real", sets[1], "--real-baseline", sets[1])
    assert found["fid_4_clean"]["real_baseline"] is None
    assert "no baseline: it needs 55 further real images, and there are 0" in said


def test_without_inception_all_else_is_measured(sets, say):
    status, found, _ = say("--generated", sets[0], "--real", sets[1], "--inception", "none")
    assert status == 0
    assert found["high_frequency_energy"]["value"] == pytest.approx(1, abs=0.1)
    assert not any(name.startswith(("fid", "kid")) for name in found)


def test_a_run_is_measured_and_recorded(say, stand_in, tmp_path):
    pictures = tiny.write_pictures(tmp_path / "pictures", train=20, test=18, size=32)
    run = api.train(tiny.gan(pictures, budget__steps=2), tmp_path / "run", device="cpu")
    status, found, _ = say(run.folder, "--seeds", 2, "--count", 50)
    assert status == 0
    recorded = Run(tmp_path / "run").metrics()
    assert found["fid_4_clean"] == {key: recorded["test"]["fid_4_clean"][key] for key in found["fid_4_clean"]}
    assert recorded["test"]["fid_4_clean"]["n"] == 50
    assert len(recorded["test"]["fid_4_clean"]["by_seed"]) == 2
    assert found["train/fid_4_clean"]["value"] == recorded["train"]["fid_4_clean"]["value"]
    assert "cifar_resnet_fd" in recorded["test"]  # 3x32x32, which the shipped classifier sees
    page = api.write_report([run]).read_text(encoding="utf-8")
    assert "FID (4, clean)" in page
    assert "Classes of the samples" in page
    assert "Nearest training images" in page
    assert "gap_to_real" in page


def test_train_is_not_shown_twice(say, stand_in, tmp_path):
    pictures = tiny.write_pictures(tmp_path / "pictures", train=36, test=18, size=32)
    run = api.train(tiny.gan(pictures, budget__steps=2), tmp_path / "run", device="cpu")
    status, found, _ = say(run.folder, "--split", "train", "--count", 50)
    assert status == 0
    assert "fid_4_clean" in found
    assert not any(name.startswith("train/") for name in found)


def test_what_is_no_picture_and_mixed_sizes_are_refused(sets, say, tmp_path):
    bad = tmp_path / "generated" / "010.png"
    whole = bad.read_bytes()
    bad.write_bytes(b"GIF89a")
    status, found, said = say("--generated", sets[0], "--real", sets[1], "--inception", "none")
    assert (status, found) == (1, None)
    assert "010.png cannot be read as an image" in said
    bad.write_bytes(whole[: len(whole) // 2])
    assert "010.png cannot be read" in say("--generated", sets[0], "--real", sets[1], "--inception", "none")[2]
    to_pil(noise(1, 0, side=8)[0]).save(bad)
    assert "010.png is 8x8" in say("--generated", sets[0], "--real", sets[1], "--inception", "none")[2]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("generated", "said"),
    [
        (noise(55, 0, side=8).numpy(), "generated images are 3x8x8, real ones 3x16x16"),
        (noise(9, 0).numpy(), "9 images are too few"),
        (noise(55, 0).float().numpy(), "must be uint8"),
        (np.full((55, 3, 16, 16), np.nan), "NaN"),
        (noise(55, 0)[:, :2].numpy(), "1 or 3 channels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_nothing_written(sets, say, tmp_path, generated, said):
    np.save(tmp_path / "x.npy", generated)
    status, found, message = say("--generated", tmp_path / "x.npy", "--real", sets[1])
    assert (status, found) == (1, None)
    assert said in " ".join(message.split())
    assert not (tmp_path / "data").exists()


def test_unknown_sets_and_counts_beyond_them_are_refused(sets, say, stand_in):
    assert "cifar100:test" in say("--generated", sets[0], "--real", "nowhere")[2]
    assert "did you mean 'cifar100'" in say("--generated", sets[0], "--real", "cifar10:test")[2]
    assert "smaller of the two sets has 55" in say("--generated", sets[0], "--real", sets[1], "--count", 56)[2]


def test_an_inception_file_of_another_checksum_is_refused(sets, say, tmp_path):
    official = tmp_path / "data" / "inception" / OFFICIAL_FILE
    official.parent.mkdir(parents=True)
    official.write_bytes(b"damaged")
    status, found, said = say("--generated", sets[0], "--real", sets[1])
    assert (status, found) == (1, None)
    assert "is not the expected file (sha256" in said
    assert [path.name for path in (tmp_path / "data").rglob("*") if path.is_file()] == [OFFICIAL_FILE]
    status, _, said = say("--generated", sets[0], "--real", sets[1], "--inception", official)
    assert status == 1
    assert "sha256" in said
    status, _, said = say("--generated", sets[0], "--real", sets[1], "--inception", tmp_path / "absent.pth")
    assert status == 1
    assert "cannot be read" in said


def test_without_a_network_the_remedy_is_named(sets, say, monkeypatch, tmp_path):
    monkeypatch.setattr(extractors, "OFFICIAL_URL", "http://127.0.0.1:9/inception.pth")
    monkeypatch.setattr(extractors, "fetch", functools.partial(fetch, attempts=1))
    status, found, said = say("--generated", sets[0], "--real", sets[1])
    assert (status, found) == (1, None)
    assert "--inception FILE" in said
    assert "--inception none" in said
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_none_tells_no_class_even_where_a_class_is_called_so(say, monkeypatch, gan_run):
    told = []

    def stop(*given):
        told.append(given[-2])
        raise RecipeError("far enough")

    monkeypatch.setattr("shoestring.evaluation.evaluate.evaluate_generator", stop)
    assert say(gan_run.folder, "--class", "none")[0] == 1
    assert say(gan_run.folder)[0] == 1
    assert told == ["", None]


def test_options_that_do_not_go_together_are_refused(sets, say):
    assert "both --generated and --real" in say("--generated", sets[0])[2]
    assert "both --generated and --real" in say("run", "--generated", sets[0], "--real", sets[1])[2]
    assert "name what to evaluate" in say()[2]
    assert "Unrecognized options" in say("--generated", sets[0], "--real", sets[1], "--seeds", 2)[2]
