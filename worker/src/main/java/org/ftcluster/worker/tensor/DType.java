package org.ftcluster.worker.tensor;

/** Element types, with the codes that libtorch's stable C functions know them by. */
public enum DType {
  UINT8(0, 1),
  INT8(1, 1),
  INT32(3, 4),
  INT64(4, 8),
  FLOAT16(5, 2),
  FLOAT32(6, 4),
  BFLOAT16(15, 2);

  private final int code;
  private final int bytes;

  DType(int code, int bytes) {
    this.code = code;
    this.bytes = bytes;
  }

  /** {@code c10::ScalarType} as a number. */
  int code() {
    return code;
  }

  /** Bytes an element. */
  public int bytes() {
    return bytes;
  }

  static DType ofCode(int code) {
    for (DType type : values()) {
      if (type.code == code) {
        return type;
      }
    }
    throw new IllegalArgumentException("libtorch's element type " + code + " isn't used here");
  }
}
