"""Writes reference cases for learning from pairs of answers, computed by Transformers, PEFT and TRL in float32 on the CPU.

usage: make_pairs.py GOLDEN_DIR OUT_DIR [--seed N]
needs: torch, transformers, peft, trl, safetensors

Takes base models and adapters of the cases in GOLDEN_DIR, and writes for each OUT_DIR/NAME.safetensors:
    input_ids        int64 [2 B, S]  the better answers' sequences, then the worse ones', right-padded
    attention_mask   int64 [2 B, S]  1 = real token
    completion_mask  int64 [2 B, S]  1 = token of an answer
    LOSS.loss        []              mean over pairs
    LOSS.margin      [B]             by how much the better answer is ahead, times beta
    LOSS.grad.<key>                  of each adapter tensor; where the whole model is trained (full-*), of some of its tensors
for each LOSS of SETTINGS. dpo and ipo are what DPOTrainer computes (dpo-smoothed by its formula with a share of pairs
turned round), simpo what CPOTrainer makes of mean log-probabilities, orpo the mean loss of the better answer and
ORPOTrainer's odds.
"""
import argparse, json, os, tempfile, types, torch
import torch.nn.functional as F
from datasets import Dataset
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

CASES, V = ["llama3", "gemma2", "full-llama"], 320
SOME = ["lm_head.weight", "model.embed_tokens.weight", "model.norm.weight", "model.layers.0.self_attn.q_proj.weight"]
SETTINGS = {
    "dpo": dict(loss="dpo", beta=0.1),
    "dpo-smoothed": dict(loss="dpo", beta=0.3, label_smoothing=0.1),
    "ipo": dict(loss="ipo", beta=0.2),
    "simpo": dict(loss="simpo", beta=2.0, gamma=0.5),
    "orpo": dict(loss="orpo", beta=0.1),
}

def examples(g, pairs=3):
    draw = lambda n: torch.randint(3, V, (n,), generator=g).tolist()
    return [dict(prompt_ids=draw(5 + 3 * i), chosen_ids=draw(12 - 2 * i), rejected_ids=draw(7 + 3 * i)) for i in range(pairs)]

def tokenizer():   # the trainers want one, though samples are tokens already
    words = {f"t{i}": i for i in range(V)}
    t = Tokenizer(models.WordLevel(words, unk_token="t3")); t.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=t, pad_token="t0", bos_token="t1", eos_token="t2")

class TokensAlready(DPOTrainer):
    def _prepare_dataset(self, dataset, *rest): return dataset

def dpo_trainer(model, lora, loss_type, beta, samples, folder):
    args = DPOConfig(output_dir=folder, loss_type=loss_type, beta=beta, per_device_train_batch_size=len(samples),
                     report_to=[], use_cpu=True, bf16=False, gradient_checkpointing=False, max_length=None)
    return TokensAlready(model=model, peft_config=LoraConfig(**lora) if lora else None, args=args, train_dataset=Dataset.from_list(samples), processing_class=tokenizer())

def answers_logps(model, batch):
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    logps = logits.log_softmax(-1).gather(-1, batch["input_ids"][:, 1:, None])[..., 0]
    mask = batch["completion_mask"][:, 1:]
    return (logps * mask).sum(1), mask.sum(1)

def case(name, golden, out, seed):
    g = torch.Generator().manual_seed(seed)
    folder = os.path.join(golden, name)
    settings, tensors = json.load(open(os.path.join(folder, "golden.json"))), load_file(os.path.join(folder, "golden.safetensors"))
    samples, t, lora = examples(g), {}, settings.get("lora")
    for label, s in SETTINGS.items():
        if not lora and s["loss"] in ("dpo", "ipo"): continue   # there is no base left to compare with
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        keys = lambda m: {n.replace(".default", ""): w for n, w in m.named_parameters() if w.requires_grad}
        with tempfile.TemporaryDirectory() as scratch:
            trainer = dpo_trainer(base, lora, {"ipo": "ipo"}.get(s["loss"], "sigmoid"), s["beta"], samples, scratch)
        with torch.no_grad():
            for n, w in keys(trainer.model).items() if lora else []: w.copy_(tensors["init." + n])
        batch = trainer.data_collator([dict(e) for e in samples])
        for n in "input_ids", "attention_mask", "completion_mask": t[n] = batch[n].to(torch.int64)
        logps, counts = answers_logps(trainer.model, batch)
        reference = torch.zeros_like(logps)
        if lora:
            with torch.no_grad(), trainer.model.disable_adapter(): reference, _ = answers_logps(trainer.model, batch)
        (c, r), (nc, nr), (rc, rr) = logps.chunk(2), counts.chunk(2), reference.chunk(2)
        ahead = (c - rc) - (r - rr)
        if label in ("dpo", "ipo"):
            trainer.model.train()
            loss = trainer.compute_loss(trainer.model, batch)
            if label == "ipo": ahead = (c - rc) / nc - (r - rr) / nr
        elif s["loss"] == "dpo":
            e = s["label_smoothing"]
            loss = (-(1 - e) * F.logsigmoid(s["beta"] * ahead) - e * F.logsigmoid(-s["beta"] * ahead)).mean()
        elif s["loss"] == "simpo":
            own = types.SimpleNamespace(alpha=0.0, loss_type="simpo", simpo_gamma=s["gamma"], beta=s["beta"], label_smoothing=0.0,
                                        accelerator=trainer.accelerator)
            ahead = c / nc - r / nr
            loss = CPOTrainer.cpo_loss(own, c / nc, r / nr)[0].mean()
        else:
            own = types.SimpleNamespace(beta=s["beta"], accelerator=trainer.accelerator)
            odds = lambda l: l - torch.log1p(-torch.exp(l))
            ahead = odds(c / nc) - odds(r / nr)
            loss = (-c / nc - ORPOTrainer.odds_ratio_loss(own, c / nc, r / nr)[0]).mean()
        loss.backward()
        t[f"{label}.loss"], t[f"{label}.margin"] = loss.detach(), s["beta"] * ahead.detach()
        for n, w in keys(trainer.model).items():
            if lora or n in SOME: t[f"{label}.grad.{n}"] = w.grad.clone()
        print(f"{name} {label}: loss {loss:.5f}, margins {t[f'{label}.margin'].tolist()}")
    save_file({k: v.contiguous() for k, v in t.items()}, os.path.join(out, name + ".safetensors"))

if __name__ == "__main__":
    a = argparse.ArgumentParser(); a.add_argument("golden"); a.add_argument("out"); a.add_argument("--seed", type=int, default=11)
    a = a.parse_args()
    for n in CASES: case(n, a.golden, a.out, a.seed)
    json.dump(SETTINGS, open(os.path.join(a.out, "settings.json"), "w"), indent=1)
