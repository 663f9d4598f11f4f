"""What operators read, whether in floats (`graph`) or in integers (`integer_graph`): one activation, or two."""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class OfOne:
    """Reads one activation and writes one; both by name."""

    input: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all that it reads."""
        return (self.input,)


@dataclass(frozen=True, eq=False)
class OfTwo:
    """Reads two activations and writes one; all by name."""

    first: str
    second: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all that it reads."""
        return (self.first, self.second)
