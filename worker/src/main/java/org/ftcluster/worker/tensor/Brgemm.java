package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BOOLEAN;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Products of small bfloat16 matrices that stay in the caches, summed in float32, by the kernels
 * that oneDNN generates for shapes (arXiv:1906.06440) and libtorch hands on: on a processor that
 * multiplies bfloat16, three times as fast as float32 is multiplied.
 */
public final class Brgemm {
  /** {@code at::native::cpublas::brgemm(M, N, K, lda, ldb, ldc, add, A, B, C, packed)}. */
  private static final String MULTIPLY =
      "_ZN2at6native7cpublas6brgemmEllllllbPKN3c108BFloat16ES5_Pfb";

  /** {@code brgemm_release(packed)}: gives back what a processor keeps for a thread's products. */
  private static final String RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb";

  private static final boolean AVAILABLE =
      Processor.has("avx512_bf16")
          && LibTorch.find(MULTIPLY).isPresent()
          && LibTorch.find(RELEASE).isPresent();

  private Brgemm() {}

  /** Bound only where they are there. */
  private static final class Functions {
    static final MethodHandle MULTIPLY_HANDLE =
        bind(
            MULTIPLY,
            FunctionDescriptor.ofVoid(
                JAVA_LONG,
                JAVA_LONG,
                JAVA_LONG,
                JAVA_LONG,
                JAVA_LONG,
                JAVA_LONG,
                JAVA_BOOLEAN,
                ADDRESS,
                ADDRESS,
                ADDRESS,
                JAVA_BOOLEAN));
    static final MethodHandle RELEASE_HANDLE =
        bind(RELEASE, FunctionDescriptor.ofVoid(JAVA_BOOLEAN));

    /** Calls take microseconds, so memory of Java's heap may stay where it is meanwhile. */
    private static MethodHandle bind(String name, FunctionDescriptor function) {
      return Linker.nativeLinker()
          .downcallHandle(
              LibTorch.find(name).orElseThrow(), function, Linker.Option.critical(true));
    }
  }

  /**
   * Whether the processor multiplies bfloat16 and this libtorch has the functions, as 2.7 and 2.15
   * do; without them libtorch would end the process.
   */
  public static boolean isAvailable() {
    return AVAILABLE;
  }

  /**
   * A matrix of bfloat16, or of float32, row by row.
   *
   * @param from its first element, counted in elements
   * @param stride elements from one row to the next
   */
  public record Matrix(MemorySegment memory, long from, long stride) {
    /** A tensor's rows, which are dense. */
    public static Matrix of(Tensor tensor) {
      return new Matrix(tensor.memory(), 0, tensor.stride(0));
    }

    /** The part that begins at an element. */
    public Matrix at(long row, long column) {
      return new Matrix(memory, from + row * stride + column, stride);
    }

    private MemorySegment checked(long rows, long columns, int elementBytes) {
      long elements = rows == 0 ? 0 : (rows - 1) * stride + columns;
      return memory.asSlice(from * elementBytes, elements * elementBytes);
    }
  }

  /**
   * {@code c (+)= a b}, for c [m, n], a [m, k] and b [k, n].
   *
   * @param k even
   * @param b its rows in pairs: [k / 2, n, 2], with the stride of a pair in pairs of elements
   * @param add whether c is added to, or overwritten
   * @throws IndexOutOfBoundsException where a matrix is larger than its memory
   */
  public static void multiply(int m, int n, int k, Matrix a, Matrix b, Matrix c, boolean add) {
    if (k % 2 != 0 || m < 1 || n < 1 || k < 2) {
      throw new IllegalArgumentException("product of %d x %d x %d".formatted(m, k, n));
    }
    try {
      Functions.MULTIPLY_HANDLE.invokeExact(
          (long) m,
          (long) n,
          (long) k,
          a.stride(),
          b.stride(),
          c.stride(),
          add,
          a.checked(m, k, Short.BYTES),
          b.checked(k / 2, n, Integer.BYTES),
          c.checked(m, n, Float.BYTES),
          true);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new NativeException("libtorch: a small product could not be made", e);
    }
  }

  /** To be called by a thread whose products are done. */
  public static void release() {
    try {
      Functions.RELEASE_HANDLE.invokeExact(true);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new NativeException("libtorch: small products could not be released", e);
    }
  }
}
