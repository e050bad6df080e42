"""Writes int8.safetensors: a matrix and what bitsandbytes makes of it in 8 bits, row by row, on the CPU.

usage: make_int8.py OUT.safetensors
needs: torch, bitsandbytes, safetensors
"""
import sys, torch, bitsandbytes.functional as F
from safetensors.torch import save_file
torch.manual_seed(3)
w = torch.randn(48, 200) * torch.rand(48, 1) * 0.1
# Halves of a row's largest magnitude, as weights of few bits have: which way they go is one rounding's matter.
w[24:] = (torch.randint(-32, 33, (24, 200)) / 32 * torch.rand(24, 1)).to(torch.bfloat16).float()
codes, absmax, _ = F.int8_vectorwise_quant(w)
save_file({"weight": w, "codes": codes, "absmax": absmax, "dequantized": F.int8_vectorwise_dequant(codes, absmax)}, sys.argv[1])
print(codes.dtype, codes.shape, absmax[:4], codes[0, :8])
