"""Options typed from signatures."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch
from pydantic import ValidationError

from shoestring.core.errors import RecipeError
from shoestring.core.signature import options_type, takes_any


def options(
    factory: Any, given: tuple[str, ...] = (), positional: int = 0, more: tuple[str, ...] = ()
) -> dict[str, Any]:
    fields = options_type(factory, "net 'x'", given, positional, more).model_fields
    return {name: field.annotation for name, field in fields.items()}


def test_types_come_from_annotations_and_defaults() -> None:
    def make(
        shape: Any,
        width: int,
        rate: float = 0.1,
        sides: Sequence[int] = (1, 2),
        betas: tuple[float | torch.Tensor, float | torch.Tensor] = (0.9, 0.99),
        names: list[str] | None = None,
        order: Literal["a", "b"] = "a",
        depth: int | None = None,
        *,
        count=3,
        flag=True,
        pair=(1, 2),
        anything,
        nothing=None,
        norm: type[torch.nn.Module] = torch.nn.Identity,
        act: Callable[[], Any] = torch.nn.ReLU,
        layer=torch.nn.ReLU,
    ) -> None: ...

    scalar = bool | int | float | str
    assert options(make, given=("shape",)) == {
        "width": int,
        "rate": float,
        "sides": tuple[int, ...],
        "betas": tuple[float, float],
        "names": list[str] | None,
        "order": Literal["a", "b"],
        "depth": int | None,
        "count": int | float,
        "flag": bool,
        "pair": tuple[int | float, ...],
        "anything": scalar,
        "nothing": scalar | None,
    }
    assert "width" not in options(make, given=("shape",), positional=2)


def test_an_unknown_option_names_the_nearest() -> None:
    kind = options_type(torch.optim.SGD, "optimiser 'SGD'", ("lr",), 1, ())
    assert kind(momentum=0.9).nesterov is False
    with pytest.raises(ValidationError, match="unknown key of SGD 'momentun'; did you mean 'momentum'"):
        kind(momentun=0.9)


def test_what_can_be_no_option_needs_a_default() -> None:
    def make(block: type[torch.nn.Module]) -> None: ...

    with pytest.raises(RecipeError, match="net 'x': its argument block can be no option"):
        options(make)


def test_any_argument_can_be_given_where_any_is_taken() -> None:
    def make(width: int = 3, **more: Any) -> None: ...

    assert takes_any(make)
    assert options(make, more=("width", "img_pad")).keys() == {"width", "img_pad"}
    assert options_type(make, "x", (), 0, ("img_pad",))(img_pad=3).model_dump() == {"width": 3, "img_pad": 3}


def test_names_of_pydantics_own_methods_can_be_options() -> None:
    def make(model_name: str = "a", copy: bool = False, json: int = 3) -> None: ...

    assert options_type(make, "x", (), 0, ())(copy=True).model_dump() == {"model_name": "a", "copy": True, "json": 3}
