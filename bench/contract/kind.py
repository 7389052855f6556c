"""A kind of question, which everything else is generic over: one file in `mechboard.kinds` each.

    circuit    a model as a graph    ->  a score per edge

A kind says how a solution is checked, packed into tensors and unpacked, how it is scored against what the task holds
back, what record and page show of it, and by which trials a method of its own is tested. Engine, store, records,
command line and page know none by name: they find it through the entry-point group `mechboard.kinds`.

What a kind scores with, it imports; what only looks (trials, drawings) it names, so that a changed picture or trial
makes no score stale.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from ..errors import Unsupported
from .method import Method
from .task import Instance, Task

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from .measures import Definitions
    from .scores import Evaluation, Exhibit, Fact, TruthInfo


class AnyProblem(Protocol):
    """What the engine asks of a problem of any kind."""

    @property
    def n_prompts(self) -> int:
        """How many prompts a method is given; cost is told per prompt."""
        ...

    def tensors(self) -> Iterator[Tensor]:
        """Everything that a method must leave as it is: weights, prompts, means."""
        ...


Problem = TypeVar("Problem", bound=AnyProblem)
Solution = TypeVar("Solution")


class Kind(ABC, Generic[Problem, Solution]):
    """One kind of question.

    Attributes:
        name: `circuit`; in records, on the command line, in declarations.
        question: heading of its section on the page.
        lead: what a cell of its table is, for readers of the page.
        definitions: what each of its measures means.
        shown: measures among which a reader of the page can choose; the first is shown at first.
        sees: what a method may declare to see beyond the problem.
        exhibits: what its scoring may leave in a record.
        adapters: how methods of other kinds answer tasks of this one.
        trials: `module:attribute` of the trials that conformance runs on its methods, a `conformance.methods.Trials`.
        template: `module:attribute` of a working method to start from, which `bench new method` writes; empty for none.
        task_trials: the same for its tasks, a `conformance.tasks.TaskTrials`; empty for none.
    """

    name: ClassVar[str]
    question: ClassVar[str]
    lead: ClassVar[str]
    definitions: ClassVar[Definitions]
    shown: ClassVar[tuple[str, ...]]
    sees: ClassVar[frozenset[str]] = frozenset()
    exhibits: ClassVar[tuple[type[Exhibit], ...]] = ()
    adapters: ClassVar[tuple[Adapter[Any, Any], ...]] = ()
    trials: ClassVar[str]
    task_trials: ClassVar[str] = ""
    template: ClassVar[str] = ""

    def check_instance(self, instance: Instance[Problem]) -> None:
        """See that what a task has loaded fits together, before a method spends hours on it.

        Raises:
            PluginError: it does not.
        """

    @abstractmethod
    def check(self, solution: object, problem: Problem) -> Solution:
        """The solution as it is scored, on the CPU.

        Raises:
            InvalidSolution: it cannot be scored.
        """

    @abstractmethod
    def pack(self, solution: Solution) -> dict[str, Tensor]:
        """A checked solution as named tensors."""

    @abstractmethod
    def unpack(self, tensors: Mapping[str, Tensor]) -> Solution:
        """What `pack` packed; raises KeyError where something is missing."""

    @abstractmethod
    def score(self, task: Task, instance: Instance[Problem], solution: Solution) -> Evaluation:
        """Every measure of a solution, against what the instance holds back."""

    @abstractmethod
    def facts(self, instance: Instance[Problem]) -> tuple[Fact, ...]:
        """What a record says about the problem."""

    @abstractmethod
    def truths(self, instance: Instance[Problem]) -> tuple[TruthInfo, ...]:
        """What a record says about the truths."""

    def reveal(self, instance: Instance[Problem], sees: frozenset[str]) -> Problem:
        """The problem with what a method declares to see.

        Raises:
            Unsupported: the task cannot show it.
        """
        return instance.problem

    def export(self, instance: Instance[Problem], solution: Solution, point: float | None, folder: Path) -> str:
        """Write what a solution makes of the instance's model into an empty folder, as a checkpoint; say what it is.

        `point` is one of those that the solution offers; the one that the record reports if None.

        Raises:
            Unsupported: a solution of this kind changes no model, or this one in a way that no checkpoint holds.
            UsageError: there is no such point.
        """
        raise Unsupported(f"a {self.name} record says something of a model and changes nothing in it")


@dataclass(frozen=True, kw_only=True)
class Adapter(Generic[Problem, Solution]):
    """From methods of one kind to methods of another.

    `down` makes an inner problem of the outer one, `up` an outer solution of the inner one. An adapted method keeps its
    name and parameters; the adapter's name stands in the cell's label, path and identity, behind an `@` that no name of
    a method can hold, so that an adapted run is never taken for a native one.
    """

    name: str
    inner: Kind[Any, Any]
    down: Callable[[Problem], Any]
    up: Callable[[Any, Problem], Solution]

    def __call__(self, method: Method) -> Method:
        """The method as one of the outer kind."""

        def adapted(problem: Problem, generator: Generator, parameters: Any) -> Solution:
            inner = self.down(problem)
            return self.up(self.inner.check(method(inner, generator, parameters), inner), problem)

        return replace(method, function=adapted)
