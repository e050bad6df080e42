package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
import org.ftcluster.worker.tensor.Profile;

/**
 * What a step does with its gradients, in an accelerator's memory and in the CPU's very arithmetic:
 * the kernels of {@code optimizer.cu}. Buffers are the accelerator's; float32 unless it is said.
 */
record DeviceOptimizer(Accelerator device) {
  private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE;

  /** Threads that sum a block's squares between them, as {@link GradientClip} has lanes. */
  private static final long LANES = 8;

  /**
   * As {@link FixedPoint#add}.
   *
   * @param sums int64
   * @param unusable int32: becomes 1 where a gradient can't be used
   */
  void addFixed(MemorySegment sums, MemorySegment gradients, double limit, MemorySegment unusable) {
    long size = elements(gradients);
    run("exact sum", 5 * gradients.byteSize(), kernel("fixed_add"), size)
        .with(sums, gradients, size, limit, unusable);
  }

  /**
   * As {@link FixedPoint#put}.
   *
   * @param terms int64
   * @param unusable as above
   */
  void putFixed(
      MemorySegment terms, MemorySegment gradients, double limit, MemorySegment unusable) {
    long size = elements(gradients);
    run("exact sum", 3 * gradients.byteSize(), kernel("fixed_put"), size)
        .with(terms, gradients, size, limit, unusable);
  }

  /** {@code sums += terms}, both int64. */
  void addFixed(MemorySegment sums, MemorySegment terms) {
    long size = terms.byteSize() / Long.BYTES;
    run("exact sum", 3 * terms.byteSize(), kernel("fixed_add_terms"), size).with(sums, terms, size);
  }

  /**
   * As {@link FixedPoint#toFloats}.
   *
   * @param sums int64
   */
  void toFloats(MemorySegment sums, MemorySegment values) {
    long size = elements(values);
    run("exact sum to floats", 3 * values.byteSize(), kernel("fixed_to_floats"), size)
        .with(values, sums, size);
  }

  /**
   * {@code terms = gradients}.
   *
   * @param unusable int32: becomes 1 where a gradient is no finite number
   */
  void put(MemorySegment terms, DType type, MemorySegment gradients, MemorySegment unusable) {
    long size = elements(gradients);
    Kernel kernel = new Kernel("optimizer", "float_put", type, DType.FLOAT32);
    run("rounded sum", terms.byteSize() + gradients.byteSize(), kernel, size)
        .with(terms, gradients, size, unusable);
  }

  /** {@code sums += terms}. */
  void add(MemorySegment sums, MemorySegment terms, DType type) {
    long size = elements(sums);
    Kernel kernel = new Kernel("optimizer", "float_add", DType.FLOAT32, type);
    run("fast sum", 2 * sums.byteSize() + terms.byteSize(), kernel, size).with(sums, terms, size);
  }

  /** {@code to = from}. */
  void convert(MemorySegment to, DType toType, MemorySegment from, DType fromType) {
    long size = to.byteSize() / toType.bytes();
    Kernel kernel = new Kernel("optimizer", "convert", toType, fromType);
    run("rounded sum", to.byteSize() + from.byteSize(), kernel, size).with(to, from, size);
  }

  /** As {@link GradientClip#norm(MemorySegment)}; waits for all that the device was told before. */
  double norm(MemorySegment gradients) {
    long size = elements(gradients);
    long blocks = Math.ceilDiv(size, (long) GradientClip.BLOCK);
    MemorySegment sums = device.scratch().allocate(blocks * DOUBLE.byteSize());
    run("gradient norm", gradients.byteSize(), kernel("squared_blocks"), LANES * blocks)
        .with(sums, gradients, size);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment ofBlocks = arena.allocate(DOUBLE, blocks);
      device.download(ofBlocks, sums);
      double sum = 0;
      for (long block = 0; block < blocks; block++) {
        sum += ofBlocks.getAtIndex(DOUBLE, block);
      }
      return Math.sqrt(sum);
    }
  }

  /** As {@link AdamW#update}, in place, of parameters that decay alike. */
  void adamW(
      AdamW.Factors factors,
      float decay,
      MemorySegment values,
      MemorySegment gradients,
      MemorySegment firstMoment,
      MemorySegment secondMoment) {
    long size = elements(values);
    run("AdamW", 7 * values.byteSize(), kernel("adamw"), size)
        .with(
            values,
            gradients,
            firstMoment,
            secondMoment,
            size,
            decay,
            factors.negativeStepSize(),
            factors.rootCorrection(),
            factors.gradientScale(),
            factors.gain1(),
            factors.keep2(),
            factors.gain2(),
            factors.epsilon());
  }

  private static long elements(MemorySegment floats) {
    return floats.byteSize() / Float.BYTES;
  }

  private static Kernel kernel(String name) {
    return new Kernel("optimizer", name, DType.FLOAT32);
  }

  private interface Launch {
    void with(Object... arguments);
  }

  /**
   * @param bytes that are read and written
   */
  private Launch run(String operation, long bytes, Kernel kernel, long threads) {
    return arguments -> {
      long start = Profile.begin();
      device.launch(kernel, Math.ceilDiv(threads, (long) device.blockThreads()), arguments);
      if (Profile.isActive()) {
        device.synchronize();
        Profile.ended(operation, start, 0, bytes);
      }
    };
  }
}
