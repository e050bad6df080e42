package org.ftcluster.worker.optimizer;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.model.DeviceParameters;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.Accelerator;

/**
 * Every rank does all of it, in the memory of its accelerator, where values and moments stay from
 * step to step, with the bits that {@link ParameterUpdate.Whole} leaves. What the host has of them
 * is older until {@link #bringToHost}.
 */
public final class DeviceUpdate implements ParameterUpdate {
  private final AdamW adamW;
  private final DeviceParameters parameters;
  private final OptimizerState state;
  private final Accelerator device;
  private final DeviceOptimizer kernels;
  private final List<Run> runs;
  private final MemorySegment firstMoment;
  private final MemorySegment secondMoment;

  /** Whether the moments that the host has are older. */
  private boolean ahead;

  /** Whether an update was begun, and not told to the end. */
  private boolean torn;

  /** Neighbouring parameters that decay alike. */
  private record Run(Shard parameters, boolean decays) {}

  /**
   * Takes over what the host has of the moments.
   *
   * @param parameters of the buffer, whose gradients are a step's sum
   * @param state all of it
   */
  public DeviceUpdate(
      AdamW adamW, ParameterBuffer buffer, DeviceParameters parameters, OptimizerState state) {
    this.adamW = adamW;
    this.parameters = parameters;
    this.state = state;
    device = parameters.device();
    kernels = new DeviceOptimizer(device);
    runs = runs(buffer.slices());
    firstMoment = copy(state.firstMoment());
    secondMoment = copy(state.secondMoment());
  }

  private static List<Run> runs(List<ParameterBuffer.Slice> tensors) {
    List<Run> runs = new ArrayList<>();
    for (ParameterBuffer.Slice tensor : tensors) {
      Shard own = new Shard(tensor.offset(), tensor.offset() + tensor.size());
      Run last = runs.isEmpty() ? null : runs.getLast();
      if (last != null
          && last.decays() == tensor.decays()
          && last.parameters().to() == own.from()) {
        runs.removeLast();
        own = new Shard(last.parameters().from(), own.to());
      }
      runs.add(new Run(own, tensor.decays()));
    }
    return List.copyOf(runs);
  }

  private MemorySegment copy(MemorySegment moment) {
    MemorySegment memory = device.allocate(moment.byteSize());
    device.upload(memory, moment);
    return memory;
  }

  @Override
  public double gradientNorm() {
    return kernels.norm(parameters.gradients());
  }

  @Override
  public void apply(AdamW.At at) {
    AdamW.Factors factors = adamW.factors(at);
    parameters.valuesWritten();
    ahead = true;
    torn = true;
    for (Run run : runs) {
      Shard part = run.parameters();
      kernels.adamW(
          factors,
          adamW.decay(run.decays(), at),
          part.of(parameters.values()),
          part.of(parameters.gradients()),
          part.of(firstMoment),
          part.of(secondMoment));
    }
    torn = false;
  }

  @Override
  public void bringToHost() {
    if (!ahead) {
      return;
    }
    parameters.bringValues();
    if (torn) {
      throw new IllegalStateException("an update of the GPU's came to no end");
    }
    device.download(state.firstMoment(), firstMoment);
    device.download(state.secondMoment(), secondMoment);
    ahead = false;
  }

  @Override
  public void close() {
    device.free(firstMoment);
    device.free(secondMoment);
  }
}
