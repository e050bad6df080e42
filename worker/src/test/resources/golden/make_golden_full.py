"""Writes reference cases for full fine-tuning, in the layout of make_golden.py: every weight of the model is trained,
weight decay leaves norms and biases out, and golden.json has no "lora".

usage: make_golden_full.py OUT_DIR [--seed N] [--only NAME]
needs: torch, transformers, safetensors
"""
import argparse, json, os, torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
import transformers as T
from make_golden import base, batch

STEPS = 3
small = {**base, "num_hidden_layers": 2, "intermediate_size": 96}
CASES = {
    "full-llama": T.LlamaConfig(**small, attention_bias=True, mlp_bias=True),
    "full-qwen2": T.Qwen2Config(**small, tie_word_embeddings=True),
    "full-qwen3": T.Qwen3Config(**small, head_dim=32, attention_bias=True),
    "full-phi3": T.Phi3Config(**small),
    "full-gemma3": T.Gemma3TextConfig(**small, head_dim=16, query_pre_attn_scalar=24, sliding_window=16,
                   layer_types=["sliding_attention", "full_attention"]),
}

def case(name, out, seed):
    torch.manual_seed(seed); g = torch.Generator().manual_seed(seed + 1)
    m = AutoModelForCausalLM.from_config(CASES[name], attn_implementation="eager").float()
    with torch.no_grad():   # norms off 1, biases off 0, weights large enough for the logits to differ
        for p in m.parameters(): p.add_(torch.randn(p.shape, generator=g) * (0.1 if p.ndim == 1 else 0.06))
    d = os.path.join(out, name); os.makedirs(d, exist_ok=True)
    m.save_pretrained(d, safe_serialization=True)
    ids, mask, labels = batch(g)
    m.train(); train = dict(m.named_parameters())
    t = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    for n, w in train.items(): t["init." + n] = w.detach().clone()
    opt_args = dict(lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    decay = 0.1
    opt = torch.optim.AdamW([dict(params=[w for w in train.values() if w.ndim > 1], weight_decay=decay),
                             dict(params=[w for w in train.values() if w.ndim == 1], weight_decay=0.0)], **opt_args)
    losses, norms = [], []
    for s in range(STEPS):
        o = m(input_ids=ids, attention_mask=mask, labels=labels); o.loss.backward()
        if s == 0:
            t["logits"] = o.logits.detach().clone(); t["base_logits"] = t["logits"].clone()
            for n, w in train.items(): t["grad." + n] = w.grad.clone()
        norms.append(torch.nn.utils.clip_grad_norm_(train.values(), 1.0)); losses.append(o.loss.detach())
        opt.step(); opt.zero_grad()
    for n, w in train.items(): t["final." + n] = w.detach().clone()
    t["loss"], t["grad_norm"] = torch.stack(losses), torch.stack(norms)
    save_file({k: v.contiguous() for k, v in t.items()}, os.path.join(d, "golden.safetensors"))
    json.dump(dict(optimizer=dict(name="AdamW", max_grad_norm=1.0, weight_decay=decay, **opt_args), steps=STEPS, seed=seed,
                   made_with=dict(torch=torch.__version__, transformers=T.__version__)),
              open(os.path.join(d, "golden.json"), "w"), indent=1)
    print(f"{name}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, |grad| {norms[0]:.3f}, params {sum(x.numel() for x in m.parameters())}")

if __name__ == "__main__":
    a = argparse.ArgumentParser(); a.add_argument("out"); a.add_argument("--seed", type=int, default=7); a.add_argument("--only")
    a = a.parse_args()
    for n in ([a.only] if a.only else CASES): case(n, a.out, a.seed)
