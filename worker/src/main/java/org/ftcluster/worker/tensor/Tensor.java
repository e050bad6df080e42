package org.ftcluster.worker.tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Elements in native memory, with a type, a shape and strides. Java knows all of them without
 * asking libtorch, so what is handed to native code is checked here first; the libtorch handle is
 * made when an operation first needs one.
 *
 * <p>Views share memory with the tensor they come from. Nothing here may be used after its scope is
 * closed.
 */
public final class Tensor {
  private final Scope scope;
  private final @Nullable Accelerator accelerator;
  private final MemorySegment memory;
  private final DType dtype;
  private final long[] shape;
  private final long[] strides;
  private @Nullable MemorySegment handle;
  private @Nullable Tensor transposed;

  /**
   * @param accelerator whose memory it is; null for the host's
   * @param memory from the first element to past the last one
   */
  Tensor(
      Scope scope,
      @Nullable Accelerator accelerator,
      MemorySegment memory,
      DType dtype,
      long[] shape,
      long[] strides) {
    this.scope = scope;
    this.accelerator = accelerator;
    this.memory = memory;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
  }

  /** Takes over a handle that libtorch returned, of a tensor where {@code scope}'s are. */
  static Tensor ofHandle(Scope scope, MemorySegment handle) {
    scope.own(handle);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment cell = arena.allocate(JAVA_LONG);
      LibTorch.check("get_dim", () -> (int) LibTorch.GET_DIM.invokeExact(handle, cell));
      int rank = Math.toIntExact(cell.get(JAVA_LONG, 0));
      LibTorch.check("get_sizes", () -> (int) LibTorch.GET_SIZES.invokeExact(handle, cell));
      long[] shape = pointee(cell, rank * 8L).toArray(JAVA_LONG);
      LibTorch.check("get_strides", () -> (int) LibTorch.GET_STRIDES.invokeExact(handle, cell));
      long[] strides = pointee(cell, rank * 8L).toArray(JAVA_LONG);
      LibTorch.check("get_dtype", () -> (int) LibTorch.GET_DTYPE.invokeExact(handle, cell));
      DType dtype = DType.ofCode(cell.get(JAVA_INT, 0));
      LibTorch.check("get_data_ptr", () -> (int) LibTorch.GET_DATA_PTR.invokeExact(handle, cell));
      MemorySegment memory = pointee(cell, extent(shape, strides) * dtype.bytes());
      Tensor tensor = new Tensor(scope, scope.accelerator(), memory, dtype, shape, strides);
      tensor.handle = handle;
      return tensor;
    }
  }

  private static MemorySegment pointee(MemorySegment cell, long bytes) {
    return cell.get(ADDRESS, 0).reinterpret(bytes);
  }

  public DType dtype() {
    return dtype;
  }

  public int rank() {
    return shape.length;
  }

  /** Elements along {@code dimension}. */
  public long size(int dimension) {
    return shape[dimension];
  }

  /** Elements from one index of {@code dimension} to the next. */
  public long stride(int dimension) {
    return strides[dimension];
  }

  public long[] shape() {
    return shape.clone();
  }

  public long elements() {
    return elements(shape);
  }

  public boolean isContiguous() {
    return Arrays.equals(strides, contiguousStrides(shape));
  }

  /** Whose memory it is; null for the host's. */
  public @Nullable Accelerator accelerator() {
    return accelerator;
  }

  /** Whose memory it is, for code that runs nowhere else. */
  public Accelerator device() {
    if (accelerator == null) {
      throw new IllegalStateException("in the host's memory: " + this);
    }
    return accelerator;
  }

  public boolean isOnDevice() {
    return accelerator != null;
  }

  /** Whether both are in the same memory. */
  public boolean isBeside(Tensor other) {
    return Objects.equals(accelerator, other.accelerator);
  }

  /**
   * The host's memory from the first element to past the last; for a contiguous tensor, the
   * elements one after the other.
   */
  public MemorySegment memory() {
    if (accelerator != null) {
      throw new IllegalStateException("not in the host's memory: " + this);
    }
    return address();
  }

  /** As {@link #memory}, wherever it is; not to be read from Java. */
  public MemorySegment address() {
    if (!scope.isOpen()) {
      throw new IllegalStateException("used after its scope was closed: " + this);
    }
    return memory;
  }

  /** A contiguous tensor's elements become those of another one, from host to device or back. */
  public void transferFrom(Tensor other) {
    if (!isContiguous()
        || !other.isContiguous()
        || dtype != other.dtype
        || elements() != other.elements()
        || isOnDevice() == other.isOnDevice()) {
      throw new IllegalArgumentException("transfer of %s to %s".formatted(other, this));
    }
    if (accelerator != null) {
      accelerator.upload(address(), other.memory());
    } else {
      other.device().download(memory(), other.address());
    }
  }

  /** Sets the first bytes of a contiguous tensor's elements to some of the host's. */
  public void write(MemorySegment bytes) {
    if (!isContiguous() || bytes.byteSize() > memory.byteSize()) {
      throw new IllegalArgumentException(bytes.byteSize() + " bytes for " + this);
    }
    if (accelerator != null) {
      accelerator.upload(address(), bytes);
    } else {
      MemorySegment.copy(bytes, 0, memory(), 0, bytes.byteSize());
    }
  }

  /**
   * The bytes of a contiguous tensor's elements, for the host: these themselves, or a copy of a
   * device's, once that has done all that it was told before.
   */
  public MemorySegment read(Arena arena) {
    if (!isContiguous()) {
      throw new IllegalArgumentException("not contiguous: " + this);
    }
    if (accelerator == null) {
      return memory();
    }
    MemorySegment copy = arena.allocate(memory.byteSize(), Scope.ALIGNMENT);
    accelerator.download(copy, address());
    return copy;
  }

  /** Sets all elements of a contiguous tensor to 0. */
  public void clear() {
    if (!isContiguous()) {
      throw new IllegalArgumentException("not contiguous: " + this);
    }
    if (DryRun.isOn()) {
      return;
    }
    if (accelerator != null) {
      accelerator.clear(address());
    } else {
      memory().fill((byte) 0);
    }
  }

  /** The same elements under another shape; only for contiguous tensors. */
  public Tensor view(long... newShape) {
    if (!isContiguous() || elements(newShape) != elements()) {
      throw new IllegalArgumentException(
          "%s can't be seen as %s".formatted(this, Arrays.toString(newShape)));
    }
    return new Tensor(scope, accelerator, memory, dtype, newShape, contiguousStrides(newShape));
  }

  /** Indices {@code from} (inclusive) to {@code to} (exclusive) of {@code dimension}. */
  public Tensor slice(int dimension, long from, long to) {
    if (from < 0 || to < from || to > shape[dimension]) {
      throw new IllegalArgumentException(
          "[%d, %d) of dimension %d of %s".formatted(from, to, dimension, this));
    }
    long[] newShape = shape.clone();
    newShape[dimension] = to - from;
    return strided(newShape, strides, from * strides[dimension]);
  }

  /**
   * The matrix with rows and columns exchanged, over the same memory: the same tensor each time,
   * since its handle stays as long as the scope does, and a weight is transposed in every step.
   */
  public Tensor transpose() {
    if (rank() != 2) {
      throw new IllegalArgumentException("not a matrix: " + this);
    }
    Tensor known = transposed;
    if (known == null) {
      known =
          new Tensor(
              scope,
              accelerator,
              memory,
              dtype,
              new long[] {shape[1], shape[0]},
              new long[] {strides[1], strides[0]});
      known.transposed = this;
      transposed = known;
    }
    return known;
  }

  /**
   * Any other look at the same memory.
   *
   * @param offset of its first element from this tensor's first, in elements
   */
  public Tensor strided(long[] newShape, long[] newStrides, long offset) {
    long bytes = extent(newShape, newStrides) * dtype.bytes();
    long start = offset * dtype.bytes();
    if (offset < 0 || start + bytes > memory.byteSize()) {
      throw new IllegalArgumentException(
          "shape %s, strides %s from %d reach outside of %s"
              .formatted(Arrays.toString(newShape), Arrays.toString(newStrides), offset, this));
    }
    return new Tensor(
        scope, accelerator, memory.asSlice(start, bytes), dtype, newShape, newStrides.clone());
  }

  /** The same, as a tensor of another scope, which closes first. */
  Tensor in(Scope other) {
    return new Tensor(other, accelerator, memory, dtype, shape, strides);
  }

  /** Copies into Java, as float32; for tests, losses and tokens, not for the hot path. */
  public float[] toFloats() {
    if (!isContiguous()) {
      throw new IllegalArgumentException("not contiguous: " + this);
    }
    if (accelerator != null) {
      try (Scope host = Scope.persistent()) {
        Tensor copy = host.empty(dtype, shape);
        copy.transferFrom(this);
        return copy.toFloats();
      }
    }
    MemorySegment data = memory();
    float[] values = new float[Math.toIntExact(elements())];
    for (int i = 0; i < values.length; i++) {
      values[i] =
          switch (dtype) {
            case FLOAT32 -> data.get(JAVA_FLOAT_UNALIGNED, 4L * i);
            case BFLOAT16 ->
                Float.intBitsToFloat(data.get(JAVA_SHORT_UNALIGNED, 2L * i) << Short.SIZE);
            case UINT8, INT8, INT32, INT64, FLOAT16 ->
                throw new IllegalArgumentException("neither float32 nor bfloat16: " + this);
          };
    }
    return values;
  }

  /** The handle that libtorch's functions take; it goes with the scope. */
  MemorySegment handle() {
    if (!scope.isOpen()) {
      throw new IllegalStateException("used after its scope was closed: " + this);
    }
    if (handle == null) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment sizes = LibTorch.longs(arena, shape);
        MemorySegment steps = LibTorch.longs(arena, strides);
        MemorySegment result = arena.allocate(ADDRESS);
        LibTorch.check(
            "create_tensor_from_blob",
            () ->
                (int)
                    LibTorch.CREATE_TENSOR_FROM_BLOB.invokeExact(
                        memory,
                        (long) shape.length,
                        sizes,
                        steps,
                        0L,
                        dtype.code(),
                        accelerator == null ? Aten.DEVICE_CPU : accelerator.torchDeviceType(),
                        accelerator == null ? 0 : accelerator.torchDeviceIndex(),
                        result));
        handle = result.get(ADDRESS, 0);
        scope.own(handle);
      }
    }
    return handle;
  }

  static long elements(long[] shape) {
    long count = 1;
    for (long size : shape) {
      if (size < 0) {
        throw new IllegalArgumentException("negative size in " + Arrays.toString(shape));
      }
      count = Math.multiplyExact(count, size);
    }
    return count;
  }

  static long[] contiguousStrides(long[] shape) {
    long[] strides = new long[shape.length];
    long stride = 1;
    for (int i = shape.length - 1; i >= 0; i--) {
      strides[i] = stride;
      stride *= Math.max(shape[i], 1);
    }
    return strides;
  }

  /** Elements from the first to past the last. */
  private static long extent(long[] shape, long[] strides) {
    long last = 0;
    for (int i = 0; i < shape.length; i++) {
      if (shape[i] == 0) {
        return 0;
      }
      if (strides[i] < 0) {
        throw new IllegalArgumentException("negative stride in " + Arrays.toString(strides));
      }
      last += (shape[i] - 1) * strides[i];
    }
    return last + 1;
  }

  @Override
  public String toString() {
    return dtype + Arrays.toString(shape) + (isContiguous() ? "" : "/" + Arrays.toString(strides));
  }
}
