"""Options typed from the signature of a class or function."""

import inspect
import types
import warnings
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, create_model

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError

SCALAR = bool | int | float | str
"""What an argument may be that says nothing of itself."""


class Options(Spec):
    """The arguments of a user's class or function that are theirs to choose."""

    model_config = ConfigDict(protected_namespaces=())


def options_type(
    factory: Any, what: str, given: Collection[str], positional: int, more: Iterable[str]
) -> type[Options]:
    """A spec of the arguments of a class or function that can be written in JSON and TOML.

    Arguments of other types that have a default are left out, and so keep it.

    Args:
        factory: The class or function.
        what: What to call it in messages.
        given: Arguments that are given to it by name whatever the options say.
        positional: How many arguments it is given by place.
        more: Names of further arguments, where it takes any (**kwargs).

    Raises:
        RecipeError: An argument cannot be given as an option and has no default.
    """
    fields: dict[str, Any] = {}
    parameters = list(parameters_of(factory).values())
    named = [one for one in parameters[positional:] if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    for one in named:
        needed = one.default is one.empty
        kind = None if one.name in given else _option_type(one)
        if kind is not None:
            fields[one.name] = (kind, ... if needed else one.default)
        elif needed and one.name not in given:
            raise RecipeError(
                f"{what}: its argument {one.name} can be no option, since it is no number, text or list of those; give "
                "it a default"
            )
    if takes_any(factory):
        fields |= {name: (SCALAR | tuple[SCALAR, ...], ...) for name in more if name not in fields}
    name = getattr(factory, "__name__", "") or "Options"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Field name .* shadows")  # an option may be called copy or json
        return create_model(name, __base__=Options, __doc__=f"Options of {what}.", __module__=__name__, **fields)


def parameters_of(factory: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function by name; none of what does not say."""
    try:
        try:
            return dict(inspect.signature(factory, eval_str=True).parameters)
        except NameError:  # an annotation of something that is imported for type checkers only
            return dict(inspect.signature(factory).parameters)
    except (TypeError, ValueError):
        return {}


def takes_any(factory: Any) -> bool:
    """Whether it takes arguments by any name (**kwargs)."""
    return any(one.kind is one.VAR_KEYWORD for one in parameters_of(factory).values())


def any_of(kinds: Iterable[Any]) -> Any:
    """The union of types; None among them stands for the value None."""
    first, *others = (types.NoneType if kind is None else kind for kind in kinds)
    for other in others:
        first |= other
    return first


def _option_type(parameter: inspect.Parameter) -> Any:
    """The type of an option, None where it can be none."""
    default = parameter.default
    if parameter.annotation is parameter.empty or isinstance(parameter.annotation, str):
        return _type_of(default) if default is not parameter.empty else SCALAR
    kind = _plain(parameter.annotation)
    fits = default is parameter.empty or _type_of(default) is not None
    return kind if fits else None


def _type_of(default: Any) -> Any:
    """The type of options that a default stands for: a whole number for any number, None for anything."""
    if default is None:
        return SCALAR | None
    if isinstance(default, bool | str | Path):
        return type(default)
    if isinstance(default, int | float):
        return int | float if isinstance(default, int) else float
    if isinstance(default, tuple | list):
        items = [_type_of(item) for item in default]  # pyright: ignore[reportUnknownVariableType]
        of_any = SCALAR if None in items or not items else any_of(items)
        return None if None in items else (tuple[of_any, ...] if isinstance(default, tuple) else list[of_any])
    return None


def _plain(annotation: Any) -> Any:
    """What of an annotation JSON can say; None where it can say nothing of it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (bool, int, float, str, Path):
        return annotation
    if annotation in (tuple, list):
        return tuple[SCALAR, ...] if annotation is tuple else list[SCALAR]
    if origin is Annotated:
        return annotation if _plain(arguments[0]) == arguments[0] else _plain(arguments[0])
    if origin is Literal:
        return annotation
    if origin in (Union, types.UnionType):
        kept = [None if one is types.NoneType else _plain(one) for one in arguments]
        kept = [one for one, whole in zip(kept, arguments, strict=True) if one is not None or whole is types.NoneType]
        return any_of(kept) if any(one is not None for one in kept) else None
    if origin in (tuple, list, Sequence):
        inner = [one if one is ... else _plain(one) for one in arguments]
        if None in inner:
            return None
        return list[inner[0]] if origin is list else tuple[(*inner, ...) if origin is Sequence else tuple(inner)]
    return None
