package org.ftcluster.worker.optimizer;

import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator.ElementType;

/** What gradients are on their way to the rank that sums them, and what they are in its sums. */
record SumFormat(Reduction reduction) {
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
}
