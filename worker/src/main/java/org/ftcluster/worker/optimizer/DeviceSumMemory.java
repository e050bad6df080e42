package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.ftcluster.worker.tensor.Scratch;

/** An accelerator's, with the bits that {@link HostSumMemory} leaves. */
final class DeviceSumMemory implements SumMemory {
  /** Bytes of floats that go to the host at once, by way of scratch memory. */
  private static final long ROUND_BYTES = 4 << 20;

  private final SumFormat format;
  private final Accelerator device;
  private final DeviceOptimizer kernels;
  private final List<MemorySegment> allocated = new ArrayList<>();

  /** int32: not 0 where something was put that can't be used. */
  private final MemorySegment unusable;

  DeviceSumMemory(SumFormat format, Accelerator device) {
    this.format = format;
    this.device = device;
    this.kernels = new DeviceOptimizer(device);
    this.unusable = allocate(Integer.BYTES);
  }

  @Override
  public SumFormat format() {
    return format;
  }

  @Override
  public MemorySegment allocate(long bytes) {
    MemorySegment memory = device.allocate(Math.max(bytes, 1));
    allocated.add(memory);
    device.clear(memory);
    return memory.asSlice(0, bytes);
  }

  @Override
  public void clear(MemorySegment memory) {
    if (memory.byteSize() > 0) {
      device.clear(memory);
    }
  }

  @Override
  public boolean put(MemorySegment sent, MemorySegment gradients, double limit) {
    switch (format.reduction()) {
      case EXACT -> kernels.putFixed(sent, gradients, limit, unusable);
      case FAST -> kernels.put(sent, DType.FLOAT32, gradients, unusable);
      case BFLOAT16 -> kernels.put(sent, DType.BFLOAT16, gradients, unusable);
    }
    return true;
  }

  @Override
  public void add(MemorySegment sums, MemorySegment received) {
    switch (format.reduction()) {
      case EXACT -> kernels.addFixed(sums, received);
      case FAST -> kernels.add(sums, received, DType.FLOAT32);
      case BFLOAT16 -> kernels.add(sums, received, DType.BFLOAT16);
    }
  }

  @Override
  public void addSums(MemorySegment sums, MemorySegment others) {
    MemorySegment here = device.scratch().allocate(others.byteSize());
    device.upload(here, others);
    switch (format.reduction()) {
      case EXACT -> kernels.addFixed(sums, here);
      case FAST, BFLOAT16 -> kernels.add(sums, here, DType.FLOAT32);
    }
  }

  @Override
  public boolean areUsable(MemorySegment sums) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment found = arena.allocate(ValueLayout.JAVA_INT);
      device.download(found, unusable);
      device.clear(unusable);
      return found.get(ValueLayout.JAVA_INT, 0) == 0
          && (format.type() == ElementType.INT64
              || sums.byteSize() == 0
              || Double.isFinite(kernels.norm(sums)));
    }
  }

  @Override
  public void toFloats(MemorySegment sums, MemorySegment gradients) {
    switch (format.reduction()) {
      case EXACT -> {
        Scratch scratch = device.scratch();
        for (long at = 0; at < gradients.byteSize(); at += ROUND_BYTES) {
          long bytes = Math.min(ROUND_BYTES, gradients.byteSize() - at);
          MemorySegment floats = scratch.allocate(bytes);
          kernels.toFloats(sums.asSlice(2 * at, 2 * bytes), floats);
          device.download(gradients.asSlice(at, bytes), floats);
        }
      }
      case FAST, BFLOAT16 -> {
        if (gradients.byteSize() > 0) {
          device.download(gradients, sums);
        }
      }
    }
  }

  @Override
  public MemorySegment onHost(SegmentAllocator allocator, MemorySegment sums) {
    MemorySegment copy = allocator.allocate(sums.byteSize(), 64);
    if (sums.byteSize() > 0) {
      device.download(copy, sums);
    }
    return copy;
  }

  @Override
  public Transit transit() {
    return Transit.DEVICES;
  }

  @Override
  public void close() {
    allocated.forEach(device::free);
    allocated.clear();
  }
}
