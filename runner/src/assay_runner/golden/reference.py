"""Golden, held once for every trial and every pass: its outputs as they are stored, its tensors as they are computed.

A tensor that a check wants to see is computed by one run of golden per part of the dataset, whoever asks for it. Where
more than one trial is to come, parts are kept on disk as far as a budget lasts, and later trials run nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Literal

from assay_api.entries import FloorEntry
from assay_runner.backends import Built, Session
from assay_runner.data.rows import affordable, is_float
from assay_runner.errors import InvalidInput
from assay_runner.evidence import Need, TensorNoise
from assay_runner.golden.axes import GoldenAxes
from assay_runner.golden.model import BACKEND, golden_model
from assay_runner.golden.store import TensorStore
from assay_runner.graphs.sample_axes import SampleAxes
from assay_runner.models.loading import LoadedModel
from assay_runner.statistics.peaks import Peaks
from assay_runner.tensors import Array, Arrays, Batch, Batches, Site

PEAKED: Final = 512 << 20
"""Bytes of golden's outputs that are looked at for the scales in them."""


class Reference:
    """What candidates are held against.

    Attributes:
        model: the audit's model.
        dataset: inputs, and labels where there are any.
        outputs: golden outputs, one mapping per batch of the dataset, rows of padding cut off; read once a trial.
        measured: what was measured of golden alone, by need: the same for every candidate.
        runs: parts of the dataset that golden was run on to show tensors.
        floors: how closely golden's outputs agree with themselves, as far as that was measured.
        noise: how closely its tensors do, by the names of those that a candidate shares; as far as anybody asked.
        precision: of the run that makes golden's tensors.
        computed: whether the outputs are what this model gave in that precision, not what somebody stored.
        workdir: where derived models, and tensors that are kept, lie.
    """

    def __init__(
        self,
        model: LoadedModel,
        dataset: Batches,
        outputs: Iterable[Arrays],
        precision: Literal["fp32", "fp64"],
        workdir: Path,
        *,
        keep: int = 0,
        axes: GoldenAxes | None = None,
        floors: tuple[FloorEntry, ...] = (),
        computed: bool = False,
    ) -> None:
        """Nothing is run yet.

        Args:
            model: the audit's model.
            dataset: its inputs.
            outputs: see above.
            precision: of the run that makes golden's tensors.
            workdir: where derived models, and tensors that are kept, lie.
            keep: bytes of tensors kept on disk; 0 where one trial is all there is to come.
            axes: where the samples of golden's tensors are; None: that is found out.
            floors: how closely its outputs agree with themselves, as far as that was measured.
            computed: whether the outputs are what this model gave in that precision.
        """
        self.model, self.dataset, self.outputs, self.floors = model, dataset, outputs, floors
        self.computed = computed
        self.measured: dict[Need[Any], Any] = {}
        self.noise: dict[frozenset[str], Mapping[str, TensorNoise]] = {}
        self.runs = 0
        self.precision, self.workdir, self._keep = precision, workdir, keep
        self._store = TensorStore(workdir / "golden-tensors", keep) if keep else None
        self._sessions = ExitStack()
        self._session: Session | None = None
        self._opened: frozenset[str] = frozenset()
        self._fits: dict[tuple[int, int, frozenset[str]], int] = {}
        self._axes = axes or GoldenAxes(model, dataset, workdir)

    def of(self, dataset: Batches, outputs: Iterable[Arrays], name: str) -> Reference:
        """The same golden on some of its samples; tensors are kept in a folder of that name.

        Args:
            dataset: these samples.
            outputs: golden's of them, one mapping per batch.
            name: no other part's.
        """
        return Reference(
            self.model, dataset, outputs, self.precision, self.workdir / name, keep=self._keep, axes=self._axes,
            floors=self.floors, computed=self.computed,
        )  # fmt: skip

    def __iter__(self) -> Iterator[tuple[Batch, Arrays]]:
        """Each batch and its golden outputs.

        Raises:
            InvalidInput: there are more of the one than of the other.
        """
        for batch, golden in zip_longest(self.dataset, self.outputs):
            if batch is None or golden is None:
                raise InvalidInput("golden outputs and dataset have different numbers of batches: run the audit again")
            yield batch, golden

    @cached_property
    def built(self) -> Built:
        """Golden's model, as it is run.

        Raises:
            InvalidInput: ONNX Runtime refuses the model.
        """
        return golden_model(self.model, self.precision, self.workdir)[0]

    @cached_property
    def peaks(self) -> Mapping[str, Peaks]:
        """How large golden's outputs of real numbers become, element by element; in as many samples as PEAKED holds."""
        found: dict[str, Peaks] = {}
        read = 0
        for outputs in self.outputs:
            for name, array in outputs.items():
                if is_float(array):
                    found.setdefault(name, Peaks()).add(array)
                read += array.nbytes
            if read >= PEAKED:
                break
        return found

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """Every tensor of golden that can be shown, in topological order."""
        return BACKEND.sites(self.built)

    @cached_property
    def names(self) -> frozenset[str]:
        """Their names; asked for with every tensor."""
        return frozenset(site.tensor for site in self.sites)

    def axes(self, inner: bool) -> SampleAxes:
        """Where the samples of golden's outputs are, and with `inner` of its other tensors; found out once.

        Raises:
            Unavailable: memory ran out.
        """
        return self._axes.all if inner else self._axes.outputs

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the run that shows tensors."""
        return self.built.notes

    def fits(self, batch: Batch, names: Collection[str], limit: int) -> int:
        """Samples of a batch like this of which all of these tensors fit into memory.

        Args:
            batch: one of the dataset's.
            names: of the tensors that are wanted.
            limit: bytes.

        Returns:
            At least 1; 0, all of the batch, where the model fixes it or cannot be run on one sample.
        """
        if self.model.batch is not None:
            return 0
        key = (batch.start, limit, frozenset(names))
        if key not in self._fits:
            self._fits[key] = affordable(self._shown(names).run, batch, limit)
        return self._fits[key]

    def tensors(self, part: Batch, names: Collection[str]) -> Mapping[str, Array]:
        """Golden's tensors of these names, of those that it can show; the arrays are not to be written to.

        Raises:
            InvalidInput: the model cannot be run on these inputs.
            Unavailable: memory ran out.
        """
        wanted = self.names & set(names)
        key = (part.start, part.count)
        found = self._store.get(key, wanted) if self._store else None
        if found is None:
            self.runs += 1
            # With what was kept before, or trials that ask for other tensors would take turns in running golden.
            asked = wanted | self._store.asked(key) if self._store else wanted
            shown = self._shown(asked).run(part.inputs)
            found = {name: array for name, array in shown.items() if name in self.names}
            if self._store:
                self._store.put(key, asked, found)
        return found

    def of_others(self, inputs: Arrays, names: Collection[str]) -> Mapping[str, Array]:
        """Golden's tensors of these names on inputs that are not the dataset's; nothing of it is kept.

        Raises:
            InvalidInput: the model cannot be run on these inputs.
            Unavailable: memory ran out.
        """
        return {name: array for name, array in self._shown(names).run(inputs).items() if name in names}

    def rest(self) -> None:
        """Give back what a run holds; the next one opens it anew."""
        self._sessions.close()
        self._session, self._opened = None, frozenset()

    def _shown(self, names: Collection[str]) -> Session:
        """A session that shows at least these tensors."""
        if self._session is None or not self._opened >= set(names):
            opened = self._opened | set(names)
            self.rest()
            self._session = self._sessions.enter_context(BACKEND.open_tapped(self.built, opened))
            self._opened = opened
        return self._session
