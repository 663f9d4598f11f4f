"""Parts of a recipe from outside the package: a spec of the house as it is, any other class or function in a frame."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, cast, get_args, get_origin

from pydantic import Field, PlainValidator, TypeAdapter, create_model

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError, ShoestringError
from shoestring.core.registry import Found, failure, find, name_of
from shoestring.core.signature import Options, options_type, parameters_of, takes_any


class Outside(Spec):
    """A part made by a user's class or function; a subclass for each has typed options."""

    kind: str
    """Where the class or function is: file.py:Name, module:Name, or a kind that an installed package offers."""
    source: str = ""
    """The sha256 of its code."""
    options: Options = Options()
    """Its arguments."""
    part: ClassVar[str]
    """Which part of a recipe this is."""
    given: ClassVar[tuple[str, ...]] = ()
    """Arguments that it is given by name, where it takes them."""
    positional: ClassVar[int] = 0
    """How many arguments it is given by place."""
    objects: ClassVar[bool] = False
    """Whether an object that cannot be called will do."""
    made_by: ClassVar[Any]

    @classmethod
    def from_object(cls, given: Any) -> Spec | None:
        """The spec of an object that is neither class nor function, where there is one for it."""
        return None

    @property
    def words(self) -> str:
        """What to call it in messages."""
        return f"{self.part} {self.kind!r}"

    def takes(self, name: str) -> bool:
        """Whether it takes an argument by this name."""
        return name in parameters_of(self.made_by)

    def arguments(self, **given: Any) -> dict[str, Any]:
        """The options, and those of the given arguments that it takes."""
        options = {name: getattr(self.options, name) for name in type(self.options).model_fields}
        return {name: value for name, value in given.items() if self.takes(name)} | options

    def call(self, *arguments: Any, **given: Any) -> Any:
        """What it makes of arguments.

        Raises:
            RecipeError: It fails; says how and where.
        """
        try:
            return self.made_by(*arguments, **self.arguments(**given))
        except ShoestringError:
            raise
        except Exception as error:
            raise RecipeError(f"{self.words} fails: {failure(error)}") from error


_types: dict[tuple[Any, ...], type[Spec]] = {}


def opened(frame: type[Outside], shipped: Any) -> PlainValidator:
    """What lets a field of a recipe take parts from outside besides the shipped ones.

    It may be given as a kind, `{"kind": …, …}`, a class, a function, or a spec.

    Args:
        frame: For what is no spec itself.
        shipped: The spec, or the union of specs by kind, of the shipped parts.
    """
    classes = shipped_specs(shipped)
    by_kind: Any = Annotated[shipped, Field(discriminator="kind")] if len(classes) > 1 else shipped
    adapter = TypeAdapter[Any](by_kind)

    def validated(value: Any) -> Any:
        if isinstance(value, Spec) and type(value) in (*classes.values(), *_types.values()):
            return value
        if made := frame.from_object(value):
            return made
        values = _described(frame.part, value)
        kind = values.get("kind")
        if not isinstance(kind, str) or kind in classes:
            return adapter.validate_python(values)
        kind_type = spec_type(frame, shipped, kind, values.get("source", ""), values.get("options", {}))
        options: dict[str, Any] = (
            {"options": {}} if issubclass(kind_type, Outside) else {}
        )  # so that a missing one is named
        return kind_type.model_validate(options | values | record_of(kind_type))

    return PlainValidator(validated)


def is_outside(spec: Spec) -> bool:
    """Whether a part of a recipe is from outside the package."""
    return type(spec) in _types.values()


def shipped_specs(shipped: Any) -> dict[str, type[Spec]]:
    """The specs of a union by kind; one that has no kind by its name."""
    specs = cast(tuple[type[Spec], ...], get_args(shipped) or (shipped,))
    return {spec.model_fields["kind"].default if "kind" in spec.model_fields else spec.__name__: spec for spec in specs}


def spec_type(
    frame: type[Outside], shipped: Any, kind: str, source: str = "", options: Collection[str] = ()
) -> type[Spec]:
    """The spec of a kind: the shipped one, or of a class or function from outside a type of its own.

    That is the user's own spec, where they wrote one, else the frame with the arguments as typed options.

    Args:
        frame: For what is no spec itself.
        shipped: As of `opened`.
        kind: Of the part.
        source: The sha256 of its code as recorded; empty where the user names the code.
        options: Names of options that are given; they count where it takes arguments by any name.

    Raises:
        RecipeError: As of `find`; or an argument of it can be no option.
    """
    classes = shipped_specs(shipped)
    if kind in classes:
        return classes[kind]
    found = find(frame.part, kind, source, [name for name in classes if name.islower()])
    factory: Any = found.factory
    what = f"{frame.part} {found.kind!r}"
    more = tuple(sorted(options)) if takes_any(factory) else ()
    key = (frame, found.kind, found.source, more)
    if key in _types:
        return _types[key]
    fields: dict[str, Any] = {"kind": (Literal[found.kind], found.kind)}  # pyright: ignore[reportInvalidTypeForm]
    if found.source:
        fields["source"] = (Literal[found.source], ...)  # pyright: ignore[reportInvalidTypeForm]
    if spec := _own_spec(factory):
        made = create_model(spec.__name__, __base__=spec, __doc__=spec.__doc__, __module__=spec.__module__, **fields)
    elif not callable(factory) and not frame.objects:
        raise RecipeError(f"{what} is a {type(factory).__name__}; name a class or a function")
    else:
        own = options_type(factory, what, frame.given, frame.positional, more)
        needed = any(field.is_required() for field in own.model_fields.values())
        fields["options"] = (own, ... if needed else own())
        name = getattr(factory, "__name__", frame.__name__)
        made = create_model(name, __base__=frame, __doc__=frame.__doc__, __module__=frame.__module__, **fields)
        made.made_by = staticmethod(factory) if callable(factory) else factory
    _types[key] = made
    return made


def _own_spec(factory: Any) -> type[Spec] | None:
    return factory if isinstance(factory, type) and issubclass(factory, Spec) else None


def record_of(kind_type: type[Spec]) -> dict[str, str]:
    """The fields of a part from outside that say which it is: its kind, and the hash of its code if it has one."""
    fields = kind_type.model_fields
    fixed = {name: fields[name].annotation for name in ("kind", "source") if name in fields}
    return {name: get_args(literal)[0] for name, literal in fixed.items() if get_origin(literal) is Literal}


def _record(found: Found) -> dict[str, str]:
    return {"kind": found.kind} | ({"source": found.source} if found.source else {})


def _described(part: str, value: Any) -> dict[str, Any]:
    """What a user gave as fields of a spec."""
    if isinstance(value, str):
        return {"kind": value}
    if isinstance(value, Spec):
        return {name: getattr(value, name) for name in type(value).model_fields} | _record(name_of(part, type(value)))
    if not isinstance(value, Mapping):
        return _record(name_of(part, value))
    values = dict(cast(Mapping[str, Any], value))
    if "kind" in values and not isinstance(values["kind"], str):
        values |= _record(name_of(part, values["kind"]))
    return values
