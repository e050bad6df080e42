package org.ftcluster.worker.optimizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.cuda.SimulatedDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a step does with its gradients leaves the same bits on a GPU as on the CPU. */
class DeviceOptimizerTest {
  private static final int SIZE = 3 * GradientClip.BLOCK + 1003;

  private final Arena arena = Arena.ofShared();
  private Accelerator device;
  private ParameterBuffer parameters;

  @BeforeEach
  void open() {
    device = SimulatedDevice.open();
    parameters =
        new ParameterBuffer(
            List.of(
                new ParameterBuffer.Slice("a", new long[] {10, 100}, 0),
                new ParameterBuffer.Slice("vector", new long[] {77}, 1000),
                new ParameterBuffer.Slice("b", new long[] {1, 123}, 1077),
                new ParameterBuffer.Slice("c", new long[] {1, SIZE - 1200}, 1200)));
    Random random = new Random(6);
    for (int i = 0; i < SIZE; i++) {
      parameters.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
      float gradient = (float) (random.nextGaussian() * Math.pow(10, -random.nextInt(9)));
      parameters.gradients().setAtIndex(ValueLayout.JAVA_FLOAT, i, gradient);
    }
  }

  @AfterEach
  void close() {
    device.close();
    parameters.close();
    arena.close();
  }

  @Test
  void adamW() {
    AdamW adamW = new AdamW(0.9, 0.98, 1e-8, 0.1);
    try (ParameterBuffer there = new ParameterBuffer(parameters.slices());
        OptimizerState state = new OptimizerState(SIZE);
        OptimizerState stateThere = new OptimizerState(SIZE)) {
      adamW.update(parameters, state, 1, 1e-2, 0.7f);
      there.values().copyFrom(parameters.values());
      stateThere.firstMoment().copyFrom(state.firstMoment());
      stateThere.secondMoment().copyFrom(state.secondMoment());
      DeviceParameters copy = there.on(device);
      device.upload(copy.values(), there.values());
      device.upload(copy.gradients(), parameters.gradients());

      try (ParameterUpdate update = new DeviceUpdate(adamW, there, copy, stateThere)) {
        for (int step = 2; step <= 4; step++) {
          AdamW.At at = new AdamW.At(step, 1e-2, 0.7f);
          adamW.update(parameters, state, at);
          update.apply(at);
        }
        update.bringToHost();
      }
      assertSame(state.firstMoment(), stateThere.firstMoment());
      assertSame(state.secondMoment(), stateThere.secondMoment());
      assertSame(parameters.values(), there.values());
    }
  }

  @Test
  void norm() {
    assertEquals(GradientClip.norm(parameters.gradients()), kernels().norm(parameters.gradients()));
  }

  @Test
  void exactSum() {
    double limit = FixedPoint.limit(4);
    MemorySegment expected = arena.allocate(ValueLayout.JAVA_LONG, SIZE);
    MemorySegment actual = arena.allocate(ValueLayout.JAVA_LONG, SIZE);
    MemorySegment unusable = arena.allocate(ValueLayout.JAVA_INT);
    for (int batch = 0; batch < 3; batch++) {
      FixedPoint.add(expected, parameters.gradients(), limit);
      kernels().addFixed(actual, parameters.gradients(), limit, unusable);
    }
    assertSame(expected, actual);
    assertEquals(0, unusable.get(ValueLayout.JAVA_INT, 0));

    MemorySegment floats = arena.allocate(ValueLayout.JAVA_FLOAT, SIZE);
    kernels().toFloats(actual, floats);
    FixedPoint.toFloats(expected, parameters.values());
    assertSame(parameters.values(), floats);

    parameters.gradients().setAtIndex(ValueLayout.JAVA_FLOAT, SIZE - 1, Float.NaN);
    kernels().addFixed(actual, parameters.gradients(), limit, unusable);
    assertEquals(1, unusable.get(ValueLayout.JAVA_INT, 0));
  }

  private DeviceOptimizer kernels() {
    return new DeviceOptimizer(device);
  }

  private static void assertSame(MemorySegment expected, MemorySegment actual) {
    assertArrayEquals(
        expected.toArray(ValueLayout.JAVA_BYTE), actual.toArray(ValueLayout.JAVA_BYTE));
  }
}
