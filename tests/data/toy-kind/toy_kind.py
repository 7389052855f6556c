"""A kind that asks for one number, with two tasks, a method, and an adapter from circuit methods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from mechboard.conformance.methods import Trials
from mechboard.contract.kind import Adapter, Kind
from mechboard.contract.measures import Definition, Definitions
from mechboard.contract.scores import Evaluation, Exhibit, Fact, TruthInfo
from mechboard.errors import InvalidSolution
from mechboard.kinds.circuit import circuit
from mechboard.plugins.registry import Registry
from mechboard.protocols import EdgeScores, Instance, NoParameters, Task, Unsupported, method

CALLS = []


@dataclass(frozen=True)
class Question:
    asked: str
    inner: Any
    n_prompts: int = 1

    def tensors(self) -> Iterator[torch.Tensor]:
        yield from self.inner.tensors()


class Said(Exhibit):
    type: Literal["said"] = "said"
    number: float
    drawing: ClassVar[str] = "toy_kind:draw"

    def lines(self) -> Iterator[str]:
        yield f"says {self.number:g}"


def draw(said: Said, *, title: str) -> str:
    return f"<p>{said.number:g}</p>"


def down(problem: Question) -> Any:
    return problem.inner


def up(solution: EdgeScores, problem: Question) -> float:
    return float(solution.scores.nan_to_num().sum())


def other_up(solution: EdgeScores, problem: Question) -> float:
    return 0.0


class Number(Kind[Question, float]):
    name = "number"
    question = "Which method says the right number?"
    lead = "Each cell says how close a method comes to 7 (1 is 7 itself)."
    definitions = Definitions(
        {"closeness": Definition(direction="higher", chance=0.0, oracle=1.0, lowest=0.0, highest=1.0)}
    )
    shown = ("closeness",)
    exhibits = (Said,)
    adapters = (Adapter(name="total", inner=circuit, down=down, up=up),)
    trials = "toy_kind:TRIALS"

    def check(self, solution: object, problem: Question) -> float:
        if not isinstance(solution, float):
            raise InvalidSolution(f"The method returned {type(solution).__name__}; valid: a float.")
        return solution

    def pack(self, solution: float) -> dict[str, torch.Tensor]:
        return {"number": torch.tensor([solution], dtype=torch.float64)}

    def unpack(self, tensors: Any) -> float:
        return float(tensors["number"])

    def score(self, task: Task, instance: Instance, solution: float) -> Evaluation:
        closeness = 1 / (1 + abs(solution - instance.held_out))
        return Evaluation(
            headline="closeness",
            measures={"closeness": self.definitions.make("closeness", closeness)},
            exhibits={"said": Said(number=solution)},
        )

    def facts(self, instance: Instance) -> tuple[Fact, ...]:
        return (Fact(name="asks for", text="a number"),)

    def truths(self, instance: Instance) -> tuple[TruthInfo, ...]:
        return ()


@dataclass(frozen=True, kw_only=True)
class Guess(Task):
    kind: str = "number"

    def load(self, data_seed: int, device: str) -> Instance:
        inner = Registry().load("task", "compiled-reverse").load(data_seed, device).problem
        return Instance(problem=Question(self.name, inner), held_out=7.0)


@method(name="sayer", kinds=("number",), deterministic=True)
def sayer(problem: Question, generator: torch.Generator, parameters: NoParameters) -> float:
    CALLS.append(problem.asked)
    if problem.asked == "guess-again":
        raise Unsupported("says nothing twice")
    return 7.0


@method(name="both", kinds=("number", "circuit"), deterministic=True)
def both(problem, generator, parameters: NoParameters):
    return 7.0


@method(name="wrong-shape", kinds=("circuit",), deterministic=True)
def wrong_shape(problem, generator, parameters: NoParameters):
    return EdgeScores(torch.zeros(3))


def check_number(trial: Any) -> str:
    return str(trial.first["number"])


number = Number()
guess = Guess(name="guess", summary="Guess seven")
guess_again = Guess(name="guess-again", summary="Guess seven again")
TRIALS = Trials(task="guess", checks={"a number at all": check_number})
