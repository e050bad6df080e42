package org.ftcluster.worker.tensor;

/**
 * A function of one of the {@code .cu} files beside {@code tensor.cuda}, compiled for a pair of
 * element types.
 *
 * @param file without its ending
 * @param to the type that the file calls TO
 * @param from the type that it calls FROM
 */
public record Kernel(String file, String name, DType to, DType from) {
  /** All of one type. */
  public Kernel(String file, String name, DType type) {
    this(file, name, type, type);
  }

  /** What a type is called in CUDA C. */
  public static String nameOf(DType type) {
    return switch (type) {
      case FLOAT32 -> "float";
      case BFLOAT16 -> "bfloat16";
      case UINT8, INT8, INT32, INT64, FLOAT16 ->
          throw new IllegalArgumentException("kernels don't compute with " + type);
    };
  }
}
