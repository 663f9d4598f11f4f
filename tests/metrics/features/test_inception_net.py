"""Against a second Inception, written as plain functions with batch norms left unfolded."""

import hashlib
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.metrics.features.extractor import extract, identity
from shoestring.metrics.features.inception import (
    OFFICIAL_FILE,
    OFFICIAL_SHA256,
    InceptionExtractor,
)
from shoestring.metrics.features.inception_net import Convolution, inception
from shoestring.metrics.features.resize import resize

torch.set_num_threads(1)


class Reference:
    """Makes random weights under the official names the first time it runs, and uses them ever after."""

    def __init__(self):
        self.tensors = {}
        self.generator = torch.Generator().manual_seed(7)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator)

    def make(self, name, width, out, kernel):
        fan = width * kernel[0] * kernel[1]
        self.tensors |= {
            f"{name}.conv.weight": self.normal(out, width, *kernel) * (2 / fan) ** 0.5,
            f"{name}.bn.weight": torch.rand(out, generator=self.generator) + 0.5,
            f"{name}.bn.bias": self.normal(out) * 0.2,
            f"{name}.bn.running_mean": self.normal(out) * 0.2,
            f"{name}.bn.running_var": torch.rand(out, generator=self.generator) + 0.5,
        }

    def conv(self, x, name, out, kernel=1, stride=1, padding=0):
        kernel = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        if f"{name}.conv.weight" not in self.tensors:
            self.make(name, x.shape[1], out, kernel)
        weight, scale, shift, mean, variance = (
            self.tensors[f"{name}.{part}"]
            for part in ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
        )
        x = F.conv2d(x, weight, None, stride, padding)
        return F.relu(F.batch_norm(x, mean, variance, scale, shift, False, 0.0, 0.001))

    def chain(self, x, block, *layers):
        for name, *rest in layers:
            x = self.conv(x, f"{block}.{name}", *rest)
        return x

    def a(self, x, name, pooled):
        one = self.chain(x, name, ("branch1x1", 64))
        five = self.chain(x, name, ("branch5x5_1", 48), ("branch5x5_2", 64, 5, 1, 2))
        double = ("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, 3, 1, 1), ("branch3x3dbl_3", 96, 3, 1, 1)
        three = self.chain(x, name, *double)
        pool = self.chain(average(x), name, ("branch_pool", pooled))
        return torch.cat([one, five, three, pool], 1)

    def b(self, x, name):
        three = self.chain(x, name, ("branch3x3", 384, 3, 2))
        double = ("branch3x3dbl_1", 64), ("branch3x3dbl_2", 96, 3, 1, 1), ("branch3x3dbl_3", 96, 3, 2)
        return torch.cat([three, self.chain(x, name, *double), F.max_pool2d(x, 3, 2)], 1)

    def c(self, x, name, inner):
        row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
        one = self.chain(x, name, ("branch1x1", 192))
        single = ("branch7x7_1", inner), ("branch7x7_2", inner, *row), ("branch7x7_3", 192, *column)
        seven = self.chain(x, name, *single)
        double = ("branch7x7dbl_1", inner), ("branch7x7dbl_2", inner, *column), ("branch7x7dbl_3", inner, *row)
        twice = self.chain(x, name, *double, ("branch7x7dbl_4", inner, *column), ("branch7x7dbl_5", 192, *row))
        return torch.cat([one, seven, twice, self.chain(average(x), name, ("branch_pool", 192))], 1)

    def d(self, x, name):
        three = self.chain(x, name, ("branch3x3_1", 192), ("branch3x3_2", 320, 3, 2))
        first = ("branch7x7x3_1", 192), ("branch7x7x3_2", 192, (1, 7), 1, (0, 3))
        second = ("branch7x7x3_3", 192, (7, 1), 1, (3, 0)), ("branch7x7x3_4", 192, 3, 2)
        return torch.cat([three, self.chain(x, name, *first, *second), F.max_pool2d(x, 3, 2)], 1)

    def e(self, x, name, pooled):
        row, column = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
        one = self.chain(x, name, ("branch1x1", 320))
        three = self.chain(x, name, ("branch3x3_1", 384))
        three_a = self.chain(three, name, ("branch3x3_2a", 384, *row))
        three_b = self.chain(three, name, ("branch3x3_2b", 384, *column))
        twice = self.chain(x, name, ("branch3x3dbl_1", 448), ("branch3x3dbl_2", 384, 3, 1, 1))
        twice_a = self.chain(twice, name, ("branch3x3dbl_3a", 384, *row))
        twice_b = self.chain(twice, name, ("branch3x3dbl_3b", 384, *column))
        pool = self.chain(pooled, name, ("branch_pool", 192))
        return torch.cat([one, three_a, three_b, twice_a, twice_b, pool], 1)

    def features(self, pixels):
        """Features by dimensions, of pixels already resized and scaled."""
        x = self.conv(pixels, "Conv2d_1a_3x3", 32, 3, 2)
        x = self.conv(x, "Conv2d_2a_3x3", 32, 3)
        taps = [x := F.max_pool2d(self.conv(x, "Conv2d_2b_3x3", 64, 3, 1, 1), 3, 2)]
        x = self.conv(x, "Conv2d_3b_1x1", 80)
        taps.append(x := F.max_pool2d(self.conv(x, "Conv2d_4a_3x3", 192, 3), 3, 2))
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = self.a(x, name, pooled)
        x = self.b(x, "Mixed_6a")
        for name, inner in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = self.c(x, name, inner)
        taps.append(x)
        x = self.d(x, "Mixed_7a")
        x = self.e(x, "Mixed_7b", average(x))
        taps.append(self.e(x, "Mixed_7c", F.max_pool2d(x, 3, 1, 1)))
        return {tap.shape[1]: tap.mean((2, 3)) for tap in taps}


def average(x):
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


@pytest.fixture(scope="module")
def images():
    return torch.randint(256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@pytest.fixture(scope="module")
def reference(images):
    reference = Reference()
    return reference.tensors, {size: reference.features(resize(images, size)) for size in ("clean", "legacy")}


@pytest.fixture(scope="module")
def file(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(reference[0] | {"fc.weight": torch.zeros(1008, 2048)}, path)
    return path


@pytest.fixture(scope="module")
def folded_file(reference, tmp_path_factory):
    """The layers up to Mixed_6e, folded in this way: weight 1, mean 0, variance 0.999, all else in kernel and bias."""
    tensors = reference[0]
    fuse_conv_bn = {}
    for name in {name.rsplit(".", 2)[0] for name in tensors if not name.startswith("Mixed_7")}:
        scale = tensors[f"{name}.bn.weight"] / (tensors[f"{name}.bn.running_var"] + 0.001).sqrt()
        fuse_conv_bn |= {
            f"{name}.conv.weight": tensors[f"{name}.conv.weight"] * scale[:, None, None, None],
            f"{name}.bn.weight": torch.ones_like(scale),
            f"{name}.bn.bias": tensors[f"{name}.bn.bias"] - tensors[f"{name}.bn.running_mean"] * scale,
            f"{name}.bn.running_mean": torch.zeros_like(scale),
            f"{name}.bn.running_var": torch.full_like(scale, 0.999),
        }
    path = tmp_path_factory.mktemp("weights") / "folded.safetensors"
    safetensors.torch.save_file(fuse_conv_bn, path)
    return path


def distance(found, expected):
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("dimensions", [64, 192, 768, 2048])
def test_features_are_the_unfolded_nets(reference, file, images, dimensions):
    found = InceptionExtractor(file, dimensions)(images)
    assert found.shape == (3, dimensions)
    assert found.dtype == torch.float32
    assert distance(found, reference[1]["clean"][dimensions]) < 1e-5


@pytest.mark.parametrize("dimensions", [192, 768])
def test_a_folded_file_of_the_first_layers_gives_the_same(reference, folded_file, images, dimensions):
    found = InceptionExtractor(folded_file, dimensions)(images)
    assert distance(found, reference[1]["clean"][dimensions]) < 1e-5


def test_legacy_resizing_gives_other_features(reference, file, images):
    found = InceptionExtractor(file, 192, "legacy")(images)
    assert distance(found, reference[1]["legacy"][192]) < 1e-5
    assert distance(found, reference[1]["clean"][192]) > 1e-3


def test_the_whole_net_has_the_published_layers():
    with torch.device("meta"):
        net = inception(2048)
    convolutions = [module for module in net.modules() if isinstance(module, Convolution)]
    assert len(convolutions) == 94
    # 27,161,264 of the published net less 2,049,000 of its last and 3,326,696 of its auxiliary classifier. Folding
    # leaves one of a batch norm's two parameters.
    weights, biases = (sum(getattr(module, part).numel() for module in convolutions) for part in ("weight", "bias"))
    assert weights + 2 * biases == 21_785_568


def test_features_do_not_depend_on_batch_size_or_threads(file):
    images = torch.randint(256, (19, 3, 8, 8), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    extractor = InceptionExtractor(file, 64)
    whole = extract(extractor, images, Progress(), batch_size=19)
    assert torch.allclose(extract(extractor, images, Progress(), batch_size=3), whole, rtol=1e-5, atol=1e-6)
    torch.set_num_threads(3)
    try:
        assert torch.equal(extractor(images), whole)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def test_the_identity_names_net_dimensions_resizing_and_file(file):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    extractor = InceptionExtractor(file, 192, "legacy", sha256=digest)
    assert identity(extractor) == f"inception-2015-12-05 192 legacy {digest[:12]}"
    assert not extractor.official


def test_too_few_layers_name_the_dimensions_that_they_do_for(folded_file):
    with pytest.raises(DataError, match=r"for 2048-dimensional features.*Mixed_7a.*\[64, 192, 768\] dimensions only"):
        InceptionExtractor(folded_file, 2048)


def test_a_wrong_checksum_is_refused(file, tmp_path):
    with pytest.raises(DataError, match="not 0123"):
        InceptionExtractor(file, 64, sha256="0123")
    official = tmp_path / OFFICIAL_FILE
    official.write_bytes(file.read_bytes())
    with pytest.raises(DataError, match=OFFICIAL_SHA256):
        InceptionExtractor(official, 64)


def test_files_that_are_no_fid_inception_are_refused(reference, tmp_path):
    with pytest.raises(DataError, match=r"cannot be read.*none\.pth"):
        InceptionExtractor(tmp_path / "none.pth", 64)
    for name in ("bad.pth", "bad.safetensors"):
        (tmp_path / name).write_bytes(b"no weights at all")
        with pytest.raises(DataError, match=f"{name} cannot be read as a weights file"):
            InceptionExtractor(tmp_path / name, 64)
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(DataError, match="holds a list"):
        InceptionExtractor(tmp_path / "list.pth", 64)
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="no FID Inception"):
        InceptionExtractor(tmp_path / "other.safetensors", 64)
    name = "Conv2d_2b_3x3.conv.weight"
    first = {key: value for key, value in reference[0].items() if key.startswith(("Conv2d_1a", "Conv2d_2"))}
    for change, message in ((torch.zeros(64, 32, 1, 1), "has shape"), (first[name] / 0, "NaN or infinity")):
        safetensors.torch.save_file(first | {name: change}, tmp_path / "changed.safetensors")
        with pytest.raises(DataError, match=f"{name} .*{message}|{name} {message}"):
            InceptionExtractor(tmp_path / "changed.safetensors", 64)


def test_files_do_for_2048_dimensions_or_end_before_them_and_damage_is_no_end(file, folded_file, reference, tmp_path):
    assert InceptionExtractor(file).dimensions == 2048
    assert InceptionExtractor(folded_file).dimensions == 768
    damaged = {name: value for name, value in reference[0].items() if name != "Mixed_7c.branch_pool.conv.weight"}
    safetensors.torch.save_file(damaged, tmp_path / "damaged.safetensors")
    with pytest.raises(DataError, match=r"lacks 1 tensors .*such as Mixed_7c\.branch_pool"):
        InceptionExtractor(tmp_path / "damaged.safetensors")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch.save({"Conv2d_1a_3x3.conv.weight": Path.unlink}, tmp_path / "code.pth")
    with pytest.raises(DataError, match=r"code.pth cannot be read as a weights file"):
        InceptionExtractor(tmp_path / "code.pth", 64)


def test_other_images_than_uint8_colour_are_refused(file):
    extractor = InceptionExtractor(file, 64)
    for images in (torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)):
        with pytest.raises(DataError, match=r"takes uint8 images \(n, 3, height, width\)"):
            extractor(images)


def test_unknown_choices_are_refused(file):
    with pytest.raises(DataError, match="512"):
        InceptionExtractor(file, 512)
    with pytest.raises(DataError, match="nearest"):
        InceptionExtractor(file, 64, "nearest")


@pytest.mark.skipif("SHOESTRING_INCEPTION" not in os.environ, reason="SHOESTRING_INCEPTION names no weights file")
@pytest.mark.parametrize(
    ("dimensions", "resizing", "norm", "largest"),
    [
        (64, "clean", 12.4333, {10: 3.1032, 25: 3.0584, 52: 2.6535}),
        (192, "clean", 23.9596, {2: 3.5331, 159: 3.3311, 18: 3.2949}),
        (768, "clean", 2.61965, {420: 0.9567, 525: 0.8609, 670: 0.5418}),
        (768, "legacy", 2.67542, {420: 0.9404, 525: 0.8705, 670: 0.5009}),
    ],
)
def test_the_real_weights_give_the_features_seen_before(dimensions, resizing, norm, largest):
    i = torch.arange(32)
    planes = (
        3 * i[:, None] + 5 * i,
        (8 * i).expand(32, 32) % 256,
        ((i[:, None] - 16) ** 2 + (i - 16) ** 2).clamp(max=255),
    )
    picture = torch.stack(planes).to(torch.uint8)[None]
    (found,) = InceptionExtractor(Path(os.environ["SHOESTRING_INCEPTION"]), dimensions, resizing)(picture)
    assert float(found.norm()) == pytest.approx(norm, rel=1e-3)
    values, indices = found.topk(3)
    assert dict(zip(indices.tolist(), values.tolist(), strict=True)) == pytest.approx(largest, abs=2e-3)
