package org.ftcluster.worker.tensor.kernel;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Parallel.Cost;
import org.ftcluster.worker.tensor.Scratch;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Causal attention of an accelerator's own, inside each of many sequences that lie end to end: for
 * what libtorch's fused kernels don't take, float32 and capped scores, and keys and values of a
 * cache.
 */
public final class DeviceAttention {
  private static final String FILE = "attention";

  private DeviceAttention() {}

  /**
   * Shapes and settings of a batch.
   *
   * @param lengths of the sequences, T tokens together
   * @param heads H
   * @param group query heads that share a key/value head: H / K
   * @param headSize C
   * @param window tokens that a token looks back over, itself included; 0 for all
   */
  public record Shape(
      int[] lengths, int heads, int group, int headSize, int window, Scores scores) {
    private int tokens() {
      int tokens = 0;
      for (int length : lengths) {
        tokens += length;
      }
      return tokens;
    }

    private int reach() {
      return window == 0 ? tokens() : window;
    }

    private int keyHeads() {
      return heads / group;
    }

    /** Where each token's sequence begins, or ends. */
    private int[] edges(boolean last) {
      int[] edges = new int[tokens()];
      int start = 0;
      for (int length : lengths) {
        java.util.Arrays.fill(edges, start, start + length, last ? start + length : start);
        start += length;
      }
      return edges;
    }

    private Cost cost(String kernel, int each) {
      double scores = 0;
      for (int length : lengths) {
        scores += 0.5 * length * (length + 1);
      }
      return new Cost(kernel, each * scores * heads * headSize, 0);
    }
  }

  /**
   * Writes the heads' outputs side by side.
   *
   * @param attended [T, H C] out
   * @param statistics float32 [H T] out, for the backward
   * @param q [T, H C]
   * @param k [T, K C]
   * @param v [T, K C]
   */
  public static void forward(
      Shape shape, Tensor attended, Tensor statistics, Tensor q, Tensor k, Tensor v) {
    check(shape, attended, q, k, v);
    MemorySegment firsts = q.device().scratch().upload(shape.edges(false));
    DeviceRows.run(
        shape.cost("attention", 4),
        q,
        kernel("attention", q),
        (long) shape.tokens() * shape.heads(),
        attended,
        statistics,
        q,
        k,
        v,
        firsts,
        shape.tokens(),
        shape.heads(),
        shape.group(),
        shape.headSize(),
        shape.reach(),
        (float) shape.scores().scale(),
        (float) shape.scores().cap());
  }

  /** As {@link CachedAttention#forward}. */
  static void cached(
      Tensor out,
      Tensor query,
      Tensor keys,
      Tensor values,
      CachedAttention.Places places,
      int headSize,
      Scores rule) {
    checkHeads(query, headSize);
    int heads = Math.toIntExact(query.size(1) / headSize);
    long tokens = 0;
    for (int b = 0; b < places.firsts().length; b++) {
      tokens += places.lasts()[b] - places.firsts()[b] + 1;
    }
    Scratch scratch = query.device().scratch();
    DeviceRows.run(
        new Cost(
            "attention: cached",
            4.0 * tokens * query.size(1),
            2.0 * tokens * keys.size(1) * keys.dtype().bytes()),
        query,
        kernel("attention_cached", query),
        query.size(0) * heads,
        out,
        query,
        keys,
        values,
        scratch.upload(places.firsts()),
        scratch.upload(places.lasts()),
        heads,
        Math.toIntExact(query.size(1) / keys.size(1)),
        headSize,
        (float) rule.scale(),
        (float) rule.cap());
  }

  /** Writes {@code dq}, {@code dk} and {@code dv} from the gradient of {@code attended}. */
  public static void backward(
      Shape shape,
      Tensor dq,
      Tensor dk,
      Tensor dv,
      Tensor gradient,
      Tensor attended,
      Tensor statistics,
      Tensor q,
      Tensor k,
      Tensor v) {
    check(shape, attended, q, k, v);
    check(shape, gradient, dq, dk, dv);
    int tokens = shape.tokens();
    long rows = (long) tokens * shape.heads();
    Scratch scratch = q.device().scratch();
    MemorySegment deltas = scratch.allocate(rows * Float.BYTES);
    MemorySegment firsts = scratch.upload(shape.edges(false));
    MemorySegment ends = scratch.upload(shape.edges(true));
    DeviceRows.run(
        Cost.through("attention backward: deltas", attended, gradient),
        q,
        kernel("attention_deltas", q),
        DeviceRows.blocksFor(q, rows),
        deltas,
        attended,
        gradient,
        tokens,
        shape.heads(),
        shape.headSize());
    DeviceRows.run(
        shape.cost("attention backward: queries", 6),
        q,
        kernel("attention_query_gradient", q),
        rows,
        dq,
        gradient,
        q,
        k,
        v,
        statistics,
        deltas,
        firsts,
        tokens,
        shape.heads(),
        shape.group(),
        shape.headSize(),
        shape.reach(),
        (float) shape.scores().scale(),
        (float) shape.scores().cap());
    DeviceRows.run(
        shape.cost("attention backward: keys", 8),
        q,
        kernel("attention_key_gradient", q),
        (long) tokens * shape.keyHeads(),
        dk,
        dv,
        gradient,
        q,
        k,
        v,
        statistics,
        deltas,
        ends,
        tokens,
        shape.heads(),
        shape.group(),
        shape.headSize(),
        shape.reach(),
        (float) shape.scores().scale(),
        (float) shape.scores().cap());
  }

  private static Kernel kernel(String name, Tensor like) {
    return new Kernel(FILE, name, like.dtype());
  }

  private static void checkHeads(Tensor q, int headSize) {
    int largest = q.device().blockThreads();
    if (headSize > largest) {
      throw new IllegalArgumentException(
          "attention of heads of %d elements; %s takes %d at most"
              .formatted(headSize, q.device().name(), largest));
    }
  }

  private static void check(Shape shape, Tensor attended, Tensor q, Tensor k, Tensor v) {
    checkHeads(q, shape.headSize());
    long width = (long) shape.heads() * shape.headSize();
    for (Tensor tensor : new Tensor[] {attended, q, k, v}) {
      long expected = tensor == k || tensor == v ? width / shape.group() : width;
      if (!tensor.isContiguous()
          || tensor.size(0) != shape.tokens()
          || tensor.size(1) != expected
          || tensor.dtype() != q.dtype()
          || !tensor.isBeside(q)) {
        throw new IllegalArgumentException(
            "attention of queries %s, keys %s and values %s to %s".formatted(q, k, v, attended));
      }
    }
  }
}
