"""What every workshop needs, imported once by the server that they are forked from."""

# transformers imports its models when they are first asked for, which takes seconds.
import safetensors.torch  # noqa: F401
import transformers.models.gpt2.modeling_gpt2
import transformers.models.gpt_neox.modeling_gpt_neox
import transformers.models.llama.modeling_llama  # noqa: F401
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: F401

import mechboard.graph.export
import mechboard.graph.hf
import mechboard.runs.workers.workshop  # noqa: F401
