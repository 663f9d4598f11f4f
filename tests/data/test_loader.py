from dataclasses import dataclass

import pytest
import torch

from shoestring.core import rng
from shoestring.data.augment import Augment, augment
from shoestring.data.dataset import Images, normalise
from shoestring.data.loader import BatchLoader, batches

torch.set_num_threads(1)

CPU = torch.device("cpu")
JITTER = Augment(horizontal_flip=True, crop_padding=1, brightness=0.3, rotation_degrees=10)


@dataclass(frozen=True)
class Toy:
    shape: tuple[int, int, int] = (3, 4, 4)
    mean: tuple[float, ...] = (0.1, 0.2, 0.3)
    std: tuple[float, ...] = (0.5, 0.25, 2.0)


def toy(n):
    """Images that carry their own index in their labels."""
    pixels = torch.randint(0, 256, (n, 3, 4, 4), generator=rng.generator(0, "toy"), dtype=torch.uint8)
    return Images(pixels, torch.arange(n), "a toy")


def make(n=10, batch_size=4, seed=0, spec=JITTER):
    return BatchLoader(toy(n), Toy(), lambda _: spec, batch_size, seed, CPU)


@pytest.mark.parametrize(("n", "batch_size"), [(10, 4), (12, 4), (7, 7), (3, 8), (1, 5), (9, 1)])
def test_every_epoch_has_each_image_once(n, batch_size):
    load_batch, epochs = make(n, batch_size), 5
    steps = -(-n * epochs // batch_size)
    labels = torch.cat([load_batch(step)["labels"] for step in range(steps)])
    assert len(labels) == steps * batch_size
    orders = labels[: n * epochs].view(epochs, n)
    assert torch.equal(orders.sort(1).values, torch.arange(n).expand(epochs, n))


def test_epochs_differ_in_order_and_are_the_documented_permutations():
    load_batch = make(50, 50)
    orders = [load_batch(step)["labels"] for step in range(3)]
    assert not torch.equal(orders[0], torch.arange(50))
    assert not torch.equal(orders[0], orders[1])
    for epoch, order in enumerate(orders):
        assert torch.equal(order, torch.randperm(50, generator=rng.generator(0, "order", epoch)))


def test_a_batch_crosses_from_one_epoch_into_the_next():
    load_batch = make(10, 4)
    first, second = (torch.randperm(10, generator=rng.generator(0, "order", epoch)) for epoch in (0, 1))
    assert torch.equal(load_batch(2)["labels"], torch.cat((first[8:], second[:2])))
    assert torch.equal(load_batch(3)["labels"], second[2:6])


def test_steps_are_the_same_in_any_order_and_from_a_fresh_feed():
    in_order = make()
    expected = {step: in_order(step) for step in range(12)}
    jumping = make()
    for step in (11, 0, 5, 5, 2, 7, 1):
        for batch in (jumping(step), make()(step)):
            assert torch.equal(batch["images"], expected[step]["images"])
            assert torch.equal(batch["labels"], expected[step]["labels"])


def test_the_seed_decides_order_and_augmentation():
    first, other = make(50, 50, seed=0), make(50, 50, seed=1)
    assert not torch.equal(first(0)["labels"], other(0)["labels"])
    single, another = make(1, 8, seed=0), make(1, 8, seed=1)
    assert not torch.equal(single(0)["images"], another(0)["images"])
    assert not torch.equal(single(0)["images"], single(1)["images"])


def test_images_are_augmented_then_normalised_and_keep_their_labels():
    data, load_batch = toy(10), make()
    for step in range(4):
        batch = load_batch(step)
        drawn = augment(data.images[batch["labels"]], JITTER, rng.generator(0, "augment", step))
        assert torch.equal(batch["images"], normalise(drawn, Toy()))
        assert batch["images"].dtype == torch.float32
        assert batch["labels"].dtype == torch.int64


def test_without_augmentation_the_batch_is_the_normalised_pixels():
    data, batch = toy(10), make(spec=Augment())(1)
    mean, std = torch.tensor(Toy.mean).view(3, 1, 1), torch.tensor(Toy.std).view(3, 1, 1)
    torch.testing.assert_close(batch["images"], (data.images[batch["labels"]] / 255 - mean) / std)


def test_order_is_drawn_once_an_epoch(monkeypatch):
    drawn = []
    original = BatchLoader._order
    monkeypatch.setattr(BatchLoader, "_order", lambda self, epoch: drawn.append(epoch) or original(self, epoch))
    load_batch = make(10, 4)
    for step in range(10):
        load_batch(step)
        assert len(load_batch._orders) <= 2
    assert drawn == [0, 1, 2, 3]


def test_evaluation_batches_are_in_order_and_the_last_is_short():
    data = toy(10)
    given = list(batches(data, Toy(), 4, CPU))
    assert [len(batch["labels"]) for batch in given] == [4, 4, 2]
    assert torch.equal(torch.cat([batch["labels"] for batch in given]), data.labels)
    assert torch.equal(torch.cat([batch["images"] for batch in given]), normalise(data.images, Toy()))
    assert list(batches(toy(0), Toy(), 4, CPU)) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_has_the_same_order_and_repeats_itself():
    device = torch.device("cuda")
    here, there = make(), BatchLoader(toy(10), Toy(), lambda _: JITTER, 4, 0, device)
    for step in range(5):
        batch = there(step)
        assert batch["images"].device.type == "cuda"
        assert torch.equal(batch["labels"].cpu(), here(step)["labels"])
        assert torch.equal(batch["images"], there(step)["images"])


def test_a_batch_is_augmented_as_its_step_asks() -> None:
    spec = Augment(brightness=0.9)
    load_batch = BatchLoader(toy(10), Toy(), lambda step: spec.replace(strength=float(step < 3)), 10, 0, CPU)
    plain, full = (make(10, 10, spec=one) for one in (Augment(), spec))
    assert torch.equal(load_batch(3)["images"], plain(3)["images"])
    assert torch.equal(load_batch(2)["images"], full(2)["images"])
    assert not torch.equal(load_batch(2)["images"], plain(2)["images"])
