"""A small language and a small GPT that speaks it: every behaviour the benchmark asks about, in miniature.

- `lexicon`    words by category, and which of them and which combinations are held out of training;
- `templates`  sentences with slots; `grammar` fills them into documents, one function per genre;
- `corpus`     documents packed into sequences of token ids, from a seed; `tokens` the tokenizer;
- `train`      makes the weights; `model` opens them, and refuses any but those that the card was written for;
- `effects`    the exact effect of every edge on each task;
- `dictionaries`  sparse autoencoders of its vectors, and what makes them.
- `carried`    what each of their features carries, measured.

`python -m mechboard.ground_truth.mini.corpus` prints a page of the language.
"""
