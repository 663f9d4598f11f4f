import numpy as np
import pytest

from shoestring.core.errors import DataError
from shoestring.data.splits import content_order, hold_out


def test_content_order_forgets_the_order_of_rows() -> None:
    random = np.random.default_rng(0)
    rows = random.integers(0, 256, (200, 7), dtype=np.uint8)
    labels = random.integers(0, 5, 200)
    rows[100:120] = rows[:20]  # copies, some with another label
    shuffle = random.permutation(200)
    first, second = content_order(rows, labels), content_order(rows[shuffle], labels[shuffle])
    assert sorted(first) == list(range(200))
    np.testing.assert_array_equal(rows[first], rows[shuffle][second])
    np.testing.assert_array_equal(labels[first], labels[shuffle][second])


def test_content_order_depends_on_the_key_alone() -> None:
    rows = np.arange(100, dtype=np.uint8)[:, None]
    labels = np.zeros(100, np.int64)
    assert not np.array_equal(content_order(rows, labels), content_order(rows, labels, key="1"))
    np.testing.assert_array_equal(content_order(rows, labels), content_order(list(map(bytes, rows)), labels))


def test_hold_out_takes_the_first_of_each_class_equally() -> None:
    labels = np.tile(np.arange(4), 25)
    mask = hold_out(labels, 22, 4)
    # 22 = 4 * 5 + 2: the first two classes give one more.
    assert np.bincount(labels[mask]).tolist() == [6, 6, 5, 5]
    for label, fraction in enumerate([6, 6, 5, 5]):
        of_class = mask[labels == label]
        assert of_class[:fraction].all()
        assert not of_class[fraction:].any()


@pytest.mark.parametrize("count", range(0, 90, 7))
def test_hold_out_is_exact_and_in_proportion(count: int) -> None:
    sizes = np.array([50, 30, 0, 20])
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(4), sizes))
    taken = np.bincount(labels[hold_out(labels, count, 4)], minlength=4)
    assert taken.sum() == count
    assert (np.abs(taken - sizes * count / 100) < 1).all()


def test_hold_out_never_empties_a_class_unasked() -> None:
    labels = np.repeat(np.arange(3), 4)
    with pytest.raises(DataError, match="12 of 12 images held out"):
        hold_out(labels, 12, 3)
    with pytest.raises(DataError, match="hold out fewer"):
        hold_out(labels, 10, 3)
    assert hold_out(labels, 9, 3).sum() == 9
    assert hold_out(labels, 12, 3, leave_some=False).all()
