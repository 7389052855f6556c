"""The corpora of the toxicity task: what is read, refused, drawn and packed. Invented words stand in for toxic ones."""

import json
import pickle
from random import Random

import pytest
from toxic_assets import STANDING_IN, posts, write_lines

from mechboard.errors import UsageError
from mechboard.tasks.toxicity import convert
from mechboard.tasks.toxicity.corpora import (
    Post,
    cleaned,
    drawn,
    packed_documents,
    packed_posts,
    read_documents,
    read_posts,
)

GOOD = {"text": "a post of more than twenty characters", "score": 0.95}


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ('<a href="#p1" class="quotelink">&gt;&gt;1</a><br>well then', "well then"),
        ("&quot;it&#039;s&quot; &lt;here&gt;", "its here"),
        ('<span class="quote">&gt;be me</span>', "be me"),
        ("fish &amp; chips", "fish &amp; chips"),
        ("<a>one\nline</a> two <A HREF=x>three</A>", "two"),
        ("<abbr>kept</abbr>", "kept"),
    ],
)
def test_posts_lose_anchors_with_their_text_and_other_tags_alone(given, left):
    assert cleaned(given) == left


def test_posts_of_twenty_characters_and_fewer_are_none(tmp_path):
    rows = [GOOD | {"text": "<i>" + "x" * n + "</i>"} for n in (20, 21)]
    write_lines(tmp_path / "posts.jsonl", rows)
    assert [len(post.text) for post in read_posts(tmp_path / "posts.jsonl")] == [21]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds 0 lines; valid: 1 or more"),
        ("blorty snivish\n", "posts.jsonl line 1 is not JSON"),
        (json.dumps({"text": "blorty " * 5}), "line 1 has no score from 0 to 1; valid: JSON lines"),
        (json.dumps({"text": "blorty " * 5, "score": "high"}), "no score from 0 to 1"),
        (json.dumps({"text": "blorty " * 5, "score": 90}), "no score from 0 to 1"),
        (json.dumps({"score": 0.9}), "line 1 has no text"),
        (json.dumps(GOOD | {"text": "blorty " * 5, "split": "valid"}), "another split than train or test"),
    ],
)
def test_a_corpus_that_is_no_corpus_is_refused_in_a_sentence_without_a_word_of_it(tmp_path, content, said):
    path = tmp_path / "posts.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match=said) as raised:
        read_posts(path)
    assert not [word for word in STANDING_IN if word in str(raised.value)]


def test_another_encoding_and_documents_without_text_are_refused(tmp_path):
    path = tmp_path / "posts.jsonl"
    path.write_bytes(json.dumps(GOOD, ensure_ascii=False).replace("a post", "ä post").encode("latin-1"))
    with pytest.raises(UsageError, match="cannot be read .* in UTF-8"):
        read_posts(path)
    write_lines(path, [{"text": "a"}, {"body": "b"}])
    with pytest.raises(UsageError, match="line 2 has no text"):
        read_documents(path)


def test_every_ninth_of_the_scores_gives_as_many_posts_and_none_is_for_both():
    given = [Post(f"post number {i}", row["score"], "") for i, row in enumerate(posts(20))]
    score = {post.text: post.score for post in given}
    shown, scored = drawn([*given, Post("below", 0.89, "")], 20, 100, Random(0))
    assert not set(shown) & set(scored)
    for chosen, n in ((shown, 2), (scored, 11)):
        ninths = [int((score[text] - 0.9) * 90) for text in chosen]
        assert [ninths.count(bucket) for bucket in range(9)] == [n] * 9
        assert ninths != sorted(ninths)


def test_the_same_text_under_two_scores_is_not_shown_and_scored():
    twice = [Post(f"post {i % 30}", 0.9 + 0.1 * (i // 30) / 9 + 0.003, "") for i in range(270)]
    shown, scored = drawn(twice, 9, 9, Random(0))
    assert len({*shown, *scored}) == 18


def test_a_released_split_is_kept():
    given = [Post(f"post {i}", row["score"], "train" if i % 4 == 0 else "test") for i, row in enumerate(posts(20))]
    shown, scored = drawn(given, 9, 45, Random(0))
    split = {post.text: post.split for post in given}
    assert {split[text] for text in shown} == {"train"}
    assert {split[text] for text in scored} == {"test"}


def test_too_few_posts_name_the_scores_that_lack_them():
    given = [Post(f"post {i}", row["score"], "") for i, row in enumerate(posts(3)) if row["score"] < 0.98]
    with pytest.raises(
        UsageError, match="holds 0 different posts for train with scores from 0.9778 to 0.9889; valid: 1 or more"
    ):
        drawn(given, 9, 9, Random(0))
    assert [len(part) for part in drawn([*given, *(Post(f"p{i}", 0.9 + 0.1 * i / 40, "") for i in range(41))], 9, 9, Random(0))] == [9, 9]  # fmt: skip


def letters(texts):
    return [[ord(c) for c in text] for text in texts]


def test_posts_are_joined_by_newlines_cut_into_twenty_and_regrouped_behind_a_first_token():
    seen = []

    def encode(texts):
        seen.extend(texts)
        return letters(texts)

    given = ["x" * 50, "y" * 60, "z" * 45]
    text = "\n".join(given)
    rows = packed_posts(given, encode, bos=7)
    assert "".join(seen) == text
    assert [len(piece) for piece in seen] == [8] * 19 + [len(text) - 8 * 19]
    assert rows[:, 0].tolist() == [7, 7, 7]
    assert rows[:, 1:].flatten().tolist() == [ord(c) for c in text[: 3 * 49]]


def test_documents_follow_one_another_with_the_end_of_text_between_them():
    rows = packed_documents(["a" * 30, "b" * 40], letters, bos=7)
    assert rows.tolist() == [[7, *[97] * 30, 7, *[98] * 18]]


def test_the_first_four_fifths_of_documents_are_for_discovery(tmp_path):
    write_lines(tmp_path / "reference.jsonl", [{"text": str(i), "meta": {}} for i in range(10)])
    assert read_documents(tmp_path / "reference.jsonl") == (list("01234567"), list("89"))


def test_released_formats_become_posts(tmp_path, capsys):
    dump, out = tmp_path / "dump.ndjson", tmp_path / "posts.jsonl"
    thread = [
        {"no": 1, "com": "<a>&gt;&gt;0</a>blorty snivish grubnik zortish", "perspectives": {"TOXICITY": 0.93}},
        {"no": 2, "com": "a post that nobody would mind at all", "perspectives": {"TOXICITY": 0.2}},
        {"no": 3, "perspectives": {"TOXICITY": 0.99}},
        {"no": 4, "com": "a post that nobody has given a score"},
    ]
    dump.write_text(json.dumps({"posts": thread}) + "\n")
    convert.main([str(out), "--dump", str(dump)])
    assert read_posts(out) == [Post("blorty snivish grubnik zortish", 0.93, "")]
    for name, row in (("train", (5, 0.91, "dunklet moffler wobbrish")), ("test", (6, 0.97, "plonkard grubnik blorty"))):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps([row]))
    convert.main([str(out), "--train", str(tmp_path / "train.pkl"), "--test", str(tmp_path / "test.pkl")])
    assert [post.split for post in read_posts(out)] == ["train", "test"]
    said = capsys.readouterr().out
    assert "2 posts, sha256" in said
    assert not [word for word in STANDING_IN if word in said]


def test_a_pickle_that_would_run_something_does_not(tmp_path, capsys):
    class Runs:
        def __reduce__(self):
            return print, ("it ran",)

    for name in ("train", "test"):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps([Runs()]))
    with pytest.raises(SystemExit, match=r"train.pkl cannot be read \(it holds builtins.print\)"):
        convert.main(
            [str(tmp_path / "o"), "--train", str(tmp_path / "train.pkl"), "--test", str(tmp_path / "test.pkl")]
        )
    assert "it ran" not in capsys.readouterr().out
