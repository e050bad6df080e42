package org.ftcluster.worker.safetensors;

/** Element types, under the names that stand in a file's header. */
public enum DType {
  F64(8),
  I64(8),
  F32(4),
  I32(4),
  F16(2),
  BF16(2),
  I16(2),
  I8(1),
  U8(1),
  BOOL(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Width of an element. */
  public int bytes() {
    return bytes;
  }

  /**
   * Bytes of a tensor of this type.
   *
   * @throws ArithmeticException when no long holds them
   */
  public long byteSize(long... shape) {
    long size = bytes;
    for (long dimension : shape) {
      size = Math.multiplyExact(size, dimension);
    }
    return size;
  }
}
