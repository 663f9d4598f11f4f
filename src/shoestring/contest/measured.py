"""Level 2: a submission measured anew, on the test images of the rules, against what it claims."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from shoestring.contest.finding import Finding, tell
from shoestring.contest.onnx_graph import need
from shoestring.contest.static import makes_images
from shoestring.contest.submission import Submission
from shoestring.core.errors import ShoestringError
from shoestring.core.packed import unpack
from shoestring.core.progress import Progress
from shoestring.data.dataset import Images, Source
from shoestring.data.manifest import manifest
from shoestring.evaluation.classifier import evaluate_classifier
from shoestring.evaluation.extractors import FeatureExtractors, Weights, open_extractors
from shoestring.evaluation.generator import evaluate_generator
from shoestring.metrics.classification import Predictions, classification_metrics
from shoestring.metrics.statistics import Metric
from shoestring.model.classifier import Classifier
from shoestring.model.generator import Generator
from shoestring.model.load import load
from shoestring.recipes.rules import Rules

TOLERANCE = 0.002
"""How far the accuracy of the same net on the same images may be off on another machine: a few answers near a tie."""
SPREAD = 0.1
"""How far a distance of the same generator may be off, as a fraction: on another machine its samples are others."""
BATCH = 500
ALONE = 16
"""Images that an ONNX file is also asked about one by one: no answer may depend on the other images of a batch."""
SHOWN = 16


@dataclass(frozen=True)
class Sampled:
    """How generators are measured.

    Attributes:
        count: Samples, and as many real images; None takes 10,000, or the whole test split if it has fewer.
        inception: As `shoestring.evaluate` takes it.
    """

    count: int | None = None
    inception: Weights = None


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes:
        findings: It against the claim, and whether answers and images are what they should be.
        name: Of the metric that counts: "accuracy", or a distance, of which less is better; empty if there is none.
        metric: That metric.
        correct: Of a classifier, which images it names rightly: bool (n,).
        samples: Of a generator, the first ones: uint8 (n, c, h, w).
    """

    findings: list[Finding]
    name: str = ""
    metric: Metric | None = None
    correct: Tensor | None = None
    samples: Tensor | None = None


def measure(
    submission: Submission, rules: Rules, data_folder: Path, progress: Progress, sampled: Sampled | None = None
) -> Measured:
    """A submission on the test images of the rules, or where these name none, of its own recipe.

    Args:
        submission: What was handed in; its file is measured, whatever its record says.
        rules: They may say which images count.
        data_folder: Where these lie.
        progress: Reports everything that takes time.
        sampled: How generators are measured.
    """
    recipe = submission.recipe()
    data: Source | None = rules.data or (recipe.data if recipe else None)
    reason = ""
    if submission.own_parts and submission.graph is None:
        reason = "only code that is not of this package could run it; a net of one's own is handed in as ONNX"
    elif data is None:
        reason = "neither its record nor the rules say which images it is for"
    elif submission.graph is not None and makes_images(submission):
        reason = "generators are measured from .safetensors, since an ONNX file has no sampler"
    if reason or data is None:
        return Measured([Finding(2, "measured", "not decided", reason)])
    try:
        if makes_images(submission):
            return _generator(submission, data_folder, progress, sampled or Sampled())
        images = data.load("test", data_folder, progress)
        return _classifier(submission, data, images, data_folder, progress)
    except ShoestringError as error:
        return Measured([Finding(2, "measured", "not decided", f"the test images cannot be had: {error}")])


def _classifier(
    submission: Submission, data: Source, images: Images, data_folder: Path, progress: Progress
) -> Measured:
    try:
        answers = (
            _onnx_answers(submission, images, progress) if submission.graph else _answers(submission, images, progress)
        )
        metric = classification_metrics(answers, len(data.classes))["accuracy"]
    except (ShoestringError, ValueError, RuntimeError) as error:
        return Measured([Finding(2, "measured", "failed", f"it gives no answers to judge: {error}")])
    low, high = metric.interval or (metric.value, metric.value)
    words = f"test accuracy {metric.value:.2%} ({low:.2%} to {high:.2%}, n = {metric.n:,})"
    claim = _claim(submission, "accuracy")
    near = claim is None or (
        abs(claim["value"] - metric.value) <= TOLERANCE if claim.get("n") == metric.n else low <= claim["value"] <= high
    )
    findings = [_against(words, f"{claim['value']:.2%}" if claim else None, near=near), *_apart(submission, images)]
    return Measured(findings, "accuracy", metric, answers.ranked()[:, 0] == answers.labels)


def _generator(submission: Submission, data_folder: Path, progress: Progress, sampled: Sampled) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        run = submission.run or unpack(submission.path, Path(folder) / "run")
        model = load(run, "cpu", progress=progress)
        assert isinstance(model, Generator)
        shape, device = model.recipe.data.shape, model.machine.device

        def extractors() -> FeatureExtractors:
            return open_extractors(shape, sampled.inception, None, "clean", data_folder, device, progress)

        with model.machine.running():
            found = evaluate_generator(model, data_folder, "test", extractors, progress, sampled.count).sections["test"]
            samples = model.sample(SHOWN, seed=0, progress=progress)
    fids = [name for name in found if name.startswith("fid_") and not name.endswith("infinite")]
    name = next(iter([*fids, *(name for name in found if name.endswith("_fd"))]), "")
    if not name:
        return Measured([Finding(2, "measured", "not decided", "no distance could be measured: the file with Inception "
                                 "is missing")], samples=samples)  # fmt: skip
    metric, claim = found[name], _claim(submission, name)
    words = f"{name} {metric.value:.4g} (n = {metric.n:,})"
    alike = claim if claim is not None and claim.get("n") == metric.n else None
    near = alike is None or abs(alike["value"] - metric.value) <= SPREAD * metric.value
    return Measured(
        [_against(words, f"{alike['value']:.4g}" if alike else None, near=near)], name, metric, samples=samples
    )


def _against(measured: str, claimed: str | None, *, near: bool) -> Finding:
    if claimed is None:
        return Finding(2, "measured", "passed", f"{measured}; nothing comparable is claimed")
    return tell(2, "measured", [] if near else [f"{measured}, but {claimed} is claimed"], f"{measured}, as claimed")


def _claim(submission: Submission, name: str) -> Mapping[str, Any] | None:
    """What a record claims of a metric on test."""
    found: Any = submission.file("metrics.json")
    for key in ("test", name):
        found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    value = cast("dict[str, Any]", found).get("value") if isinstance(found, dict) else None
    return cast("dict[str, Any]", found) if isinstance(value, int | float) else None


def _apart(submission: Submission, images: Images) -> list[Finding]:
    """Whether the images that it says it was trained on are others than those of test; of many it lists none."""
    train = submission.file("splits.json").get("train", {}).get("images", [])
    if not train:
        return []
    both = {str(one).split()[0] for one in train} & manifest(images, listed=True).pixels
    failures = [f"it was trained on {len(both):,} of the test images"] if both else []
    return [tell(2, "images", failures, "none of the images that it lists for training is in test")]


def _answers(submission: Submission, images: Images, progress: Progress) -> Predictions:
    with tempfile.TemporaryDirectory() as folder:
        run = submission.run or unpack(submission.path, Path(folder) / "run")
        model = load(run, "cpu", progress=progress)
        assert isinstance(model, Classifier)
        with model.machine.running():
            return evaluate_classifier(model, images, "test", progress).predictions


def _onnx_answers(submission: Submission, images: Images, progress: Progress) -> Predictions:
    """What onnxruntime answers with the file, on one thread.

    Raises:
        ShoestringError: It cannot run it, or an answer depends on the other images of its batch.
    """
    assert submission.graph is not None
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    parts: list[Tensor] = []
    try:
        session = runtime.InferenceSession(str(submission.path), options, providers=["CPUExecutionProvider"])
        (name,) = submission.graph.inputs

        def ask(batch: Tensor) -> Tensor:
            return torch.from_numpy(session.run(None, {name: batch.numpy()})[0]).float()

        with progress.task("evaluating on test", len(images), "images") as advance:
            for batch in torch.split(images.images, BATCH):
                parts.append(ask(batch))
                advance(len(batch))
        alone = torch.cat([ask(one) for one in torch.split(images.images[:ALONE], 1)])
    except Exception as error:  # whatever the runtime raises of a file of others
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ShoestringError(f"onnxruntime cannot run it: {first}") from error
    logits = torch.cat(parts)
    if logits.ndim != 2 or len(logits) != len(images) or not bool(logits.isfinite().all()):
        raise ShoestringError(f"its answers are {tuple(logits.shape)} and not a finite logit for each class")
    if not torch.allclose(alone, logits[: len(alone)], rtol=1e-3, atol=1e-3 * float(logits.abs().max())):
        raise ShoestringError("it answers otherwise about an image when others are in its batch")
    return Predictions(logits, images.labels, tuple(len(part) for part in parts))
