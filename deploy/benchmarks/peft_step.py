"""One training step of Transformers + PEFT on a CPU or a GPU, measured as `ftcluster bench` measures ours.

Random weights of a config.json's shape, LoRA on all linear layers, AdamW, clipping to norm 1. Sequences that differ in
length are filled up to the longest of their batch, as Transformers' collators do. Prints a line of JSON with the fields of `ftcluster bench --json`. Needs torch, transformers and peft:

    python3 deploy/benchmarks/peft_step.py --config deploy/benchmarks/llama-246m.json --batch 4 --seq 512 --steps 5
"""

import argparse
import json
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

arguments = argparse.ArgumentParser()
arguments.add_argument("--config", required=True)
arguments.add_argument("--batch", type=int, default=4)
arguments.add_argument("--seq", type=int, default=512)
arguments.add_argument("--shortest", type=int, help="tokens of the shortest sequence; --seq are the longest's")
arguments.add_argument("--answer", type=float, default=1.0, help="share of a sequence, its end, that carries a loss")
arguments.add_argument("--steps", type=int, default=5)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--rank", type=int, default=16)
arguments.add_argument("--dropout", type=float, default=0.0)
arguments.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
arguments.add_argument("--gradient-checkpointing", action="store_true")
settings = arguments.parse_args()
shortest = settings.seq if settings.shortest is None else settings.shortest
if not 1 <= shortest <= settings.seq:
    arguments.error(f"--shortest is {shortest}; give 1 to --seq, which is {settings.seq}")

torch.set_num_threads(settings.threads)
torch.manual_seed(0)
shape = json.load(open(settings.config))
config = AutoConfig.for_model(**{"model_type": "llama", **shape})
config._attn_implementation = "sdpa"
with torch.device(settings.device):
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, settings.dtype))
# Adapter weights stay float32, as PEFT's autocast_adapter_dtype has them and as ours are.
model = get_peft_model(
    model,
    LoraConfig(
        r=settings.rank,
        lora_alpha=2 * settings.rank,
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    ),
)
if settings.gradient_checkpointing:
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0)
model.to(settings.device)  # the adapter, too
GOLDEN_RATIO = (5**0.5 - 1) / 2  # its multiples, less their whole part, are spread evenly over 0 to 1


def batch(index):
    """Random tokens [B, S], which of them aren't filling (None: all), labels, and tokens that aren't filling.

    Lengths are those of `ftcluster bench`.
    """
    numbers = range(index * settings.batch, (index + 1) * settings.batch)
    lengths = [shortest + int(n * GOLDEN_RATIO % 1 * (settings.seq - shortest + 1)) for n in numbers]
    tokens = torch.randint(0, config.vocab_size, (settings.batch, max(lengths)))
    mask = None if min(lengths) == max(lengths) else torch.zeros_like(tokens)
    labels = torch.full_like(tokens, -100)
    for row, length in enumerate(lengths):
        answered = max(1, int(settings.answer * length))
        if mask is not None:
            mask[row, :length] = 1
        labels[row, length - answered : length] = tokens[row, length - answered : length]
    mask = None if mask is None else mask.to(settings.device)
    return tokens.to(settings.device), mask, labels.to(settings.device), sum(lengths)


def step(index):
    """Seconds, tokens and those of them that carry a loss."""
    tokens, mask, labels, count = batch(index)
    start = time.perf_counter()
    with torch.autocast(settings.device, dtype=torch.bfloat16, enabled=settings.dtype == "bfloat16"):
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if settings.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, count, int((labels != -100).sum())


step(0)
steps = [step(1 + index) for index in range(settings.steps)]
layer = config.hidden_size * (
    2 * config.num_attention_heads * config.head_dim
    + 2 * config.num_key_value_heads * config.head_dim
    + 3 * config.intermediate_size
)
layers = config.num_hidden_layers * layer
head = config.hidden_size * config.vocab_size
operations = 6 if settings.gradient_checkpointing else 4
print(
    json.dumps(
        {
            "step_seconds": statistics.median(seconds for seconds, _, _ in steps),
            "tokens_per_second": statistics.median(tokens / seconds for seconds, tokens, _ in steps),
            "gflops": statistics.median(
                operations * (layers * tokens + head * targets) / seconds / 1e9 for seconds, tokens, targets in steps
            ),
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "peak_gpu_bytes": torch.cuda.max_memory_reserved() if settings.device == "cuda" else 0,
        }
    )
)
