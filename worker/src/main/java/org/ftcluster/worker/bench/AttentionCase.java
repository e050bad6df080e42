package org.ftcluster.worker.bench;

import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;
import org.ftcluster.worker.tensor.kernel.DeviceAttention;
import org.ftcluster.worker.tensor.kernel.ShortAttention;

/**
 * Attention of several sequences, by the CPU's kernel or a device's own. Tensors: output, queries,
 * keys, values, and the gradients of queries, keys, values and output.
 */
final class AttentionCase {
  private AttentionCase() {}

  static void forward(List<Tensor> t, KernelCases.Size size, int window) {
    try (Scope scope = Scope.persistent(t.get(0).accelerator())) {
      forward(t, size, window, statistics(scope, size));
    }
  }

  static void backward(List<Tensor> t, KernelCases.Size size, int window) {
    try (Scope scope = Scope.persistent(t.get(0).accelerator())) {
      Tensor statistics = statistics(scope, size);
      forward(t, size, window, statistics);
      if (t.get(0).isOnDevice()) {
        DeviceAttention.backward(
            shape(size, window),
            t.get(4),
            t.get(5),
            t.get(6),
            t.get(7),
            t.get(0),
            statistics,
            t.get(1),
            t.get(2),
            t.get(3));
        return;
      }
      int start = 0;
      for (int length : size.sequences()) {
        ShortAttention.backward(
            shape(size, window, length),
            part(t.get(4), start, length),
            part(t.get(5), start, length),
            part(t.get(6), start, length),
            part(t.get(7), start, length),
            part(t.get(0), start, length),
            part(t.get(1), start, length),
            part(t.get(2), start, length),
            part(t.get(3), start, length),
            statistics(statistics, size, start, length));
        start += length;
      }
    }
  }

  private static void forward(
      List<Tensor> t, KernelCases.Size size, int window, Tensor statistics) {
    if (t.get(0).isOnDevice()) {
      DeviceAttention.forward(
          shape(size, window), t.get(0), statistics, t.get(1), t.get(2), t.get(3));
      return;
    }
    int start = 0;
    for (int length : size.sequences()) {
      ShortAttention.forward(
          shape(size, window, length),
          part(t.get(0), start, length),
          part(t.get(1), start, length),
          part(t.get(2), start, length),
          part(t.get(3), start, length),
          statistics(statistics, size, start, length));
      start += length;
    }
  }

  private static DeviceAttention.Shape shape(KernelCases.Size size, int window) {
    return new DeviceAttention.Shape(
        size.sequences(), size.heads(), size.group(), size.headSize(), window, scale(size));
  }

  private static ShortAttention.Shape shape(KernelCases.Size size, int window, int length) {
    return new ShortAttention.Shape(
        length,
        size.heads() / size.group(),
        size.group(),
        size.headSize(),
        window == 0 ? length : window,
        scale(size));
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

  private static Tensor part(Tensor tensor, long start, long length) {
    return tensor.slice(0, start, start + length);
  }
}
