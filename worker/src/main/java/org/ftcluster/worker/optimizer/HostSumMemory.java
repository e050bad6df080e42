package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.tensor.kernel.RowOps;

/** The host's. */
final class HostSumMemory implements SumMemory {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;
  private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

  private final SumFormat format;
  private final Arena arena = Arena.ofShared();

  HostSumMemory(SumFormat format) {
    this.format = format;
  }

  @Override
  public SumFormat format() {
    return format;
  }

  @Override
  public MemorySegment allocate(long bytes) {
    return arena.allocate(bytes, 64);
  }

  @Override
  public void clear(MemorySegment memory) {
    memory.fill((byte) 0);
  }

  @Override
  public boolean put(MemorySegment sent, MemorySegment gradients, double limit) {
    return switch (format.reduction()) {
      case EXACT -> FixedPoint.put(sent, gradients, limit);
      case FAST -> {
        sent.copyFrom(gradients);
        yield true; // a sum shows it later
      }
      case BFLOAT16 -> {
        RowOps.toBfloat16(sent, gradients);
        yield Double.isFinite(GradientClip.norm(gradients)); // whatever rounding makes of it
      }
    };
  }

  @Override
  public void add(MemorySegment sums, MemorySegment received) {
    switch (format.reduction()) {
      case EXACT, FAST -> addSums(sums, received);
      case BFLOAT16 -> RowOps.addBfloat16(sums, received);
    }
  }

  @Override
  public void addSums(MemorySegment sums, MemorySegment others) {
    switch (format.reduction()) {
      case EXACT -> {
        for (long i = 0; i < sums.byteSize() / Long.BYTES; i++) {
          sums.setAtIndex(LONG, i, sums.getAtIndex(LONG, i) + others.getAtIndex(LONG, i));
        }
      }
      case FAST, BFLOAT16 -> {
        for (long i = 0; i < sums.byteSize() / Float.BYTES; i++) {
          sums.setAtIndex(FLOAT, i, sums.getAtIndex(FLOAT, i) + others.getAtIndex(FLOAT, i));
        }
      }
    }
  }

  @Override
  public boolean areUsable(MemorySegment sums) {
    return format.type() == ElementType.INT64 || Double.isFinite(GradientClip.norm(sums));
  }

  @Override
  public void toFloats(MemorySegment sums, MemorySegment gradients) {
    switch (format.reduction()) {
      case EXACT -> FixedPoint.toFloats(sums, gradients);
      case FAST, BFLOAT16 -> gradients.copyFrom(sums);
    }
  }

  @Override
  public MemorySegment onHost(SegmentAllocator copies, MemorySegment sums) {
    return sums;
  }

  @Override
  public Transit transit() {
    return Transit.HOSTS;
  }

  @Override
  public void close() {
    arena.close();
  }
}
