package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * What AdamW remembers of each parameter: running means of the gradient and of its square, float32,
 * in the order of the parameters. Zero before the first step.
 */
public final class OptimizerState implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final MemorySegment firstMoment;
  private final MemorySegment secondMoment;

  /**
   * @param size parameters
   */
  public OptimizerState(long size) {
    firstMoment = arena.allocate(size * Float.BYTES, 64);
    secondMoment = arena.allocate(size * Float.BYTES, 64);
  }

  /** Running mean of the gradients. */
  public MemorySegment firstMoment() {
    return firstMoment;
  }

  /** Running mean of the squared gradients. */
  public MemorySegment secondMoment() {
    return secondMoment;
  }

  /** As before the first step. */
  public void clear() {
    firstMoment.fill((byte) 0);
    secondMoment.fill((byte) 0);
  }

  @Override
  public void close() {
    arena.close();
  }
}
