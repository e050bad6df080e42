package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * libtorch's fused attention on GPUs (arXiv:2307.08691), causal, inside each of many sequences that
 * lie end to end. Of bfloat16.
 */
public final class FlashAttention {
  private FlashAttention() {}

  /**
   * What a batch looks like.
   *
   * @param starts int32 [sequences + 1]: where each begins, and where the last ends
   * @param longest the longest sequence's tokens
   * @param window tokens to look back over, the own one included; 0 for all
   * @param scale factor on the scores
   */
  public record Sequences(Tensor starts, long longest, int window, double scale) {}

  /**
   * What the backward needs besides inputs and output; handles of libtorch's, as it left them.
   *
   * @param random of no use without dropout, but asked for
   */
  public record Saved(MemorySegment logSumExp, MemorySegment random, MemorySegment unused) {}

  private static final Saved HOLLOW =
      new Saved(MemorySegment.NULL, MemorySegment.NULL, MemorySegment.NULL);

  /** Tokens to which the backward fills each sequence up in what it sums. */
  private static final long PADDING = 128;

  /** Elements to which it fills each head up there. */
  private static final long HEAD_PADDING = 32;

  /**
   * What the forward leaves.
   *
   * @param output [T, H, C]
   */
  public record Result(Tensor output, Saved saved) {}

  /**
   * Computes it.
   *
   * @param kept where stays what the backward needs
   * @param temporary where the output stays
   * @param query [T, H, C]
   * @param key [T, K, C], as is {@code value}
   */
  public static Result forward(
      Scope kept, Scope temporary, Sequences sequences, Tensor query, Tensor key, Tensor value) {
    check(query, key, value);
    if (DryRun.isOn()) {
      HollowDevice device = (HollowDevice) query.device();
      device.taken(bytes(query));
      return new Result(hollow(device, temporary, query), HOLLOW);
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment results = arena.allocate(ADDRESS, 5);
      MemorySegment q = query.handle();
      MemorySegment k = key.handle();
      MemorySegment v = value.handle();
      MemorySegment starts = arena.allocateFrom(ADDRESS, sequences.starts().handle());
      MemorySegment scale = arena.allocateFrom(JAVA_DOUBLE, sequences.scale());
      MemorySegment left = left(arena, sequences);
      MemorySegment right = right(arena, sequences);
      LibTorch.check(
          "flash_attention_forward",
          () ->
              (int)
                  LibTorchCuda.FLASH_ATTENTION.invokeExact(
                      q,
                      k,
                      v,
                      starts,
                      starts,
                      sequences.longest(),
                      sequences.longest(),
                      0.0,
                      1,
                      0,
                      scale,
                      left,
                      right,
                      MemorySegment.NULL,
                      MemorySegment.NULL,
                      results,
                      results.asSlice(8),
                      results.asSlice(16),
                      results.asSlice(24),
                      results.asSlice(32)));
      for (int i = 1; i < 5; i++) {
        kept.own(results.getAtIndex(ADDRESS, i));
      }
      return new Result(
          Tensor.ofHandle(temporary, results.getAtIndex(ADDRESS, 0)),
          new Saved(
              results.getAtIndex(ADDRESS, 1),
              results.getAtIndex(ADDRESS, 2),
              results.getAtIndex(ADDRESS, 3)));
    }
  }

  /**
   * The gradients of query, key and value from that of the output.
   *
   * @param scope where they stay
   * @param output of the forward
   */
  public static Aten.AttentionGradient backward(
      Scope scope,
      Sequences sequences,
      Tensor gradient,
      Tensor query,
      Tensor key,
      Tensor value,
      Tensor output,
      Saved saved) {
    check(query, key, value);
    if (DryRun.isOn()) {
      return hollowBackward(scope, sequences, query, key, value);
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment results = arena.allocate(ADDRESS, 3);
      MemorySegment g = gradient.handle();
      MemorySegment q = query.handle();
      MemorySegment k = key.handle();
      MemorySegment v = value.handle();
      MemorySegment o = output.handle();
      MemorySegment starts = sequences.starts().handle();
      MemorySegment scale = arena.allocateFrom(JAVA_DOUBLE, sequences.scale());
      MemorySegment left = left(arena, sequences);
      MemorySegment right = right(arena, sequences);
      LibTorch.check(
          "flash_attention_backward",
          () ->
              (int)
                  LibTorchCuda.FLASH_ATTENTION_BACKWARD.invokeExact(
                      g,
                      q,
                      k,
                      v,
                      o,
                      saved.logSumExp(),
                      starts,
                      starts,
                      sequences.longest(),
                      sequences.longest(),
                      0.0,
                      1,
                      saved.random(),
                      saved.unused(),
                      scale,
                      left,
                      right,
                      results,
                      results.asSlice(8),
                      results.asSlice(16)));
      return new Aten.AttentionGradient(
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 0)),
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 1)),
          Tensor.ofHandle(scope, results.getAtIndex(ADDRESS, 2)));
    }
  }

  /**
   * What libtorch's takes besides its results, as its {@code flash_api.cpp} has it: queries'
   * gradients in float32 and a sum a row, of sequences and heads that are filled up, and gradients
   * of keys and values for each of the queries' heads where those share them.
   */
  private static Aten.AttentionGradient hollowBackward(
      Scope scope, Sequences sequences, Tensor query, Tensor key, Tensor value) {
    HollowDevice device = (HollowDevice) query.device();
    long heads = query.size(1);
    long rows = query.size(0) + PADDING * (sequences.starts().elements() - 1);
    long width = Math.ceilDiv(query.size(2), HEAD_PADDING) * HEAD_PADDING;
    long sums = rows * heads * (width + 1) * Float.BYTES;
    long shared = key.size(1) < heads ? 2 * bytes(query) : 0;
    device.taken(sums + shared + bytes(query) + bytes(key) + bytes(value));
    return new Aten.AttentionGradient(
        hollow(device, scope, query), hollow(device, scope, key), hollow(device, scope, value));
  }

  private static long bytes(Tensor tensor) {
    return tensor.elements() * tensor.dtype().bytes();
  }

  /** One of the same shape, in libtorch's own memory. */
  private static Tensor hollow(HollowDevice device, Scope scope, Tensor like) {
    return scope.at(device.allocate(bytes(like)), like.dtype(), like.shape());
  }

  /** Tokens before the own one; absent where there is no window. */
  private static MemorySegment left(Arena arena, Sequences sequences) {
    return sequences.window() == 0
        ? MemorySegment.NULL
        : arena.allocateFrom(JAVA_LONG, sequences.window() - 1);
  }

  /** Tokens after the own one: none. */
  private static MemorySegment right(Arena arena, Sequences sequences) {
    return sequences.window() == 0 ? MemorySegment.NULL : arena.allocateFrom(JAVA_LONG, 0);
  }

  private static void check(Tensor query, Tensor key, Tensor value) {
    for (Tensor tensor : new Tensor[] {query, key, value}) {
      if (tensor.rank() != 3
          || !tensor.isOnDevice()
          || tensor.dtype() != DType.BFLOAT16
          || tensor.size(0) != query.size(0)
          || tensor.size(2) != query.size(2)
          || query.size(1) % tensor.size(1) != 0) {
        throw new IllegalArgumentException(
            "flash attention of query %s, key %s, value %s".formatted(query, key, value));
      }
    }
  }
}
