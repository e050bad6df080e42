"""Writes nf4.safetensors: a matrix and what bitsandbytes makes of it, in NF4 with double quantization, on the CPU.

usage: make_nf4.py OUT.safetensors
needs: torch, bitsandbytes, safetensors
"""
import sys, torch, bitsandbytes.functional as F
from safetensors.torch import save_file
torch.manual_seed(3)
w = torch.randn(48, 448) * torch.rand(48, 1) * 0.1
w[0, :64] = 0  # a block of zeros
q, s = F.quantize_4bit(w, blocksize=64, compress_statistics=True, quant_type="nf4")
save_file({
    "weight": w, "packed": q.reshape(-1), "absmax_codes": s.absmax, "nested_absmax": s.state2.absmax,
    "offset": s.offset.reshape(1), "code_book": s.code, "nested_code_book": s.state2.code,
    "dequantized": F.dequantize_4bit(q, s),
}, sys.argv[1])
print(s.state2.blocksize, s.offset, q.shape, s.absmax[:8], s.state2.absmax)
