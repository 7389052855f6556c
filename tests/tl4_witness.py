"""Edge scores by TransformerLens 4's own attribution patching, summed over positions: {edge: score}."""

from collections import defaultdict


def _name(node) -> str:
    if node.kind == "embed":
        return "input"
    if node.kind == "attn_head_out":
        return f"a{node.layer}.h{node.head}"
    if node.kind in ("mlp_out", "mlp_in"):
        return f"m{node.layer}"
    if node.kind == "logits":
        return "logits"
    return f"a{node.layer}.h{node.head}<{node.kind[0]}>"


def edge_scores_at_corrupt_point(problem) -> dict[str, float]:
    from transformer_lens.tools.analysis.attribution_patching import EdgeAttributionConfig, attribution_patch

    bridge, pairs = problem.bridge().eval(), problem.pairs
    totals: dict[str, float] = defaultdict(float)
    for index in range(len(pairs)):
        one = pairs[slice(index, index + 1)]

        def metric(logits, one=one):
            return problem.metric(one.read(logits), one).sum()

        result = attribution_patch(bridge, one.clean, one.corrupt, metric, EdgeAttributionConfig(granularity="edge"))
        for (source, destination), score in result.edge_scores.items():
            totals[f"{_name(source)}->{_name(destination)}"] += score / len(pairs)
    return dict(totals)
