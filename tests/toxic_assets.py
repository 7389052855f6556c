"""The assets of the toxicity task in miniature: harmless invented words stand in for toxic ones.

A GPT-2 of two layers learns that posts are followed by posts and documents by documents; a BERT of one layer learns to tell a post
by its words. Both are written as the papers' are: vocab.json and merges.txt; a checkpoint of config and state_dict with a vocab.txt.
"""

import json
from random import Random

import torch
import transformers as hf

from mechboard.tasks.toxicity.scorer import CHECKPOINT

STANDING_IN = ["blorty", "snivish", "grubnik", "zortish", "dunklet", "moffler", "wobbrish", "plonkard"]
PLAIN = ["river", "bread", "window", "garden", "music", "letter", "summer", "candle", "basket", "winter"]


def sentence(draw, words):
    """Words that mostly follow one another in their order, so that there is something to learn."""
    at, said = draw.randrange(len(words)), []
    for _ in range(draw.randint(6, 9)):
        said.append(words[at % len(words)])
        at += 1 if draw.random() < 0.9 else draw.randrange(len(words))
    return " ".join(said)


def posts(n_per_bucket=40, seed=0):
    """Rows of posts.jsonl with scores spread evenly from 0.9 to 1."""
    draw, rows = Random(seed), []
    for bucket in range(9):
        for _ in range(n_per_bucket):
            score = 0.9 + (bucket + draw.uniform(0.1, 0.9)) / 90
            rows.append({"text": sentence(draw, STANDING_IN), "score": score})
    return rows


def documents(n=160, seed=1):
    draw = Random(seed)
    return [{"text": ". ".join(sentence(draw, PLAIN) for _ in range(4))} for _ in range(n)]


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make(root):
    """The four folders."""
    write_lines(root / "toxic-posts" / "posts.jsonl", posts())
    write_lines(root / "reference-text" / "reference.jsonl", documents())
    _gpt2(root / "gpt2")
    _detoxify(root / "detoxify-original")


def _gpt2(folder):
    from tokenizers import ByteLevelBPETokenizer

    folder.mkdir()
    texts = ["\n".join(row["text"] for row in posts(24, seed=2)), *(row["text"] for row in documents(80, seed=3))]
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(texts, vocab_size=420, special_tokens=["<|endoftext|>"], show_progress=False)
    trained.save_model(str(folder))
    tokenizer = hf.GPT2Tokenizer.from_pretrained(folder)
    end = tokenizer.bos_token_id
    torch.manual_seed(0)
    model = hf.GPT2LMHeadModel(
        hf.GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=128, vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end,
                      resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    )  # fmt: skip
    streams = [torch.tensor(tokenizer(text)["input_ids"]) for text in (texts[0], "\n".join(texts[1:]))]
    optimiser, draw = torch.optim.Adam(model.parameters(), 0.01), Random(0)
    for _ in range(100):
        rows = []
        for first, second in ((streams[0], streams[0]), (streams[1], streams[1]), (streams[0], streams[1])) * 2:
            parts = [part[start : start + 50] for part in (first, second) for start in [draw.randrange(len(part) - 50)]]
            rows.append(torch.cat([torch.tensor([end]), *parts])[draw.randrange(2) :][:100])
        optimiser.zero_grad()
        model(input_ids=torch.stack(rows), labels=torch.stack(rows)).loss.backward()
        optimiser.step()
    model.save_pretrained(folder)


def _detoxify(folder):
    folder.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *STANDING_IN, *PLAIN, "."]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    config = hf.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    config.save_pretrained(folder)
    config.num_labels = 6
    torch.manual_seed(0)
    model, tokenizer, draw = (
        hf.BertForSequenceClassification(config),
        hf.BertTokenizer.from_pretrained(folder),
        Random(0),
    )
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        texts = [sentence(draw, words) for words in (STANDING_IN, PLAIN) * 8]
        # One word is enough.
        texts[:8:2] = [f"{sentence(draw, PLAIN)} {draw.choice(STANDING_IN)} {sentence(draw, PLAIN)}" for _ in range(4)]
        texts[1:8:2] = [f"{sentence(draw, PLAIN)} {sentence(draw, PLAIN)} {sentence(draw, PLAIN)}" for _ in range(4)]
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
        wanted = torch.tensor([1.0, 0.0] * 8)[:, None].expand(-1, 6)
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted).backward()
        optimiser.step()
    classes = ["toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"]
    state = model.state_dict() | {"bert.embeddings.position_ids": torch.arange(64)[None]}
    torch.save({"config": {"dataset": {"args": {"classes": classes}}}, "state_dict": state}, folder / CHECKPOINT)
