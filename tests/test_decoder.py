import pytest
import torch
from models import FAMILIES, random_decoder, random_pairs
from naive import rerun

from mechboard.errors import UsageError
from mechboard.graph import record_outputs


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_node_outputs_equal_a_node_by_node_rerun(family):
    decoder, pairs = random_decoder(family), random_pairs()
    graph = decoder.graph
    outputs, logits = rerun(decoder, graph, pairs.clean)
    assert torch.allclose(decoder(pairs.clean), logits, atol=1e-10)
    ours = record_outputs(decoder, decoder.embed(pairs.clean))
    for row, name in enumerate(graph.sources):
        assert torch.allclose(ours[row], outputs[name], atol=1e-10), name


def test_a_prompt_longer_than_the_model_is_refused():
    decoder = random_decoder("gpt2")
    with pytest.raises(UsageError, match="13 tokens was given to a model of 12 positions"):
        decoder.embed(torch.zeros(1, 13, dtype=torch.long))


def test_padding_on_the_right_changes_nothing_before_it():
    decoder, pairs = random_decoder("llama"), random_pairs()
    padded = torch.cat([pairs.clean, torch.zeros(5, 3, dtype=torch.long)], dim=1)
    assert torch.allclose(decoder(padded)[:, :6], decoder(pairs.clean), atol=1e-10)
