package org.ftcluster.worker.safetensors;

import java.util.Optional;

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

  /** As which a tensor of this type can be computed with; nothing where it can't be. */
  public Optional<org.ftcluster.worker.tensor.DType> computed() {
    return Optional.ofNullable(
        switch (this) {
          case F32 -> org.ftcluster.worker.tensor.DType.FLOAT32;
          case BF16 -> org.ftcluster.worker.tensor.DType.BFLOAT16;
          case F16 -> org.ftcluster.worker.tensor.DType.FLOAT16;
          case F64, I64, I32, I16, I8, U8, BOOL -> null;
        });
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
