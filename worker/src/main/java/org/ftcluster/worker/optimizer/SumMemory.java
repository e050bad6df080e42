package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.model.TrainedShare;
import org.ftcluster.worker.tensor.Accelerator;
import org.jspecify.annotations.Nullable;

/**
 * The memory in which ranks sum gradients that they share out, and what is done with them there:
 * the host's, or that of an accelerator whose layers leave the gradients. Sums have the elements of
 * {@link SumFormat#type}, what is sent those of {@link SumFormat#sent}.
 */
sealed interface SumMemory extends AutoCloseable permits HostSumMemory, DeviceSumMemory {
  /**
   * @param device null for the host
   */
  static SumMemory of(Reduction reduction, @Nullable Accelerator device) {
    SumFormat format = new SumFormat(reduction);
    return device == null ? new HostSumMemory(format) : new DeviceSumMemory(format, device);
  }

  SumFormat format();

  /** Zeros, which stay until this is closed. */
  MemorySegment allocate(long bytes);

  /** Zeros again. */
  void clear(MemorySegment memory);

  /**
   * Makes gradients ready to be sent.
   *
   * @param gradients float32, which may be overwritten by what comes after this on an accelerator
   * @param limit to what goes into a fixed point
   * @return false where they can't be used; where that takes an accelerator some time, {@link
   *     #areUsable} tells it later
   */
  boolean put(MemorySegment sent, MemorySegment gradients, double limit);

  /** Adds what came. */
  void add(MemorySegment sums, MemorySegment received);

  /** Adds sums of another rank's, in the host's memory: a few MB at most. */
  void addSums(MemorySegment sums, MemorySegment others);

  /** Whether all that was {@link #put} since the last time could be used, and sums are numbers. */
  boolean areUsable(MemorySegment sums);

  /**
   * Sums as an update takes them.
   *
   * @param gradients float32, the host's
   */
  void toFloats(MemorySegment sums, MemorySegment gradients);

  /** The sums themselves where they are the host's, else a copy. */
  MemorySegment onHost(SegmentAllocator allocator, MemorySegment sums);

  /** How much of a micro-batch's gradients is on its way at once. */
  Transit transit();

  /**
   * How much is on its way.
   *
   * @param bucketBytes of neighbouring gradients that go together
   * @param buckets at once
   */
  record Transit(long bucketBytes, int buckets) {
    /** Between hosts; enough buckets that no rank waits for another one's next. */
    static final Transit HOSTS = new Transit(Buckets.BYTES, 4);

    /** Between GPUs, whose thread goes on with the backward as long as there is room. */
    static final Transit DEVICES =
        new Transit(
            DeviceGradientSum.PIECE_BYTES,
            Math.toIntExact(TrainedShare.DEVICE_TRANSIT_BYTES / DeviceGradientSum.PIECE_BYTES));
  }

  /** To be called when nobody writes there any more. */
  @Override
  void close();
}
