"""Which kernel each layer of an engine runs: recorded while it is built, and prescribed to another build.

The builder times the kernels (tactics) that can do a layer and takes the fastest, so two builds of one model may
compute other bits. TensorRT 10.x asks an `IAlgorithmSelector` which of them it may choose from, and tells it in the end
what it took. What it compiles into one layer itself (ForeignNode, Myelin) is one tactic without a choice: nothing in it
can be recorded or held. TensorRT swallows what is raised in a selector, so a build is judged by what it reports.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

from assay_runner.backends.chosen import unlike
from assay_runner.errors import InvalidInput

_WORD: Final = (1 << 64) - 1


class Algorithm(Protocol):
    """TensorRT's `IAlgorithm`, as far as it is used."""

    @property
    def algorithm_variant(self) -> Any:
        """Its `implementation` and `tactic`, 64 bits with a sign each."""
        ...

    def get_algorithm_io_info(self, index: int) -> Any:
        """How an input or, counted on, an output lies in memory; None where there is none."""
        ...


class Context(Protocol):
    """TensorRT's `IAlgorithmContext`, as far as it is used: a layer."""

    @property
    def name(self) -> str:
        """As the engine names it."""
        ...

    @property
    def num_inputs(self) -> int:
        """Inputs."""
        ...

    @property
    def num_outputs(self) -> int:
        """Outputs."""
        ...


def tactic(context: Context, algorithm: Algorithm) -> str:
    """A tactic in words that are equal for equal ones: implementation, number, and how inputs and outputs lie.

    Its time is no part of it.
    """
    variant = algorithm.algorithm_variant
    sides = [algorithm.get_algorithm_io_info(index) for index in range(context.num_inputs + context.num_outputs)]
    told = [_side(side) for side in sides]
    given, made = " ".join(told[: context.num_inputs]), " ".join(told[context.num_inputs :])
    return f"{variant.implementation & _WORD:#x} {variant.tactic & _WORD:#x}: {given} -> {made}"


def _side(side: Any) -> str:
    if side is None:
        return "?"
    packed = f"/{side.components_per_element}@{side.vectorized_dim}" if side.components_per_element > 1 else ""
    return f"{str(side.dtype).rpartition('.')[2]}{packed}[{','.join(map(str, tuple(side.strides)))}]"


class Record:
    """What a build may choose, and what it chose.

    Attributes:
        chosen: the tactic of each layer that was reported; of layers of one name the second is NAME #2, and so on.
    """

    def __init__(
        self, held: Mapping[str, str], forbidden: Mapping[str, Collection[str]] = MappingProxyType({})
    ) -> None:
        """Hold these layers to their tactics, and leave all others to the builder.

        Args:
            held: the one tactic by layer.
            forbidden: tactics by layer that it must not run where it has another; that it has none, the record tells.
        """
        self._held, self._forbidden = held, forbidden
        self._offered: set[str] = set()
        self.chosen: dict[str, str] = {}

    def select(self, context: Context, choices: Sequence[Algorithm]) -> list[int]:
        """Indices of what TensorRT may choose from: all but what is forbidden for a layer that cannot be held."""
        wanted = {wish for name, wish in self._held.items() if _is(name, context.name)}
        found = [index for index, choice in enumerate(choices) if wanted and tactic(context, choice) in wanted]
        if found:
            self._offered.add(context.name)
            return found
        without = {each for name, them in self._forbidden.items() if _is(name, context.name) for each in them}
        left = [index for index, choice in enumerate(choices) if without and tactic(context, choice) not in without]
        return left or list(range(len(choices)))

    def report(self, contexts: Sequence[Context], choices: Sequence[Algorithm]) -> None:
        """Take in what TensorRT chose; told once, after all was selected."""
        for context, choice in zip(contexts, choices, strict=True):
            self.chosen[unlike(context.name, self.chosen)] = tactic(context, choice)

    def check(self) -> None:
        """Do nothing where every layer runs the tactic that it is held to.

        Raises:
            InvalidInput: one does not.
        """
        for name, wanted in self._held.items():
            found = self.chosen.get(name)
            if found == wanted:
                continue
            if found is None:
                why = "and this engine has no such layer"
            elif name.partition(" #")[0] not in self._offered:
                why = f"which TensorRT does not offer for it here (it takes {found})"
            else:
                why = f"and TensorRT takes {found} all the same"
            raise InvalidInput(
                f"layer {name!r} is held to tactic {wanted}, {why}: the record is of another model, order or GPU, so "
                "take one of this very build, or hold fewer layers"
            )


def _is(name: str, layer: str) -> bool:
    """Whether a name of a record is the layer's, or that of a further layer of its name."""
    return name == layer or (name.startswith(f"{layer} #") and name[len(layer) + 2 :].isdecimal())


def selector(trt: Any, record: Record) -> Any:
    """TensorRT's `IAlgorithmSelector` of a record; the record is filled while an engine is built with it."""
    base: Any = trt.IAlgorithmSelector

    class Selector(base):  # type: ignore[misc]
        """Hands everything on."""

        def __init__(self) -> None:
            base.__init__(self)

        def select_algorithms(self, context: Any, choices: Any) -> list[int]:
            """TensorRT's name for it."""
            return record.select(context, choices)

        def report_algorithms(self, contexts: Any, choices: Any) -> None:
            """TensorRT's name for it."""
            record.report(contexts, choices)

    return Selector()
