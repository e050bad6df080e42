package org.ftcluster.worker.bench;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.bench.KernelCases.Case;
import org.ftcluster.worker.bench.KernelCases.Shape;
import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.optimizer.AdamW;
import org.ftcluster.worker.optimizer.DeviceGradientSum;
import org.ftcluster.worker.optimizer.DeviceUpdate;
import org.ftcluster.worker.optimizer.GradientClip;
import org.ftcluster.worker.optimizer.GradientSum;
import org.ftcluster.worker.optimizer.OptimizerState;
import org.ftcluster.worker.optimizer.ParameterUpdate;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.Tensor;

/** What steps do with their gradients, by the CPU's code or a device's kernels. */
final class OptimizerCase {
  private static final AdamW ADAM_W = new AdamW(0.9, 0.98, 1e-8, 0.1);
  private static final int STEPS = 2;
  private static final int MICRO_BATCHES = 2;

  private OptimizerCase() {}

  static List<Case> all() {
    return List.of(
        of("exact sum", Reduction.EXACT),
        of("gradient norm", Reduction.EXACT),
        of("AdamW", Reduction.EXACT),
        of("fast sum", Reduction.FAST),
        of("rounded sum", Reduction.BFLOAT16));
  }

  /**
   * @param measured of the steps' operations
   */
  private static Case of(String measured, Reduction reduction) {
    return new Case(
        measured,
        true,
        measured,
        size -> {
          Shape all = Shape.floats(size.tokens(), size.hidden());
          return List.of(all, all);
        },
        (t, size) -> steps(t.get(0), t.get(1), reduction));
  }

  /**
   * Two steps of two micro-batches.
   *
   * @param values float32; they stay
   * @param gradients as many; of each micro-batch
   * @return what has become of the values, and the last step's norm
   */
  private static float[] steps(Tensor values, Tensor gradients, Reduction reduction) {
    long size = values.elements();
    var all = new ParameterBuffer.Slice("all", new long[] {1, size}, 0);
    try (ParameterBuffer buffer = new ParameterBuffer(List.of(all));
        OptimizerState state = new OptimizerState(size)) {
      Accelerator device = values.accelerator();
      if (device == null) {
        buffer.values().copyFrom(values.memory());
        try (GradientSum sum = GradientSum.of(reduction, size, 0);
            ParameterUpdate update = new ParameterUpdate.Whole(ADAM_W, buffer, state)) {
          return steps(buffer, () -> buffer.gradients().copyFrom(gradients.memory()), sum, update);
        }
      }
      DeviceParameters there = buffer.on(device);
      device.download(buffer.values(), values.address());
      device.upload(there.values(), buffer.values());
      MemorySegment ofMicroBatch = buffer.gradients();
      device.download(ofMicroBatch, gradients.address());
      try (GradientSum sum = new DeviceGradientSum(reduction, there, 0, null, false, false);
          ParameterUpdate update = new DeviceUpdate(ADAM_W, buffer, there, state)) {
        return steps(buffer, () -> device.upload(there.gradients(), ofMicroBatch), sum, update);
      }
    }
  }

  /**
   * @param backward leaves a micro-batch's gradients
   */
  private static float[] steps(
      ParameterBuffer buffer, Runnable backward, GradientSum sum, ParameterUpdate update) {
    double norm = 0;
    for (int step = 0; step < STEPS; step++) {
      sum.start(MICRO_BATCHES);
      for (int i = 0; i < MICRO_BATCHES; i++) {
        backward.run();
        sum.add(buffer.gradients(), 1);
      }
      sum.reduce(new SilentGroup(1), buffer.gradients(), Duration.ZERO);
      norm = update.gradientNorm();
      update.apply(new AdamW.At(step + 1, 1e-3, GradientClip.scale(norm, 1)));
    }
    update.bringToHost();
    float[] results = new float[Math.toIntExact(buffer.size()) + 1];
    MemorySegment.copy(buffer.values(), ValueLayout.JAVA_FLOAT, 0, results, 0, results.length - 1);
    results[results.length - 1] = (float) norm;
    return results;
  }
}
