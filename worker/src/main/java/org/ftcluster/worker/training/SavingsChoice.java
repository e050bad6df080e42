package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.function.ToLongFunction;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.AdapterType;
import org.ftcluster.protocol.job.JobSpec.Device;
import org.ftcluster.protocol.job.JobSpec.OffloadTarget;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.Tier;
import org.jspecify.annotations.Nullable;

/**
 * Chooses what a rank does to fit its memory, where the job leaves that open: first as many layers
 * as it takes run their forward again, then the frozen weights go to a disk as well, or from a GPU
 * to the host's memory, then what the optimizer remembers, and at last what as many layers as it
 * takes keep.
 */
final class SavingsChoice {
  /** Of the memory; estimates are right to within a tenth. */
  private static final double USED = 0.9;

  private final int leastRecomputed;
  private final int mostRecomputed;
  private final int mostOffloaded;

  /** What lies elsewhere: in each all that does in the one before. */
  private final List<MemorySavings> stages = new ArrayList<>();

  /** Where what layers keep may go besides; memory where it mustn't. */
  private Tier forActivations = Tier.MEMORY;

  private SavingsChoice(JobSpec spec, int layers, @Nullable Path scratch) {
    mostOffloaded = offloadable(spec, layers);
    // All slices of a layer must go through it the same number of times, and may differ in memory.
    boolean sliced = spec.parallel().tensor() > 1;
    leastRecomputed =
        switch (spec.training().gradientCheckpointing()) {
          case AUTO, FALSE -> 0;
          case TRUE -> layers;
        };
    mostRecomputed =
        switch (spec.training().gradientCheckpointing()) {
          case AUTO -> sliced ? 0 : layers;
          case FALSE -> 0;
          case TRUE -> layers;
        };
    JobSpec.Offload offload = spec.offload();
    MemorySavings stage =
        MemorySavings.NONE
            .withParameters(asked(offload.parameters(), scratch))
            .withOptimizer(
                sharesOptimizerOnHost(spec) ? Tier.HOST : asked(offload.optimizer(), scratch))
            .withActivations(asked(offload.activations(), scratch), mostOffloaded);
    stages.add(stage);
    Tier below = below(spec, scratch);
    if (below == Tier.MEMORY) {
      return;
    }
    if (offload.parameters() == OffloadTarget.AUTO && hasFrozenLayers(spec)) {
      stage = stage.withParameters(below);
      stages.add(stage);
    }
    if (offload.optimizer() == OffloadTarget.AUTO && stage.optimizer() == Tier.MEMORY) {
      stages.add(stage.withOptimizer(below));
    }
    if (offload.activations() == OffloadTarget.AUTO) {
      forActivations = below;
    }
  }

  /** What the job itself says. */
  private static Tier asked(OffloadTarget target, @Nullable Path scratch) {
    return switch (target) {
      case AUTO, NONE -> Tier.MEMORY;
      case CPU -> Tier.HOST;
      case DISK -> Tier.disk(scratch);
    };
  }

  /**
   * The least that fits; where nothing does, the most that the job allows.
   *
   * @param layers of the model
   * @param scratch what may lie on a disk may lie there; null where nothing can
   * @param memory of the worker, in bytes
   * @param needs bytes that a choice needs
   */
  static MemorySavings of(
      JobSpec spec,
      int layers,
      @Nullable Path scratch,
      long memory,
      ToLongFunction<MemorySavings> needs) {
    return new SavingsChoice(spec, layers, scratch).choose((long) (memory * USED), needs);
  }

  /** The most that any settings of such a job would allow; nothing without a place below. */
  static Optional<MemorySavings> most(JobSpec spec, int layers, @Nullable Path scratch) {
    Tier below = below(spec, scratch);
    if (below == Tier.MEMORY) {
      return Optional.empty();
    }
    return Optional.of(
        MemorySavings.RECOMPUTED
            .recomputing(layers)
            .withParameters(hasFrozenLayers(spec) ? below : Tier.MEMORY)
            .withOptimizer(below)
            .withActivations(below, offloadable(spec, layers)));
  }

  /** Where what the memory that layers are in has no room for may go. */
  private static Tier below(JobSpec spec, @Nullable Path scratch) {
    return isOnHost(spec) ? Tier.disk(scratch) : Tier.HOST;
  }

  /** Where all is in memory that a job of that kind can have there. */
  static MemorySavings least(JobSpec spec) {
    return MemorySavings.NONE.withOptimizer(sharesOptimizerOnHost(spec) ? Tier.HOST : Tier.MEMORY);
  }

  /** Where no other stage comes in between, the last layers' backward begins too soon for it. */
  private static int offloadable(JobSpec spec, int layers) {
    return spec.parallel().pipeline() == 1 ? MemorySavings.offloadable(layers) : layers;
  }

  /** Under {@code zero3} they are shared out. */
  private static boolean hasFrozenLayers(JobSpec spec) {
    return spec.adapter().type() == AdapterType.LORA
        && spec.parallel().sharding() != Sharding.ZERO3;
  }

  private static boolean isOnHost(JobSpec spec) {
    return spec.resources().device() == Device.CPU;
  }

  /** Ranks with GPUs have their shares of the optimizer on their hosts. */
  private static boolean sharesOptimizerOnHost(JobSpec spec) {
    return !isOnHost(spec)
        && spec.parallel().sharding() != Sharding.NONE
        && spec.offload().optimizer() != OffloadTarget.DISK;
  }

  private MemorySavings choose(long room, ToLongFunction<MemorySavings> needs) {
    for (MemorySavings stage : stages) {
      if (needs.applyAsLong(stage.recomputing(leastRecomputed)) <= room) {
        return stage.recomputing(leastRecomputed);
      }
      if (needs.applyAsLong(stage.recomputing(mostRecomputed)) <= room) {
        return fewest(stage::recomputing, leastRecomputed, mostRecomputed, room, needs);
      }
    }
    MemorySavings last = stages.getLast().recomputing(mostRecomputed);
    return forActivations == Tier.MEMORY
        ? last
        : fewest(n -> last.withActivations(forActivations, n), 0, mostOffloaded, room, needs);
  }

  /** With the fewest layers that fit, of which more need less; where none do, the most. */
  private static MemorySavings fewest(
      IntFunction<MemorySavings> savings,
      int least,
      int most,
      long room,
      ToLongFunction<MemorySavings> needs) {
    int low = least;
    int high = most;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (needs.applyAsLong(savings.apply(middle)) <= room) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return savings.apply(low);
  }
}
