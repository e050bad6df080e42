package org.ftcluster.worker.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.ftcluster.worker.bench.KernelCases.Case;
import org.ftcluster.worker.bench.KernelCases.Shape;
import org.ftcluster.worker.bench.KernelCases.Size;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.Aten;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Profile;
import org.ftcluster.worker.tensor.Scope;
import org.ftcluster.worker.tensor.Tensor;

/**
 * Runs every kernel of an accelerator on random numbers, compares what it leaves with what the
 * CPU's leaves, and measures how fast it is. Of the thread that opened the accelerator.
 */
public final class KernelCheck {
  private static final List<DType> TYPES = List.of(DType.FLOAT32, DType.BFLOAT16);

  /** What float32 results may differ by, relative to the largest number of their tensor. */
  private static final double FLOAT32_BOUND = 1e-6;

  /** bfloat16's neighbours are that far apart, relative to them. */
  private static final double BFLOAT16_STEP = 1.0 / 128;

  /** Runs that are measured, after one that isn't. */
  private static final int REPETITIONS = 20;

  private final Accelerator accelerator;
  private final RandomNumbers numbers = new RandomNumbers();

  public KernelCheck(Accelerator accelerator) {
    Aten.initialize();
    this.accelerator = accelerator;
  }

  /**
   * How a kernel's result compares.
   *
   * @param type of its tensors
   * @param error the largest difference from the CPU's result, relative to the largest number of
   *     the tensor for float32, to the number itself for bfloat16
   * @param bound what it may be; 0 where the very bits must be the CPU's
   */
  public record Comparison(String name, DType type, double error, double bound) {
    public boolean isGood() {
      return error <= bound; // false for NaN
    }
  }

  /**
   * How fast a kernel is.
   *
   * @param seconds of a run
   * @param flops floating-point operations a second, 0 where bytes are what counts
   * @param bytes read and written a second, 0 where operations are what counts
   */
  public record Rate(String name, DType type, double seconds, double flops, double bytes) {}

  /** Compares all of them, over small tensors. */
  public List<Comparison> compare(Consumer<Comparison> each) {
    List<Comparison> all = new ArrayList<>();
    for (Case one : KernelCases.all()) {
      for (DType type : TYPES) {
        Comparison comparison = compare(one, type, Size.SMALL);
        all.add(comparison);
        each.accept(comparison);
      }
    }
    return all;
  }

  private Comparison compare(Case one, DType type, Size size) {
    try (Scope host = Scope.persistent();
        Scope device = Scope.persistent(accelerator)) {
      List<Tensor> onHost = new ArrayList<>();
      List<Tensor> onDevice = new ArrayList<>();
      for (Shape shape : one.tensors().apply(size)) {
        Tensor tensor = host.empty(shape.typeOr(type), shape.size());
        numbers.fill(tensor);
        onHost.add(tensor);
        onDevice.add(device.copyOf(tensor));
      }
      float[] expected = one.operation().run(onHost, size);
      float[] actual = one.operation().run(onDevice, size);
      double error = error(expected, actual, one.isExact(), DType.FLOAT32);
      for (int i = 0; i < onHost.size(); i++) {
        Tensor right = onHost.get(i);
        float[] found = onDevice.get(i).toFloats();
        error = Math.max(error, error(right.toFloats(), found, one.isExact(), right.dtype()));
      }
      return new Comparison(one.name(), type, error, bound(one, type));
    }
  }

  private static double bound(Case one, DType type) {
    if (one.isExact()) {
      return 0;
    }
    return type == DType.BFLOAT16 ? BFLOAT16_STEP : FLOAT32_BOUND;
  }

  private static double error(float[] expected, float[] actual, boolean exact, DType type) {
    double largest = 0;
    for (float value : expected) {
      largest = Math.max(largest, Math.abs(value));
    }
    double worst = 0;
    for (int i = 0; i < expected.length; i++) {
      double difference = Math.abs((double) expected[i] - actual[i]);
      // Where a sum cancels, what is left of a bfloat16 is rounding.
      double scale =
          type == DType.BFLOAT16 ? Math.max(Math.abs(expected[i]), largest / 1024) : largest;
      worst = Math.max(worst, exact || difference == 0 ? difference : difference / scale);
    }
    return worst; // NaN where one is
  }

  /** Measures all of them, over tensors that no cache holds. */
  public void measure(Consumer<Rate> each) {
    for (Case one : KernelCases.all()) {
      for (DType type : TYPES) {
        each.accept(measure(one, type, Size.LARGE));
      }
    }
  }

  private Rate measure(Case one, DType type, Size size) {
    try (Scope device = Scope.persistent(accelerator)) {
      List<Tensor> tensors = new ArrayList<>();
      for (Shape shape : one.tensors().apply(size)) {
        Tensor tensor = device.empty(shape.typeOr(type), shape.size());
        numbers.fill(tensor);
        tensors.add(tensor);
      }
      one.operation().run(tensors, size);
      Profile profile = Profile.start();
      one.operation().run(tensors, size);
      double waited = 0;
      double flops = 0;
      double bytes = 0;
      for (Profile.Sum sum : profile.stop()) {
        if (sum.operation().startsWith(one.measured())) {
          waited += sum.seconds();
          flops += sum.flops();
          bytes += sum.bytes();
        }
      }
      double seconds = one.measured().isEmpty() ? seconds(one, tensors, size) : waited;
      return new Rate(one.name(), type, seconds, flops / seconds, bytes / seconds);
    }
  }

  /** Of one of many runs, none of which is waited for. */
  private double seconds(Case one, List<Tensor> tensors, Size size) {
    accelerator.synchronize();
    long start = System.nanoTime();
    for (int i = 0; i < REPETITIONS; i++) {
      one.operation().run(tensors, size);
    }
    accelerator.synchronize();
    return (System.nanoTime() - start) / 1e9 / REPETITIONS;
  }
}
