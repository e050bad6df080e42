"""One training step of Transformers + PEFT on a CPU or a GPU, measured as `ftcluster bench` measures ours.

Random weights of a config.json's shape, LoRA on all linear layers, AdamW, clipping to norm 1; every token carries a
loss. Prints a line of JSON with the fields of `ftcluster bench --json`. Needs torch, transformers and peft:

    python3 deploy/benchmarks/peft_step.py --config deploy/benchmarks/llama-246m.json --batch 4 --seq 512 --steps 5
"""

import argparse
import json
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

arguments = argparse.ArgumentParser()
arguments.add_argument("--config", required=True)
arguments.add_argument("--batch", type=int, default=4)
arguments.add_argument("--seq", type=int, default=512)
arguments.add_argument("--steps", type=int, default=5)
arguments.add_argument("--threads", type=int, default=2)
arguments.add_argument("--rank", type=int, default=16)
arguments.add_argument("--dropout", type=float, default=0.0)
arguments.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
arguments.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
arguments.add_argument("--gradient-checkpointing", action="store_true")
settings = arguments.parse_args()

torch.set_num_threads(settings.threads)
torch.manual_seed(0)
config = LlamaConfig(**json.load(open(settings.config)))
config._attn_implementation = "sdpa"
with torch.device(settings.device):
    model = LlamaForCausalLM(config).to(getattr(torch, settings.dtype))
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
tokens = torch.randint(0, config.vocab_size, (settings.batch, settings.seq), device=settings.device)


def step():
    start = time.perf_counter()
    with torch.autocast(settings.device, dtype=torch.bfloat16, enabled=settings.dtype == "bfloat16"):
        loss = model(input_ids=tokens, labels=tokens, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    if settings.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


step()
seconds = statistics.median(step() for _ in range(settings.steps))
layer = config.hidden_size * (
    2 * config.num_attention_heads * config.head_dim
    + 2 * config.num_key_value_heads * config.head_dim
    + 3 * config.intermediate_size
)
weights = config.num_hidden_layers * layer + config.hidden_size * config.vocab_size
count = settings.batch * settings.seq
print(
    json.dumps(
        {
            "step_seconds": seconds,
            "tokens_per_second": count / seconds,
            "gflops": (6 if settings.gradient_checkpointing else 4) * weights * count / seconds / 1e9,
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "peak_gpu_bytes": torch.cuda.max_memory_reserved() if settings.device == "cuda" else 0,
        }
    )
)
