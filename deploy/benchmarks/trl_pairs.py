"""Steps of DPO by TRL on a CPU, and a job of the same pairs for `ftcluster train`.

Writes to a folder a model with random weights of a config.json's shape and the sample job's tokenizer, pairs made of the
sample job's lines, and job.yaml; then trains LoRA on all linear layers with TRL's DPOTrainer as it comes, and prints a line of
JSON. Tokens are those of both sequences of each pair, without what fills batches up. Needs torch, transformers, peft and trl:

    python3 deploy/benchmarks/trl_pairs.py FOLDER --config deploy/benchmarks/llama-56m.json --steps 6
    cli/ftcluster train FOLDER/job.yaml --workers 1 --json      # then FOLDER/out/metrics.jsonl has each step's tokens a second
"""

import argparse
import json
import pathlib
import random
import resource
import shutil
import statistics
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import DPOConfig, DPOTrainer

SAMPLE = pathlib.Path(__file__).parent.parent / "samples/decompile"
LONGEST = 512

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--config", required=True)
arguments.add_argument("--pairs", type=int, default=8, help="of a step, and a micro-batch")
arguments.add_argument("--steps", type=int, default=6)
arguments.add_argument("--threads", type=int, default=2)
settings = arguments.parse_args()

torch.set_num_threads(settings.threads)
torch.manual_seed(0)
base = settings.folder / "base"
config = AutoConfig.for_model(**{"model_type": "llama", **json.load(open(settings.config))})
AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(base)
for file in SAMPLE.glob("base/token*"):
    shutil.copy(file, base)

draw = random.Random(3)
lines = [json.loads(line) for line in open(SAMPLE / "train.jsonl")]
several = lambda field, count: "\n".join(line[field] for line in draw.sample(lines, count))
pairs = [
    {"prompt": several("instruction", 4), "chosen": several("output", 3), "rejected": several("output", 3)}
    for _ in range(20 * settings.pairs)
]
(settings.folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
(settings.folder / "job.yaml").write_text(
    f"""model: {{path: base}}
data: {{train: {{path: pairs.jsonl}}, max_length: {LONGEST}}}
training: {{max_steps: {settings.steps}, global_batch_size: {settings.pairs}, micro_batch_size: {settings.pairs}}}
preference: {{loss: dpo}}
resources: {{threads: {settings.threads}}}
checkpoint: {{path: out, overwrite: true}}
"""
)

tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=str(base / "tokenizer.json"), bos_token="<s>", eos_token="</s>", pad_token="</s>"
)


def tokens(pair):
    ids = {field: tokenizer(text, add_special_tokens=False).input_ids for field, text in pair.items()}
    prompt = [1] + ids["prompt"]
    room = LONGEST - len(prompt)
    assert room > 0, "a prompt leaves no room for an answer"
    return {
        "prompt_ids": prompt,
        "chosen_ids": (ids["chosen"] + [2])[:room],
        "rejected_ids": (ids["rejected"] + [2])[:room],
    }


class Tokenized(DPOTrainer):
    def _prepare_dataset(self, dataset, *rest):
        return dataset


class Watch(TrainerCallback):
    seconds = []

    def on_step_begin(self, *_, **__):
        self.begin = time.monotonic()

    def on_step_end(self, *_, **__):
        self.seconds.append(time.monotonic() - self.begin)


samples = [tokens(pair) for pair in pairs]
trainer = Tokenized(
    model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16),
    args=DPOConfig(
        output_dir=str(settings.folder / "trl"),
        per_device_train_batch_size=settings.pairs,
        max_steps=settings.steps,
        max_length=None,
        gradient_checkpointing=False,
        use_cpu=True,
        bf16=True,
        save_strategy="no",
        report_to=[],
    ),
    peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    train_dataset=Dataset.from_list(samples),
    processing_class=tokenizer,
    callbacks=[Watch()],
)
trainer.train()
step = statistics.median(Watch.seconds[1:])
mean = statistics.mean(2 * len(s["prompt_ids"]) + len(s["chosen_ids"]) + len(s["rejected_ids"]) for s in samples)
print(
    json.dumps(
        {
            "step_seconds": step,
            "tokens_per_second": settings.pairs * mean / step,
            "mean_pair_tokens": mean,
            "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }
    )
)
