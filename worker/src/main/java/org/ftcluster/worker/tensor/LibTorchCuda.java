package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;

/**
 * The functions of libtorch's CUDA library ({@code libtorch_cuda.so}, of 2.7 or newer), which is
 * loaded from beside the CPU's: one declaration a symbol, as in {@link LibTorch}.
 */
final class LibTorchCuda {
  private static final SymbolLookup LOOKUP = load();

  static final Aten.Operators PRODUCTS =
      new Aten.Operators(
          status("aoti_torch_cuda_mm_out", ADDRESS, ADDRESS, ADDRESS),
          status(
              "aoti_torch_cuda_addmm_out",
              ADDRESS,
              ADDRESS,
              ADDRESS,
              ADDRESS,
              JAVA_DOUBLE,
              JAVA_DOUBLE));

  static final MethodHandle CURRENT_STREAM =
      status("aoti_torch_get_current_cuda_stream", JAVA_INT, ADDRESS);

  static final MethodHandle FLASH_ATTENTION =
      status(
          "aoti_torch_cuda__flash_attention_forward",
          ADDRESS, // query
          ADDRESS, // key
          ADDRESS, // value
          ADDRESS, // cum_seq_q, optional
          ADDRESS, // cum_seq_k, optional
          JAVA_LONG, // max_q
          JAVA_LONG, // max_k
          JAVA_DOUBLE, // dropout_p
          JAVA_INT, // is_causal
          JAVA_INT, // return_debug_mask
          ADDRESS, // scale, optional
          ADDRESS, // window_size_left, optional
          ADDRESS, // window_size_right, optional
          ADDRESS, // seqused_k, optional
          ADDRESS, // alibi_slopes, optional
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS,
          ADDRESS);

  static final MethodHandle FLASH_ATTENTION_BACKWARD =
      status(
          "aoti_torch_cuda__flash_attention_backward",
          ADDRESS, // grad_out
          ADDRESS, // query
          ADDRESS, // key
          ADDRESS, // value
          ADDRESS, // out
          ADDRESS, // logsumexp
          ADDRESS, // cum_seq_q
          ADDRESS, // cum_seq_k
          JAVA_LONG, // max_q
          JAVA_LONG, // max_k
          JAVA_DOUBLE, // dropout_p
          JAVA_INT, // is_causal
          ADDRESS, // rng_state
          ADDRESS, // unused
          ADDRESS, // scale, optional
          ADDRESS, // window_size_left, optional
          ADDRESS, // window_size_right, optional
          ADDRESS,
          ADDRESS,
          ADDRESS);

  private LibTorchCuda() {}

  private static SymbolLookup load() {
    return SymbolLookup.libraryLookup(TorchCuda.library(), Arena.global());
  }

  private static MethodHandle status(String name, MemoryLayout... arguments) {
    return Linker.nativeLinker()
        .downcallHandle(LOOKUP.findOrThrow(name), FunctionDescriptor.of(JAVA_INT, arguments));
  }
}
