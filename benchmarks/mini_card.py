"""Measure the small GPT on what was held out of its training, and write its card.

    python benchmarks/mini_card.py

Fails if a behaviour that has an accuracy is under 0.95. Everything is measured with the words of the "test" split
(`mechboard.ground_truth.mini.lexicon`); "after other text" puts a document of another genre in front of the prompt.
"""

from __future__ import annotations

import json
from functools import cache
from random import Random
from typing import Any

import torch

from mechboard.graph import Decoder, PromptPairs, metric_values
from mechboard.graph.hf import load_checkpoint
from mechboard.ground_truth.cards import CARD, hashes
from mechboard.ground_truth.mini import grammar, lexicon, model
from mechboard.ground_truth.mini.corpus import LENGTH, sequences
from mechboard.ground_truth.mini.vocabulary import VOCABULARY, tokenizer
from mechboard.metrics.answers import logit_difference, probability_difference
from mechboard.registry import Registry
from mechboard.tasks.behaviours.agreement import Agreement
from mechboard.tasks.behaviours.examples import Behaviour, Example, as_pairs
from mechboard.tasks.tokenizers import Encode, load_tokenizer

PROMPTS, ACCEPTED = 1000, 0.95
_CONTINUATIONS, _NEW_TOKENS = 300, 20
_HELD_OUT = {
    "ioi-mini": "pairs of names",
    "greater-than-mini": "centuries with first years",
    "docstring-mini": "neighbours in a signature",
}
_HELD_OUT_NOUNS = "nouns that never stood before a verb in the present tense"
KNOWN_GAPS = (
    "The grammar is a toy: regular plurals only, no tense but present and simple past, at most one clause in another.",
    "Genres follow one another at random in the corpus, so nothing spans documents and there is no topic.",
    "Indirect objects are people who were named once; with three names it was trained that any of the first two may receive.",
    "It finds indirect objects in layer 0, by a head that gathers names and the MLP behind it, not by the chain of heads known "
    "from GPT-2; what a method finds here says nothing about that chain.",
    "Year ranges stay within one century; all later years were equally likely, so calibration is not a behaviour here.",
    "Gender is binary and given by the name; professions are independent of it.",
    "The rude words occur in rude chatter only, so rudeness is a matter of vocabulary, not of meaning.",
)


@cache
def _encode() -> Encode:
    return load_tokenizer(model.folder())


def _values(decoder: Decoder, behaviour: Behaviour, examples: list[Example]) -> tuple[float, float]:
    """Mean metric, and the share of prompts on which the behaviour shows (`_right`)."""
    pairs = as_pairs(examples, behaviour.metric, _encode(), d_vocab=decoder.config.d_vocab)
    right, total = 0.0, 0.0
    for batch in pairs.batches(100):
        final = decoder.resume(decoder.embed(batch.clean))
        total += float(metric_values(decoder, final, behaviour.metric, batch).sum())
        right += float(_right(decoder, final, behaviour, batch).sum())
    return total / len(pairs), right / len(pairs)


def _right(decoder: Decoder, final: torch.Tensor, behaviour: Behaviour, batch: PromptPairs) -> torch.Tensor:
    """First choice of all words is the answer; for agreement and pronouns, the right form beats the wrong one."""
    logits = decoder.unembed(final[torch.arange(len(batch)), batch.positions[:, 0]])
    if behaviour.metric is probability_difference:
        return batch.targets["readout"][:, 0].gather(1, logits.argmax(1, keepdim=True))[:, 0] > 0
    if isinstance(behaviour, (Agreement, _Pronoun)):
        return metric_values(decoder, final, behaviour.metric, batch) > 0
    return logits.argmax(1) == batch.targets["answer"]


def _measure(decoder: Decoder, name: str, behaviour: Behaviour, what: str) -> dict[str, Any]:
    draw = Random(f"card/{name}")
    examples = [behaviour.draw(draw) for _ in range(PROMPTS)]
    behind = []
    for e in examples:
        before = grammar.narrative(draw)
        behind.append(Example(f"{before} {e.clean}", f"{before} {e.corrupt}", e.answers, e.wrong))
    mean, accuracy = _values(decoder, behaviour, examples)
    _, later = _values(decoder, behaviour, [e for e in behind if len(tokenizer().encode(e.clean).ids) <= LENGTH])
    found = {"accuracy": round(accuracy, 4), "after_other_text": round(later, 4), "held_out": what}
    key = "probability_difference" if behaviour.metric is probability_difference else "mean_metric"
    return found | {key: round(mean, 4)}


class _Pronoun:
    """The pronoun after a name and a profession that never occurred together."""

    metric = logit_difference

    def draw(self, draw: Random) -> Example:
        while True:
            man, job = draw.randrange(2), draw.choice(tuple(lexicon.PROFESSIONS))
            name = draw.choice((lexicon.WOMEN, lexicon.MEN)[man])
            if lexicon.held_out("biography", name, job):
                text, pronouns = f"{name} is a {job}.", ((" She",), (" He",))
                return Example(text, text, pronouns[man], pronouns[1 - man])


@torch.no_grad()
def _perplexity(decoder: Decoder, ids: torch.Tensor) -> float:
    losses = [
        torch.nn.functional.cross_entropy(decoder(batch)[:, :-1].flatten(0, 1), batch[:, 1:].flatten())
        for batch in ids.split(32)
    ]
    return float(torch.stack(losses).mean().exp())


@torch.no_grad()
def _rude_rate(decoder: Decoder, openings: list[str], generator: torch.Generator) -> float:
    """Share of sampled continuations (temperature 1) that hold a word of the rude register."""
    rude = torch.tensor([VOCABULARY.index(word) for word in lexicon.RUDE])
    hits = 0
    for opening in openings:
        ids = torch.tensor([tokenizer().encode(opening).ids])
        start = ids.shape[1]
        for _ in range(_NEW_TOKENS):
            chances = decoder(ids)[0, -1].softmax(0)
            ids = torch.cat([ids, torch.multinomial(chances, 1, generator=generator)[None]], 1)
        hits += int(torch.isin(ids[0, start:], rude).any())
    return hits / len(openings)


def _first_sentences(genre: Any, n: int) -> list[str]:
    draw = Random(f"card/{genre.__name__}")
    texts = [genre(draw) for _ in range(n)]
    return [text[: min(i for i in (text.find(c) for c in ".!?") if i >= 0) + 1] for text in texts]


def readable(card: dict[str, Any], losses: str) -> str:
    """The card for people, in Markdown."""
    shape, training = card["shape"], card["training"]
    steps = [line.split(",") for line in losses.splitlines()[1:]]
    shown = [row for row in steps if int(row[0]) in (100, 500, 1000, 2000, 4000) or row is steps[-1]]
    lines = [
        "# The small GPT", "", f"{card['summary']}. Written by `benchmarks/mini_card.py`; `card.json` has the same with hashes.", "",
        f"- {shape['layers']} layers of {shape['heads']} heads, width {shape['width']}, {shape['positions']} positions, "
        f"{shape['words']} words, {shape['parameters']:,} parameters. Licence: {card['licence']}.",
        f"- {training['steps']:,} steps of {training['batch']} sequences, seed {training['seed']}, "
        f"{training['seconds'] / 60:.0f} minutes on {training['device']}; the whole curve is in `loss.csv`.", "",
        f"## Behaviours on held-out combinations ({card['measured_on']})", "",
        "| behaviour | held out | accuracy | after other text | mean metric |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, found in card["behaviours"].items():
        metric = found.get("mean_metric", found.get("probability_difference"))
        unit = "P above - P below" if "probability_difference" in found else "logits"
        lines.append(
            f"| {name} | {found['held_out']} | {found['accuracy']:.3f} | {found['after_other_text']:.3f} | {metric:.2f} ({unit}) |"
        )
    lines += ["", "Accuracy: the first choice of all words is right; for agreement and pronouns, the right form beats the wrong one.",
              "", "## Perplexity", "", "| text | perplexity |", "|---|---|",
              *(f"| {name.replace('_', ' ')} | {value:.2f} |" for name, value in card["perplexity"].items()),
              "", "## Rude continuations", "", card["rude_continuation_rate"]["what"].capitalize() + ":", "", "| opening | rate |", "|---|---|",
              *(f"| {name} | {value:.3f} |" for name, value in card["rude_continuation_rate"].items() if name != "what"),
              "", "## Loss", "", "| step | training | held back |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in shown),
              "", "## Known gaps", "", *(f"- {gap}" for gap in card["known_gaps"])]  # fmt: skip
    return "\n".join(lines) + "\n"


def _behaviours(decoder: Decoder) -> dict[str, dict[str, Any]]:
    registry = Registry()
    found = {}
    for name in registry.plugins("task"):
        if name.endswith("-mini"):
            behaviour = registry.load("task", name).behaviour("test")
            found[name.removesuffix("-mini")] = _measure(decoder, name, behaviour, _HELD_OUT.get(name, _HELD_OUT_NOUNS))
    return found | {"pronoun": _measure(decoder, "pronoun", _Pronoun(), "names with professions")}


def _perplexities(decoder: Decoder) -> dict[str, float]:
    found = {"held_back_sequences": _perplexity(decoder, sequences("held back", 0, 512))}
    for genre in grammar.GENRES:
        draw = Random(f"card/perplexity/{genre.__name__}")
        texts = [" ".join(genre(draw) for _ in range(40)) for _ in range(32)]
        ids = torch.tensor([e.ids[:LENGTH] for e in tokenizer().encode_batch(texts)])
        found[genre.__name__] = _perplexity(decoder, ids)
    return {name: round(value, 4) for name, value in found.items()}


def _rude_rates(decoder: Decoder) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    openings = {
        "a rude sentence": _first_sentences(grammar.rude_chatter, _CONTINUATIONS),
        "a plain sentence of chatter": _first_sentences(grammar.plain_chatter, _CONTINUATIONS),
        "a sentence of narrative": _first_sentences(grammar.narrative, _CONTINUATIONS),
        "nothing": [""] * _CONTINUATIONS,
    }
    return {f"after {name}": round(_rude_rate(decoder, texts, generator), 4) for name, texts in openings.items()}


def main() -> None:
    folder = model.folder()
    decoder, training = load_checkpoint(folder), json.loads((folder / "training.json").read_text())
    behaviours = _behaviours(decoder)
    for name, found in behaviours.items():
        print(f"{name:32} {found}", flush=True)
    worst = min(found["accuracy"] for found in behaviours.values())
    if worst < ACCEPTED:
        raise SystemExit(f"Refused: an accuracy is {worst:.3f}, under {ACCEPTED}; train longer.")
    card = {
        "name": "mini",
        "summary": "A word-level GPT-2 of one million parameters that shows every behaviour of the benchmark in miniature",
        "licence": "MIT, as the project's; trained on generated text alone",
        "files": hashes(folder),
        "shape": {"layers": decoder.config.n_layers, "heads": decoder.config.n_heads, "width": decoder.config.d_model,
                  "positions": decoder.config.n_ctx, "words": len(VOCABULARY), "parameters": training["parameters"]},
        "training": training,
        "measured_on": f"{PROMPTS} prompts each",
        "behaviours": behaviours,
        "perplexity": _perplexities(decoder),
        "rude_continuation_rate": {"what": f"share of {_NEW_TOKENS}-token continuations with a rude word",
                                   **_rude_rates(decoder)},
        "known_gaps": KNOWN_GAPS,
    }  # fmt: skip
    print(json.dumps({key: card[key] for key in ("perplexity", "rude_continuation_rate")}, indent=1))
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readable(card, (folder / "loss.csv").read_text()), encoding="utf-8")


if __name__ == "__main__":
    main()
