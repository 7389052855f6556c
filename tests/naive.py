"""A slow, plain re-run of a decoder, node by node, from its weights alone: the witness for the fast core.

Every input of every node is summed from its visible sources one by one, so an edge is changed by
changing one term. It shares no code with `mechboard.graph` but the weights and the graph's names.
"""

import torch
import torch.nn.functional as F


def _norm(x, weights, config):
    if config.norm == "layer":
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + config.norm_eps).sqrt()
    elif config.norm == "rms":
        x = x / (x.pow(2).mean(-1, keepdim=True) + config.norm_eps).sqrt()
    x = x if weights.gain is None else x * weights.gain
    return x if weights.offset is None else x + weights.offset


def _rotate(x, frequencies):
    half = len(frequencies)
    out = x.clone()
    for position in range(x.shape[1]):
        cos, sin = torch.cos(position * frequencies), torch.sin(position * frequencies)
        first, second = x[:, position, :half], x[:, position, half : 2 * half]
        out[:, position, :half] = first * cos - second * sin
        out[:, position, half : 2 * half] = first * sin + second * cos
    return out


def _act(x, name):
    if name == "gelu_new":
        return F.gelu(x, approximate="tanh")
    return {"gelu": F.gelu, "relu": F.relu, "silu": F.silu}[name](x)


def _head(q_in, k_in, v_in, head, layer, decoder):
    config, rotary = decoder.config, decoder.weights.rotary_frequencies
    group = head // (config.n_heads // config.n_kv_heads)
    parts = []
    for x, matrix, bias, row in (
        (q_in, layer.q, layer.q_bias, head),
        (k_in, layer.k, layer.k_bias, group),
        (v_in, layer.v, layer.v_bias, group),
    ):
        y = _norm(x, layer.attention_norm, config) @ matrix[row]
        parts.append(y if bias is None else y + bias[row])
    q, k, v = parts
    if rotary is not None:
        q, k = _rotate(q, rotary), _rotate(k, rotary)
    scores = q @ k.transpose(1, 2) * config.attention_scale
    length = scores.shape[-1]
    scores = scores.masked_fill(~torch.ones(length, length).tril().bool(), -torch.inf)
    out = scores.softmax(-1) @ v @ layer.o[head]
    return out if layer.o_bias is None else out + layer.o_bias / config.n_heads


def _mlp(x, layer, config):
    x = _norm(x, layer.mlp_norm, config)
    up = x @ layer.mlp_in + (0 if layer.mlp_in_bias is None else layer.mlp_in_bias)
    if layer.mlp_gate is None:
        post = _act(up, config.activation)
    else:
        gate = x @ layer.mlp_gate + (0 if layer.mlp_gate_bias is None else layer.mlp_gate_bias)
        post = _act(gate, config.activation) * up
    return post @ layer.mlp_out + (0 if layer.mlp_out_bias is None else layer.mlp_out_bias)


def rerun(decoder, graph, tokens, ablated=None, patched=()):
    """(outputs of every node by name, logits) with the edges named in `patched` carrying `ablated[source]`."""
    config, weights = decoder.config, decoder.weights
    outputs = {"input": weights.token[tokens]}
    if weights.position is not None:
        outputs["input"] = outputs["input"] + weights.position[: tokens.shape[1]]
    visible = {}
    for edge in graph.edges:
        source, _, destination = edge.partition("->")
        visible.setdefault(destination, []).append(source)

    def read(destination):
        return sum(
            ablated[source] if f"{source}->{destination}" in patched else outputs[source]
            for source in visible[destination]
        )

    for index, layer in enumerate(weights.layers):
        for head in range(config.n_heads):
            name = f"a{index}.h{head}"
            outputs[name] = _head(*(read(f"{name}<{part}>") for part in "qkv"), head, layer, decoder)
        if config.has_mlp:
            outputs[f"m{index}"] = _mlp(read(f"m{index}"), layer, config)
    logits = _norm(read("logits"), weights.final_norm, config) @ weights.unembed
    return outputs, logits if weights.unembed_bias is None else logits + weights.unembed_bias
