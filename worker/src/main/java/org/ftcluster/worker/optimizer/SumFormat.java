package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.tensor.kernel.RowOps;

/** What gradients are on their way to the rank that sums them, and what they are in its sums. */
record SumFormat(Reduction reduction) {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  /** Of sums. */
  ElementType type() {
    return switch (reduction) {
      case EXACT -> ElementType.INT64;
      case FAST, BFLOAT16 -> ElementType.FLOAT32;
    };
  }

  /** Of a micro-batch's gradients on their way. */
  ElementType sent() {
    return switch (reduction) {
      case EXACT -> ElementType.INT64;
      case FAST -> ElementType.FLOAT32;
      case BFLOAT16 -> ElementType.BFLOAT16;
    };
  }

  /**
   * Makes gradients ready to be sent.
   *
   * @param target as many elements of {@link #sent}
   * @param gradients float32
   * @param limit to what goes into a fixed point
   * @return whether they can be used; where they can't, a sum of floats may show it later
   */
  boolean put(MemorySegment target, MemorySegment gradients, double limit) {
    return switch (reduction) {
      case EXACT -> FixedPoint.put(target, gradients, limit);
      case FAST -> {
        target.copyFrom(gradients);
        yield true;
      }
      case BFLOAT16 -> {
        RowOps.toBfloat16(target, gradients);
        yield Double.isFinite(GradientClip.norm(gradients)); // whatever rounding makes of it
      }
    };
  }

  /**
   * Adds what came.
   *
   * @param sums as many elements of {@link #type}
   * @param received of {@link #sent}
   */
  void add(MemorySegment sums, MemorySegment received) {
    switch (reduction) {
      case EXACT, FAST -> addSums(sums, received);
      case BFLOAT16 -> RowOps.addBfloat16(sums, received);
    }
  }

  /**
   * Adds sums to others.
   *
   * @param sums of {@link #type}
   * @param others as many of the same
   */
  void addSums(MemorySegment sums, MemorySegment others) {
    switch (reduction) {
      case EXACT -> {
        for (long i = 0; i < sums.byteSize() / Long.BYTES; i++) {
          sums.setAtIndex(LONG, i, sums.getAtIndex(LONG, i) + others.getAtIndex(LONG, i));
        }
      }
      case FAST, BFLOAT16 -> {
        for (long i = 0; i < sums.byteSize() / Float.BYTES; i++) {
          sums.setAtIndex(FLOAT, i, sums.getAtIndex(FLOAT, i) + others.getAtIndex(FLOAT, i));
        }
      }
    }
  }

  /** Whether sums are numbers, as far as that is seen by looking at them. */
  boolean areFinite(MemorySegment sums) {
    return type() == ElementType.INT64 || Double.isFinite(GradientClip.norm(sums));
  }

  /**
   * Sums as an update takes them.
   *
   * @param gradients float32
   */
  void toFloats(MemorySegment sums, MemorySegment gradients) {
    switch (reduction) {
      case EXACT -> FixedPoint.toFloats(sums, gradients);
      case FAST, BFLOAT16 -> gradients.copyFrom(sums);
    }
  }
}
