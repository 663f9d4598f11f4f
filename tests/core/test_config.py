from typing import Annotated, Literal

import pytest

from shoestring.core.config import FirstDefault, Spec, changed, counting, did_you_mean
from shoestring.core.errors import RecipeError
from shoestring.recipes import RECIPES


class Inner(Spec):
    rate: float = 0.5
    steps: int = 3


class Outer(Spec):
    inner: Inner = Inner()
    other: Inner | None = None
    name: str = "a"


def test_an_unknown_key_names_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"unknown key of Inner 'step'; did you mean 'steps'\?"):
        Inner.model_validate({"step": 4})
    with pytest.raises(ValueError, match=r"unknown key of Inner 'rates'; did you mean 'rate'\?"):
        Outer.model_validate({"inner": {"rates": 1}})


def test_a_key_like_no_other_lists_those_there_are() -> None:
    assert did_you_mean("fruit", "zzz", ["pear", "apple"]) == "unknown fruit 'zzz'; known: apple, pear."
    assert did_you_mean("fruit", "aple", ["pear", "apple"]) == "unknown fruit 'aple'; did you mean 'apple'?"


def test_specs_are_frozen_and_refuse_nan_and_infinity() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().rate = 1.0  # type: ignore[misc]
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            Inner(rate=value)


def test_a_changed_spec_is_validated_as_a_whole_and_keeps_nothing_computed_before() -> None:
    before = RECIPES["cifar100-dcgan-44"]()
    assert before.latent_shape == (110,)
    after = before.replace(net={"latent": 7}, seed=3)
    assert (after.latent_shape, after.seed, after.net.kind) == ((7,), 3, "plain-dcgan")
    assert after.replace(net=before.net, seed=0) == before
    assert before.replace(net={"kind": "refined-dcgan"}).latent_shape == (10,)
    for wrong, message in (
        ({"batch_size": 0}, "batch_size: Input should be greater than 0"),
        ({"optimiser": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
        ({"task": {"conditional": True}}, "this net takes none"),
        ({"ema": 0.9}, "ema: Input should be a valid tuple"),
    ):
        with pytest.raises(RecipeError, match=message):
            before.replace(**wrong)


def test_differences_are_dotted_with_before_and_after() -> None:
    assert changed(Outer(), Outer()) == {}
    after = Outer(inner=Inner(rate=0.25), name="b")
    assert changed(Outer(), after) == {"inner.rate": (0.5, 0.25), "name": ("a", "b")}
    assert changed(Outer(), Outer(other=Inner())) == {"other": (None, Inner())}


def test_what_counts_is_what_is_not_at_its_first_default() -> None:
    class Part(Spec):
        kind: Literal["part"] = "part"
        rate: float = 0.5

    class Before(Spec):
        kind: Literal["whole"] = "whole"
        part: Part = Part()
        steps: int = 3
        name: str

    class After(Spec):
        kind: Literal["whole"] = "whole"
        part: Part = Part()
        added: Part = Part()
        also_added: tuple[int, ...] = ()
        steps: Annotated[int, FirstDefault(3)] = 5
        name: str

    assert counting(Before(name="a")) == {"kind": "whole", "name": "a"}
    old = Before(name="a").model_dump()
    assert counting(After.model_validate(old)) == counting(Before(name="a"))
    assert counting(After(name="a")) == {"kind": "whole", "steps": 5, "name": "a"}
    other = After(name="a", part=Part(rate=0.25), also_added=(1,), steps=3)
    assert counting(other) == {
        "kind": "whole",
        "part": {"kind": "part", "rate": 0.25},
        "also_added": [1],
        "name": "a",
    }
