"""MNIST as an asset: its files, whatever is wrong with them, and the task made of them."""

import gzip
import struct
from dataclasses import replace

import pytest
import torch
from test_cli import bench  # noqa: F401

from mechboard.errors import AssetError
from mechboard.tasks.digits.idx import read_idx
from mechboard.tasks.digits.mnist import MNIST, read_part, task


def idx(*shape, values=None, kind=8):
    n = torch.Size(shape).numel()
    values = bytes(i % 251 for i in range(n)) if values is None else bytes(values)
    return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + values


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A data set of 200 + 120 random pictures in the asset's folder, of which every third in the test set is a 3."""
    generator = torch.Generator().manual_seed(0)
    folder = tmp_path / "assets" / "mnist"
    folder.mkdir(parents=True)
    for n, (images, labels) in zip((200, 120), (MNIST.files[:2], MNIST.files[2:]), strict=True):
        pixels = torch.randint(256, (n, 28, 28), generator=generator).flatten().tolist()
        digits = [3 if i % 3 == 0 else i % 10 for i in range(n)]
        (folder / images).write_bytes(gzip.compress(idx(n, 28, 28, values=pixels), 1))
        (folder / labels).write_bytes(idx(n, values=digits))  # not packed: the name does not decide
    monkeypatch.setenv("MECHBOARD_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("MECHBOARD_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_an_idx_file_is_read_packed_or_not(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(idx(2, 3, 4)))
    assert torch.equal(read_idx(path, dimensions=3), torch.arange(24, dtype=torch.uint8).view(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with nothing; valid: 00 00 08 01"),
        (b"\x00\x00", "begins with 00 00; valid"),
        (idx(3, kind=13), "begins with 00 00 0d 01; valid: 00 00 08 01, an idx file of bytes with 1 dimension; fetch"),
        (idx(1, 3), "begins with 00 00 08 02; valid: 00 00 08 01"),
        (b"<html>", "begins with 3c 68 74 6d; valid"),
        (idx(3)[:6], "ends within its header, after 6 bytes"),
        (idx(3)[:-1], "holds 2 values, its header says 3 = 3; fetch it again"),
        (idx(3) + b"1", "holds 4 values, its header says 3 = 3"),
        (gzip.compress(idx(900))[:-20], "cannot be read"),
        (b"\x1f\x8bnonsense and more", "cannot be read"),
    ],
)
def test_a_file_that_is_none_or_is_cut_off_is_named(tmp_path, content, said):
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(AssetError, match=f"labels.gz' {said}"):
        read_idx(path, dimensions=1)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(AssetError, match="none' cannot be read"):
        read_idx(tmp_path / "none", dimensions=1)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (idx(2, 8, 8), idx(2), "pictures in .* have 8 x 8 pixels; valid: 28 x 28"),
        (idx(2, 28, 28), idx(3), "has 3 labels up to 2 for 2 pictures; valid: a digit from 0 to 9 for each"),
        (idx(2, 28, 28), idx(2, values=(0, 10)), "has 2 labels up to 10 for 2 pictures"),
        (idx(0, 28, 28), idx(0), "has 0 labels up to none for 0 pictures"),
    ],
)
def test_pictures_and_labels_that_do_not_fit_are_refused(tmp_path, images, labels, said):
    (tmp_path / "images").write_bytes(images)
    (tmp_path / "labels").write_bytes(labels)
    with pytest.raises(AssetError, match=said):
        read_part(tmp_path / "images", tmp_path / "labels")


def test_brightness_is_normalised_as_in_the_released_code(tmp_path):
    (tmp_path / "images").write_bytes(idx(1, 28, 28, values=[0, 255] * 392))
    (tmp_path / "labels").write_bytes(idx(1))
    dark, bright = read_part(tmp_path / "images", tmp_path / "labels").pixels[0, :2].tolist()
    assert (dark, bright) == pytest.approx((-0.1307 / 0.3081, (1 - 0.1307) / 0.3081))


def test_the_task_is_the_papers(small):
    instance = replace(task, epochs=1).load(0, "cpu")
    problem, held_out = instance.problem, instance.held_out
    assert problem.model.n_edges == 39_200
    assert (len(problem.bad), len(problem.keep)) == (30, 200)
    assert len(held_out.bad) + len(held_out.other) == 90
    test = read_part(small / MNIST.files[2], small / MNIST.files[3])
    threes = {tuple(row) for row in test.pixels[test.digits == 3].tolist()}
    given, kept = ({tuple(row) for row in part.inputs.tolist()} for part in (problem.bad, held_out.bad))
    assert given | kept == threes
    assert not given & kept
    assert (held_out.marked, problem.model.ablation, problem.model.image) == (400, "mean", (28, 28))


def test_the_same_data_are_split_otherwise_by_another_seed(small):
    a, b = (replace(task, epochs=1).load(seed, "cpu").problem for seed in (0, 1))
    assert torch.equal(a.keep.inputs, b.keep.inputs)
    assert not torch.equal(a.bad.inputs, b.bad.inputs)
    assert not torch.equal(a.model.parameters()["hidden"], b.model.parameters()["hidden"])


def test_records_tell_one_copy_of_the_data_from_another(small):
    before = task.asset_hashes()
    assert set(before) == {f"mnist/{name}" for name in MNIST.files} | {"mnist revision"}
    (small / MNIST.files[1]).write_bytes(idx(200, values=[1] * 200))
    after = task.asset_hashes()
    assert {name for name in before if before[name] != after[name]} == {"mnist/train-labels-idx1-ubyte.gz"}


def test_nothing_fetches_it_and_pull_says_where_which_files_go(small, bench):  # noqa: F811
    assert bench("pull", "digits-mnist")[1] == f"mnist: already in {small}\n"
    for name in MNIST.files:
        (small / name).unlink()
    code, _, err = bench("pull", "digits-mnist")
    assert code == 2
    assert "on no hub" in err
    assert "train-labels-idx1-ubyte.gz" in err
    assert "MECHBOARD_ASSETS/mnist" in err
    with pytest.raises(AssetError, match="not here and on no hub; get MNIST in idx format.*t10k-labels-idx1-ubyte.gz"):
        task.load(0, "cpu")


def test_the_data_set_is_the_real_one(assets):
    folder = assets / "mnist"
    if not folder.is_dir():
        pytest.skip(f"no mnist in {assets}")
    training, test = (
        read_part(folder / images, folder / labels) for images, labels in (MNIST.files[:2], MNIST.files[2:])
    )
    assert (len(training.digits), len(test.digits), int((test.digits == 3).sum())) == (60_000, 10_000, 1_010)
    assert (float(training.pixels.mean()), float(training.pixels.std())) == pytest.approx((0, 1), abs=1e-3)
