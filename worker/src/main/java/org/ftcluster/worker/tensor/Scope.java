package org.ftcluster.worker.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What tensors live in: closing it frees all of them at once, at a known line. Scopes of a {@link
 * Workspace} nest like stack frames and cost nothing to allocate from; a {@link #persistent} scope
 * holds what stays (weights). Used by one thread at a time.
 */
public abstract sealed class Scope implements AutoCloseable
    permits Scope.Hollow, Scope.Looks, Scope.Persistent, Scope.OnDevice, Workspace.Frame {
  /** Cache lines and AVX-512 loads. */
  static final long ALIGNMENT = 64;

  private final List<MemorySegment> handles = new ArrayList<>();
  private boolean open = true;

  Scope() {}

  /** A scope whose tensors stay until it is closed, in no particular order. */
  public static Scope persistent() {
    return persistent(null);
  }

  /**
   * The same.
   *
   * @param accelerator where its tensors are; null for the host
   */
  public static Scope persistent(@Nullable Accelerator accelerator) {
    if (accelerator != null) {
      return new OnDevice(accelerator);
    }
    return DryRun.isOn() ? new Hollow() : new Persistent();
  }

  /** A scope of other looks at what is in others, whose handles go with it; it has no memory. */
  static Scope looks() {
    return new Looks();
  }

  /** Whether its tensors are in an accelerator's memory. */
  public final boolean isOnDevice() {
    return accelerator() != null;
  }

  /** Where its tensors are; null for the host. */
  public @Nullable Accelerator accelerator() {
    return null;
  }

  /** A tensor with undefined contents. */
  public final Tensor empty(DType dtype, long... shape) {
    long bytes = Tensor.elements(shape) * dtype.bytes();
    return new Tensor(
        this, accelerator(), allocate(bytes), dtype, shape, Tensor.contiguousStrides(shape));
  }

  public final Tensor zeros(DType dtype, long... shape) {
    Tensor tensor = empty(dtype, shape);
    tensor.clear();
    return tensor;
  }

  /** A tensor of this accelerator's with the elements of one of the host's. */
  public final Tensor copyOf(Tensor host) {
    Tensor copy = empty(host.dtype(), host.shape());
    copy.transferFrom(host);
    return copy;
  }

  /** A contiguous tensor over memory of the host that outlives this scope. */
  public final Tensor wrap(MemorySegment memory, DType dtype, long... shape) {
    long bytes = Tensor.elements(shape) * dtype.bytes();
    if (memory.byteSize() < bytes || !memory.isNative()) {
      throw new IllegalArgumentException(
          "%d bytes of native memory are needed, not %s".formatted(bytes, memory));
    }
    return new Tensor(
        this, null, memory.asSlice(0, bytes), dtype, shape, Tensor.contiguousStrides(shape));
  }

  /** A contiguous tensor at a place in the memory where this scope's are, which outlives it. */
  public final Tensor at(MemorySegment memory, DType dtype, long... shape) {
    if (!isOnDevice()) {
      return wrap(memory, dtype, shape);
    }
    long bytes = Tensor.elements(shape) * dtype.bytes();
    if (memory.byteSize() < bytes) {
      throw new IllegalArgumentException(
          "%d bytes are needed, not %d".formatted(bytes, memory.byteSize()));
    }
    return new Tensor(
        this,
        accelerator(),
        memory.asSlice(0, bytes),
        dtype,
        shape,
        Tensor.contiguousStrides(shape));
  }

  abstract MemorySegment allocate(long bytes);

  /** Frees the memory itself; called once, after all handles are gone. */
  abstract void free();

  /** Makes {@code handle} go with this scope. */
  final void own(MemorySegment handle) {
    handles.add(handle);
  }

  /** How many go with it. */
  final int handles() {
    return handles.size();
  }

  final boolean isOpen() {
    return open;
  }

  @Override
  public final void close() {
    if (!open) {
      return;
    }
    open = false;
    for (MemorySegment handle : handles) {
      LibTorch.check(
          "delete_tensor_object", () -> (int) LibTorch.DELETE_TENSOR.invokeExact(handle));
    }
    handles.clear();
    free();
  }

  /** Handles, and nothing else. */
  static final class Looks extends Scope {
    @Override
    MemorySegment allocate(long bytes) {
      throw new IllegalStateException("a scope of looks has no memory of its own");
    }

    @Override
    void free() {}
  }

  /** Of a dry run: address space without memory behind it. */
  static final class Hollow extends Scope {
    private final MemorySegment region = LibC.reserve(DryRun.ADDRESS_SPACE);
    private long top;

    @Override
    MemorySegment allocate(long bytes) {
      MemorySegment memory = region.asSlice(top, bytes);
      top += (bytes + ALIGNMENT - 1) & -ALIGNMENT;
      return memory;
    }

    @Override
    void free() {
      LibC.release(region);
    }
  }

  /** Memory of an accelerator, a piece for each tensor. */
  static final class OnDevice extends Scope {
    private final Accelerator accelerator;
    private final List<MemorySegment> pieces = new ArrayList<>();

    private OnDevice(Accelerator accelerator) {
      this.accelerator = accelerator;
    }

    @Override
    public Accelerator accelerator() {
      return accelerator;
    }

    @Override
    MemorySegment allocate(long bytes) {
      MemorySegment memory = accelerator.allocate(Math.max(bytes, 1));
      pieces.add(memory);
      return memory.asSlice(0, bytes);
    }

    @Override
    void free() {
      pieces.forEach(accelerator::free);
    }
  }

  static final class Persistent extends Scope {
    private final Arena arena = Arena.ofShared();

    @Override
    MemorySegment allocate(long bytes) {
      return arena.allocate(Math.max(bytes, 1), ALIGNMENT);
    }

    @Override
    void free() {
      arena.close();
    }
  }
}
