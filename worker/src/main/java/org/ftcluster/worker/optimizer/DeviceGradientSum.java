package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.tensor.Accelerator;
import org.ftcluster.worker.tensor.DType;
import org.jspecify.annotations.Nullable;

/**
 * Sums in an accelerator's memory, where layers leave gradients: what {@link ExactGradientSum} and
 * {@link FastGradientSum} make of the same micro-batches on the host, bit for bit. Ranks' sums go
 * from GPU to GPU in pieces, while the backward of the last micro-batch goes on; losses, and what
 * ranks tell each other, from host to host.
 *
 * <p>What is sent waits for other ranks in a kernel that keeps a part of the GPU from its work, and
 * from whatever waits for all of its work, as giving memory back does. So nothing is sent before
 * this rank has something of its own, and has given others what they wait for.
 */
public final class DeviceGradientSum implements GradientSum {
  /** Bytes of a piece: more than a call's worth, and a small part of what there is to send. */
  static final long PIECE_BYTES = 16 << 20;

  private final Reduction reduction;
  private final DeviceParameters parameters;
  private final @Nullable Communicator gpus;
  private final boolean early;
  private final boolean toHost;
  private final Accelerator device;
  private final DeviceOptimizer kernels;
  private final Arena arena = Arena.ofShared();
  private final StepTail tail;
  private final MemorySegment sums;

  /** The sums in bfloat16; null where they are sent as they are. */
  private final @Nullable MemorySegment rounded;

  private final Buckets buckets;

  /** This rank's micro-batches so far. */
  private final List<Double> losses = new ArrayList<>();

  /** int32, of each of this rank's micro-batches: not 0 where it can't be used. */
  private MemorySegment unusable;

  /** Of the micro-batch at hand: parameters before this one are yet to be added. */
  private long left;

  /** Whether NCCL may be at work on the sums. */
  private boolean underWay;

  /**
   * @param parameters whose gradients are summed, and replaced by the sum
   * @param places for numbers that ranks tell each other
   * @param gpus all ranks, in the background; null where this one is alone
   * @param early whether sums may begin during a backward: not where other ranks wait for its end
   * @param toHost whether {@link #reduce} brings the sum to the host's memory, too
   */
  public DeviceGradientSum(
      Reduction reduction,
      DeviceParameters parameters,
      int places,
      @Nullable Communicator gpus,
      boolean early,
      boolean toHost) {
    this(reduction, parameters, places, gpus, early, toHost, PIECE_BYTES);
  }

  DeviceGradientSum(
      Reduction reduction,
      DeviceParameters parameters,
      int places,
      @Nullable Communicator gpus,
      boolean early,
      boolean toHost,
      long pieceBytes) {
    this.reduction = reduction;
    this.parameters = parameters;
    this.gpus = gpus;
    this.early = early;
    this.toHost = toHost;
    device = parameters.device();
    kernels = new DeviceOptimizer(device);
    tail = new StepTail(arena, places);
    SumFormat format = new SumFormat(reduction);
    ElementType sent = format.sent();
    sums = device.allocate(parameters.size() * format.type().bytes());
    rounded = sent == format.type() ? null : device.allocate(parameters.size() * sent.bytes());
    unusable = device.allocate(Integer.BYTES);
    MemorySegment outgoing = rounded == null ? sums : rounded;
    buckets = new Buckets(outgoing, outgoing.byteSize(), sent, pieceBytes);
  }

  @Override
  public boolean takesFromDevice() {
    return true;
  }

  @Override
  public void start(int microBatches) {
    tail.start(microBatches);
    buckets.start();
    losses.clear();
    left = parameters.size();
    device.clear(sums);
    if (unusable.byteSize() < (long) microBatches * Integer.BYTES) {
      device.free(unusable);
      unusable = device.allocate((long) microBatches * Integer.BYTES);
    }
    device.clear(unusable);
  }

  /**
   * @param gradients are the accelerator's
   */
  @Override
  public void add(MemorySegment gradients, double loss) {
    addFrom(0);
    losses.add(loss);
    left = parameters.size();
  }

  /**
   * @param gradients are the accelerator's
   */
  @Override
  public void addEarly(Communicator ranks, MemorySegment gradients, long from, boolean last) {
    if (early && last && gpus != null) {
      addFrom(from);
      round(from);
      underWay = true;
      buckets.send(gpus, from);
    }
  }

  private void addFrom(long parameter) {
    long from = Math.min(parameter, left);
    Shard part = new Shard(from, left);
    left = from;
    MemorySegment gradients = part.of(parameters.gradients());
    switch (reduction) {
      case EXACT ->
          kernels.addFixed(
              sums.asSlice(from * Long.BYTES, part.size() * Long.BYTES),
              gradients,
              tail.limit(),
              unusable.asSlice((long) losses.size() * Integer.BYTES, Integer.BYTES));
      case FAST, BFLOAT16 -> kernels.add(part.of(sums), gradients, DType.FLOAT32);
    }
  }

  @Override
  public void awaitAdded() {
    device.synchronize();
  }

  /** Those from a parameter on that aren't under way. */
  private void round(long from) {
    long to = buckets.unsent();
    if (rounded != null && from < to) {
      Shard part = new Shard(from, to);
      kernels.convert(
          rounded.asSlice(from * Short.BYTES, part.size() * Short.BYTES),
          DType.BFLOAT16,
          part.of(sums),
          DType.FLOAT32);
    }
  }

  @Override
  public void raise(Flag flag) {
    tail.raise(flag);
  }

  @Override
  public int raised(Flag flag) {
    return tail.raised(flag);
  }

  @Override
  public void tell(int place, long number) {
    tail.tell(place, number);
  }

  @Override
  public long told(int place) {
    return tail.told(place);
  }

  @Override
  public double reduce(Communicator ranks, MemorySegment gradients, Duration timeout) {
    addLosses();
    if (rounded != null && !Double.isFinite(kernels.norm(sums))) {
      tail.addUnusable(); // whatever rounding makes of it
    }
    round(0);
    if (gpus != null) {
      underWay = true;
      buckets.finish(gpus, timeout);
      underWay = false;
    }
    double loss = tail.reduce(ranks, timeout);
    leave(parameters.gradients());
    if (toHost) {
      device.download(gradients, parameters.gradients());
    }
    return loss;
  }

  /** Waits until it is known of each micro-batch whether it can be used. */
  private void addLosses() {
    try (Arena copies = Arena.ofConfined()) {
      MemorySegment found = copies.allocate(ValueLayout.JAVA_INT, losses.size());
      device.download(found, unusable);
      for (int i = 0; i < losses.size(); i++) {
        tail.add(losses.get(i), found.getAtIndex(ValueLayout.JAVA_INT, i) == 0);
      }
    }
  }

  /**
   * @throws NonFiniteGradientException on all ranks, since they have the same sums
   */
  private void leave(MemorySegment gradients) {
    if (reduction == Reduction.EXACT) {
      kernels.toFloats(sums, gradients);
      return;
    }
    if (rounded == null) {
      kernels.convert(gradients, DType.FLOAT32, sums, DType.FLOAT32);
    } else {
      kernels.convert(gradients, DType.FLOAT32, rounded, DType.BFLOAT16);
    }
    if (!Double.isFinite(kernels.norm(gradients))) {
      throw new NonFiniteGradientException("loss or gradient is not a finite number");
    }
  }

  @Override
  public long bytes() {
    return sums.byteSize() + (rounded == null ? 0 : rounded.byteSize());
  }

  /** A step that has failed half-way is aborted: NCCL might be at work on the sums for ever. */
  @Override
  public void close() {
    if (gpus != null && underWay) {
      gpus.abort("rank %d gives up a step".formatted(gpus.rank()));
      buckets.letGo(GradientSum.LET_GO);
    }
    device.free(sums);
    device.free(unusable);
    if (rounded != null) {
      device.free(rounded);
    }
    arena.close();
  }
}
