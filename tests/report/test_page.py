import base64
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from fake_runs import CLASSIFIER, classifier, generator, images, layers

from shoestring.core.errors import RunError
from shoestring.core.run import Run
from shoestring.report.page import build

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """The elements of a page; fails on elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.tables, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def row(self, name):
        return next(row[1:] for table in self.tables for row in table if row and row[0] == name)


def page(runs, tmp_path):
    return Page(build(runs, tmp_path / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    return classifier(tmp_path_factory.mktemp("runs") / "resnet")


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory):
    return generator(tmp_path_factory.mktemp("runs") / "dcgan", steps=10_000)


@pytest.fixture(scope="module")
def both(resnet, dcgan, tmp_path_factory):
    return build([resnet, dcgan], tmp_path_factory.mktemp("page") / "report.html").read_text(encoding="utf-8")


def test_page_needs_nothing_but_itself(both):
    made = Page(both)
    links = [value for _, attributes in made.elements for name, value in attributes.items() if name in ("src", "href")]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"https?://|@import|url\((?!#)", both)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in made.elements}
    ids = [attributes["id"] for _, attributes in made.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_every_picture_can_be_heard(both):
    made = Page(both)
    assert len(made.all("img")) == 4 + 3  # mistakes; samples, interpolations, picked; three steps
    assert all(len(image["alt"]) > 5 for image in made.all("img"))
    assert made.all("svg")
    assert all(drawing["role"] == "img" and len(drawing["aria-label"]) > 20 for drawing in made.all("svg"))


def test_tables_hold_the_numbers(resnet, tmp_path):
    made = page([resnet], tmp_path)
    assert next(row[2:4] for table in made.tables for row in table if row[:2] == ["test", "accuracy"]) == [
        "50.10 %",
        "49.1 to 51.1 %",
    ]
    assert made.row("classifier.block3.convolution")[:3] == ["Conv2d 3x3 s1", "32 × 16 × 16", "59,776"]
    assert made.row("total")[1:3] == ["99,364", "100.0 %"]
    assert made.row("ant")[0] == "10.0 %"
    assert "1 h 02 min" in made.text  # 3,750 seconds in two sessions
    assert len(made.all("h1")) == 1


def test_nets_are_summed_one_by_one(dcgan, tmp_path):
    made = page([dcgan], tmp_path)
    assert made.row("generator")[1] == "652,749"
    assert made.row("discriminator")[1] == "345,804"
    assert made.row("total")[1] == "998,553"
    assert "What the discriminator believes" in made.text
    assert any("at the end they have gone 50.0 % of the way" in text for text in made.text)
    assert "picked by discriminator score, best 16 of 1,024" in made.text


def test_several_runs_stand_side_by_side(resnet, dcgan, tmp_path):
    second = classifier(tmp_path / "resnet", classes=4, seed=8, batch_size=512)
    second.write_metrics("test", {"accuracy": {"value": 0.573, "n": 10_000, "interval": [0.563, 0.583]}})
    made = page([resnet, second, dcgan], tmp_path)
    assert made.tables[0][0] == ["quantity", "resnet", "resnet (2)", "dcgan"]
    assert made.row("test accuracy") == ["50.1 %", "57.3 %", "–"]
    assert made.row("test FID") == ["–", "–", "41.25"]
    assert made.row("train–test gap") == ["+2.7 points", "−4.5 points", "–"]
    assert made.row("parameters used")[2] == "998,553 of 1,000,000 (99.9 %)"
    assert made.row("batch_size") == ["64", "512", "64"]
    assert made.row("seed") == ["7", "8", "7"]
    assert not any(row[0] == "data.tune" for table in made.tables for row in table if row)  # the same in all
    spoken = [drawing["aria-label"] for drawing in made.all("svg")]
    assert "test accuracy of each run: resnet 50.1 %; resnet (2) 57.3 %." in spoken
    assert any(label.startswith("Tune accuracy") and "resnet (2) goes" in label for label in spoken)
    assert len(made.all("article")) == 3


def test_hostile_names_are_only_text(tmp_path):
    hostile = '"><script>alert(1)</script>'
    run = classifier(tmp_path / "<b>run", classes=4, steps=1_000, summary=hostile, name=hostile)
    tagged = ' id="k" href="#k" url(#k) style="fill: #0072b2" [red]{{ name }}'
    run.write_json("classes.json", [tagged, "\udcff", *(f"{hostile}$x_{k}$ 猫 #0072b2" for k in (2, 3))])
    run.write_metrics("test", {f"{hostile}": {"value": 1.0, "n": 1, "resizing": hostile}})
    run.write_json("samples/pictures.json", [{"file": "mistakes.png", "title": hostile, "caption": hostile}])
    run.write_json("environment.json", {"versions": {hostile: hostile}, "machine": {"device": hostile}})
    made = page([run, run], tmp_path)
    assert not made.all("script")
    assert not made.all("b")
    assert not any(name.startswith("on") for _, attributes in made.elements for name in attributes)
    assert any(image["alt"] == f"{hostile}. {hostile}" for image in made.all("img"))
    assert any("$x_3$ 猫 #0072b2" in text for text in made.text)
    assert made.text.count(tagged) >= 4  # on both axes of the confusion matrix and in tables


def test_an_unfinished_run_has_a_page(tmp_path):
    run = Run(tmp_path / "run")
    run.write_recipe(CLASSIFIER | {"published": None}, layers("classifier", [10]), {"budget.steps": [40, 60]})
    made = page([run], tmp_path)
    assert "unfinished: 0 of 10,000 steps taken" in made.text
    assert "Nothing is measured yet." in made.text
    assert "Nothing is logged yet." in made.text
    assert not made.all("img")
    assert "published" not in "".join(made.text)


@pytest.mark.parametrize("name", ["layers.json", "overrides.json", "environment.json", "classes.json", "log.jsonl",
                                  "metrics.json", "samples/pictures.json", "samples/mistakes.png"])  # fmt: skip
def test_any_part_may_be_absent(name, tmp_path):
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    (run.folder / name).unlink()
    assert page([run], tmp_path).all("h1")


INSPECTED = {
    "folder": "/images", "classes": ["cat"], "counts": {"train": [3]}, "carved": [], "formats": {"PNG": 3},
    "widths": [8, 8, 9], "heights": [8, 8, 9], "total": 3, "warnings": [], "bad": [], "passed_over": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("inspection.json", INSPECTED | {"widths": ["a", 8, 9]}, "widths.0"),
        ("inspection.json", INSPECTED | {"counts": {"train": [3, 4]}}, "one count for each class"),
        ("inspection.json", [], "valid dictionary"),
        ("pretrained.json", {"recipe": "x", "data": "y"}, "taken"),
        ("fit.json", {"reasons": 3}, "reasons"),
        ("samples/pictures.json", {"file": "samples.png"}, "valid list"),
        ("layers.json", [{"name": "a", "type": "b", "output": "c", "parameters": 1, "multiply_adds": 1}], "0.output"),
        ("environment.json", {"sessions": [3]}, "sessions.0"),
        ("environment.json", {"sessions": [{"to_step": "x"}]}, "sessions.0.to_step"),
        ("log.jsonl", {"step": [], "kind": "train"}, "0.step"),
        ("metrics.json", {"test": 3}, "test"),
        ("metrics.json", {"test": {"confusion": {"value": [["a"]]}}}, "0.0"),
        (
            "metrics.json",
            {"test": {"calibration": {"value": [{"n": 3, "confidence": 0.5, "accuracy": None}]}}},
            "images without",
        ),
        ("metrics.json", {"test": {"spectrum": {"value": [{"generated": 1, "real": 1}]}}}, "0.frequency"),
        ("overrides.json", {"batch_size": None}, "batch_size"),
    ],
)
def test_a_record_that_holds_something_else_is_named(name, content, said, tmp_path):
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    run.write_json("inspection.json", INSPECTED)
    assert "3 images of 1 classes" in _text(run, tmp_path)
    run.write_bytes(name, json.dumps(content).encode())
    with pytest.raises(RunError, match=rf"(?s){name}.* is damaged.*{said}"):
        build([run], tmp_path / "report.html")


def test_limits_of_a_recipe_that_are_no_numbers_are_not_drawn(tmp_path):
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    recipe = run.read_json("recipe.json")
    said = "1,000 of 10,000"
    assert (recipe["budget"]["steps"], said in _text(run, tmp_path)) == (10_000, True)
    run.write_json("recipe.json", recipe | {"budget": {"steps": [[]], "nfe": {}}, "published": {"metric": [1]}})
    assert said not in _text(run, tmp_path)


def test_numbers_that_json_does_not_have_are_no_json(tmp_path):
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    run.write_bytes("metrics.json", b'{"test": {"accuracy": {"value": NaN}}}')
    with pytest.raises(RunError, match=r"metrics\.json cannot be read \(NaN is no number of JSON\)"):
        build([run], tmp_path / "report.html")


def test_pictures_come_from_the_run_alone_and_whole(tmp_path):
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    (tmp_path / "secret.png").write_bytes(images(8))
    run.write_bytes("samples/torn.png", images(8)[:40])
    run.write_bytes("samples/page.png", b"<svg onload='alert(1)'>")
    listed = ["../../secret.png", "/etc/passwd", "torn.png", "page.png", "mistakes.png"]
    run.write_json("samples/pictures.json", [{"file": name} for name in listed])
    (image,) = page([run], tmp_path).all("img")
    assert base64.b64decode(image["src"].removeprefix("data:image/png;base64,")) == images(16)
    assert (image["width"], image["height"]) == ("540", "132")
    assert image["alt"] == "Mistakes"


def test_the_strip_shows_eight_from_first_to_last(tmp_path):
    run = generator(tmp_path / "run", steps=50_000)
    steps = [int(found.replace(",", "")) for found in re.findall(r"step ([\d,]+)</figcaption>", _text(run, tmp_path))]
    assert len(steps) == 8
    assert (steps[0], steps[-1]) == (5_000, 50_000)
    assert steps == sorted(set(steps))


def test_changed_fields_say_what_they_were(tmp_path):
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    run.write_json("overrides.json", {"optimiser.learning_rate": [0.001, 0.002], "net": [{"kind": "mbconv"}, {}]})
    text = re.sub(r"<[^>]+>", "", _text(run, tmp_path))
    assert "learning_rate0.002 instead of 0.001" in text
    assert "kindbottleneck instead of mbconv" in text


def test_the_same_runs_give_the_same_bytes(tmp_path):
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    first = build([run], tmp_path / "a.html").read_bytes()
    assert first == build([run], tmp_path / "b.html").read_bytes()


def test_folders_that_are_no_runs_are_refused(tmp_path):
    with pytest.raises(RunError, match=r"no recipe\.json"):
        build([Run(tmp_path)], tmp_path / "report.html")
    with pytest.raises(RunError, match="at least one run"):
        build([], tmp_path / "report.html")
    run = classifier(tmp_path / "run", classes=4, steps=1_000)
    run.write_bytes("metrics.json", b"{")
    with pytest.raises(RunError, match=r"metrics\.json cannot be read"):
        build([run], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_only_the_page_imports_matplotlib_and_it_imports_no_nets():
    code = (
        "import sys, json, shoestring.core.run, shoestring.report; before = 'matplotlib' in sys.modules;"
        "import shoestring.report.page; print(json.dumps([before, sorted(sys.modules)]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, modules = json.loads(found.stdout)
    assert before is False
    assert "matplotlib" in modules
    assert "matplotlib.pyplot" not in modules
    rooms = {name.split(".")[1] for name in modules if name.startswith("shoestring.")}
    assert not rooms & {"nets", "tasks", "training", "train", "data", "recipes"}


def _text(run, tmp_path):
    return build([run], tmp_path / "report.html").read_text(encoding="utf-8")
