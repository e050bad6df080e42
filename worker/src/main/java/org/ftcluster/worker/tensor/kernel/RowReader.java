package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Tensor;

/** Elements of a tensor as float32, for code that goes through memory block by block. */
public final class RowReader {
  private RowReader() {}

  /**
   * Reads {@code count} elements of a contiguous float32 or bfloat16 tensor from the {@code
   * start}-th on.
   */
  public static void read(Tensor tensor, long start, float[] into, int count) {
    Rows.read(tensor.memory(), tensor.dtype(), start, into, count);
  }
}
