package org.ftcluster.worker.bench;

import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.BlockedAttention;
import org.ftcluster.worker.tensor.kernel.CachedAttention;
import org.ftcluster.worker.tensor.kernel.DeviceAttention;
import org.ftcluster.worker.tensor.kernel.Scores;

/** Attention of several sequences, by the CPU's kernel or a device's own. */
final class AttentionCase {
  private AttentionCase() {}

  /** What a case is given, in this order, end to end what belongs to the sequences. */
  private record Operands(
      Tensor output,
      Tensor queries,
      Tensor keys,
      Tensor values,
      Tensor dQueries,
      Tensor dKeys,
      Tensor dValues,
      Tensor dOutput) {
    static Operands of(List<Tensor> t) {
      return new Operands(
          t.get(0), t.get(1), t.get(2), t.get(3), t.get(4), t.get(5), t.get(6), t.get(7));
    }

    /** Those of tokens [from, to). */
    Operands slice(long from, long to) {
      return of(
          Stream.of(output, queries, keys, values, dQueries, dKeys, dValues, dOutput)
              .map(tensor -> tensor.slice(0, from, to))
              .toList());
    }
  }

  /** Of what {@link Operands} takes. */
  static List<KernelCases.Shape> shapes(KernelCases.Size size) {
    KernelCases.Shape queries = KernelCases.queries(size, KernelCases.tokens(size));
    KernelCases.Shape keys = KernelCases.keys(size);
    return List.of(queries, queries, keys, keys, queries, keys, keys, queries);
  }

  /** Of what {@link #cached} takes. */
  static List<KernelCases.Shape> ofCache(KernelCases.Size size) {
    KernelCases.Shape next = KernelCases.queries(size, size.sequences().length);
    KernelCases.Shape keys = KernelCases.keys(size);
    return List.of(next, next, keys, keys);
  }

  static void forward(List<Tensor> tensors, KernelCases.Size size, int window, double cap) {
    Operands all = Operands.of(tensors);
    try (Scope scope = Scope.persistent(all.output().accelerator())) {
      forward(scope, all, size, window, cap, statistics(scope, size));
    }
  }

  static void backward(List<Tensor> tensors, KernelCases.Size size, int window, double cap) {
    Operands all = Operands.of(tensors);
    try (Scope scope = Scope.persistent(all.output().accelerator())) {
      Tensor statistics = statistics(scope, size);
      forward(scope, all, size, window, cap, statistics);
      if (all.output().isOnDevice()) {
        DeviceAttention.backward(
            shape(size, window, cap),
            all.dQueries(),
            all.dKeys(),
            all.dValues(),
            all.dOutput(),
            all.output(),
            statistics,
            all.queries(),
            all.keys(),
            all.values());
        return;
      }
      int start = 0;
      for (int length : size.sequences()) {
        Operands own = all.slice(start, start + length);
        BlockedAttention.backward(
            scope,
            BlockedAttention.Products.FLOAT32,
            shape(size, window, cap, length),
            own.dQueries(),
            own.dKeys(),
            own.dValues(),
            own.dOutput(),
            own.output(),
            own.queries(),
            own.keys(),
            own.values(),
            statistics(statistics, size, start, length));
        start += length;
      }
    }
  }

  private static void forward(
      Scope scope, Operands all, KernelCases.Size size, int window, double cap, Tensor statistics) {
    if (all.output().isOnDevice()) {
      DeviceAttention.forward(
          shape(size, window, cap),
          all.output(),
          statistics,
          all.queries(),
          all.keys(),
          all.values());
      return;
    }
    int start = 0;
    for (int length : size.sequences()) {
      Operands own = all.slice(start, start + length);
      BlockedAttention.forward(
          scope,
          BlockedAttention.Products.FLOAT32,
          shape(size, window, cap, length),
          own.output(),
          own.queries(),
          own.keys(),
          own.values(),
          statistics(statistics, size, start, length));
      start += length;
    }
  }

  /** Of each sequence's last token, to keys and values that lie end to end, too. */
  static void cached(List<Tensor> t, KernelCases.Size size, int window, double cap) {
    int[] lengths = size.sequences();
    int[] starts = new int[lengths.length];
    int[] lasts = new int[lengths.length];
    int end = 0;
    for (int i = 0; i < lengths.length; i++) {
      starts[i] = end;
      end += lengths[i];
      lasts[i] = end - 1;
    }
    CachedAttention.forward(
        t.get(0),
        t.get(1),
        t.get(2),
        t.get(3),
        CachedAttention.Places.of(starts, lasts, window),
        size.headSize(),
        new Scores(scale(size), cap));
  }

  private static DeviceAttention.Shape shape(KernelCases.Size size, int window, double cap) {
    return new DeviceAttention.Shape(
        size.sequences(),
        size.heads(),
        size.group(),
        size.headSize(),
        window,
        new Scores(scale(size), cap));
  }

  private static BlockedAttention.Shape shape(
      KernelCases.Size size, int window, double cap, int length) {
    return new BlockedAttention.Shape(
        length,
        size.heads() / size.group(),
        size.group(),
        size.headSize(),
        window == 0 ? length : window,
        new Scores(scale(size), cap));
  }

  private static double scale(KernelCases.Size size) {
    return 1 / Math.sqrt(size.headSize());
  }

  private static Tensor statistics(Scope scope, KernelCases.Size size) {
    return scope.empty(DType.FLOAT32, (long) IntStream.of(size.sequences()).sum() * size.heads());
  }

  private static Tensor statistics(Tensor all, KernelCases.Size size, long start, long length) {
    long heads = size.heads();
    return all.slice(0, start * heads, (start + length) * heads).view(heads, length);
  }
}
