package org.ftcluster.worker.optimizer;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Kernel;
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
        new ParameterBuffer(List.of(new ParameterBuffer.Slice("a", new long[] {1, SIZE}, 0)));
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
    MemorySegment values = copy(parameters.values());
    MemorySegment gradients = copy(parameters.gradients());
    MemorySegment first = arena.allocate(4L * SIZE, 64);
    MemorySegment second = arena.allocate(4L * SIZE, 64);
    try (OptimizerState state = new OptimizerState(SIZE)) {
      for (int step = 1; step <= 3; step++) {
        adamW.update(parameters, state, step, 1e-2, 0.7f);
        launch(
            "adamw",
            SIZE,
            values,
            gradients,
            first,
            second,
            (long) SIZE,
            (float) (1 - 1e-2 * 0.1),
            (float) -(1e-2 / (1 - Math.pow(0.9, step))),
            (float) Math.sqrt(1 - Math.pow(0.98, step)),
            0.7f,
            (float) (1 - 0.9),
            (float) 0.98,
            (float) (1 - 0.98),
            (float) 1e-8);
      }
      assertSame(state.firstMoment(), first);
      assertSame(state.secondMoment(), second);
      assertSame(parameters.values(), values);
    }
  }

  @Test
  void norm() {
    int blocks = Math.ceilDiv(SIZE, GradientClip.BLOCK);
    MemorySegment sums = arena.allocate(ValueLayout.JAVA_DOUBLE, blocks);
    launch("squared_blocks", 8L * blocks, sums, parameters.gradients(), (long) SIZE);
    double sum = 0;
    for (int block = 0; block < blocks; block++) {
      sum += sums.getAtIndex(ValueLayout.JAVA_DOUBLE, block);
    }
    assertEquals(GradientClip.norm(parameters.gradients()), Math.sqrt(sum));
  }

  @Test
  void exactSum() {
    double limit = FixedPoint.limit(4);
    MemorySegment expected = arena.allocate(ValueLayout.JAVA_LONG, SIZE);
    MemorySegment actual = arena.allocate(ValueLayout.JAVA_LONG, SIZE);
    MemorySegment unusable = arena.allocate(ValueLayout.JAVA_INT);
    for (int batch = 0; batch < 3; batch++) {
      FixedPoint.add(expected, parameters.gradients(), limit);
      launch("fixed_add", SIZE, actual, parameters.gradients(), (long) SIZE, limit, unusable);
    }
    assertSame(expected, actual);
    assertEquals(0, unusable.get(ValueLayout.JAVA_INT, 0));

    MemorySegment floats = arena.allocate(ValueLayout.JAVA_FLOAT, SIZE);
    launch("fixed_to_floats", SIZE, floats, actual, (long) SIZE);
    FixedPoint.toFloats(expected, parameters.values());
    assertSame(parameters.values(), floats);

    parameters.gradients().setAtIndex(ValueLayout.JAVA_FLOAT, SIZE - 1, Float.NaN);
    launch("fixed_add", SIZE, actual, parameters.gradients(), (long) SIZE, limit, unusable);
    assertEquals(1, unusable.get(ValueLayout.JAVA_INT, 0));
  }

  private void launch(String name, long threads, Object... arguments) {
    long blocks = Math.ceilDiv(threads, (long) device.blockThreads());
    device.launch(new Kernel("optimizer", name, DType.FLOAT32), blocks, arguments);
  }

  private MemorySegment copy(MemorySegment from) {
    return arena.allocate(from.byteSize(), 64).copyFrom(from);
  }

  private static void assertSame(MemorySegment expected, MemorySegment actual) {
    assertArrayEquals(
        expected.toArray(ValueLayout.JAVA_BYTE), actual.toArray(ValueLayout.JAVA_BYTE));
  }
}
