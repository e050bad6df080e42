package org.ftcluster.worker.tensor.kernel;

import org.ftcluster.worker.tensor.Tensor;

/** Elements of a tensor from float32, for code that goes through memory block by block. */
public final class RowWriter {
  private RowWriter() {}

  /**
   * Rounds {@code count} elements to those of a contiguous float32 or bfloat16 tensor from the
   * {@code start}-th on.
   */
  public static void write(Tensor tensor, long start, float[] from, int count) {
    Rows.write(tensor.memory(), tensor.dtype(), start, from, count);
  }
}
