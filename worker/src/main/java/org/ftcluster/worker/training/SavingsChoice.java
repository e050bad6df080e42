package org.ftcluster.worker.training;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.ToLongFunction;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.MemorySavings;
import org.jspecify.annotations.Nullable;

/**
 * Chooses what a rank does to fit its memory, where the job leaves that open: first as many layers
 * as it takes run their forward again, then the frozen weights go to a disk as well.
 */
final class SavingsChoice {
  /** Of the memory; estimates are right to within a tenth. */
  private static final double USED = 0.9;

  private final int leastRecomputed;
  private final int mostRecomputed;
  private final List<Optional<Path>> folders = new ArrayList<>();

  private SavingsChoice(JobSpec spec, int layers, @Nullable Path scratch) {
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
    switch (spec.offload().parameters()) {
      case AUTO -> {
        folders.add(Optional.empty());
        if (scratch != null) {
          folders.add(Optional.of(scratch));
        }
      }
      case NONE -> folders.add(Optional.empty());
      case DISK -> folders.add(Optional.ofNullable(scratch));
    }
  }

  /**
   * The least that fits; where nothing does, the most that the job allows.
   *
   * @param layers of the model
   * @param scratch where weights may be offloaded to; null where they can't
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

  private MemorySavings choose(long room, ToLongFunction<MemorySavings> needs) {
    for (Optional<Path> folder : folders) {
      if (needs.applyAsLong(savings(leastRecomputed, folder)) <= room) {
        return savings(leastRecomputed, folder);
      }
      if (needs.applyAsLong(savings(mostRecomputed, folder)) <= room) {
        return savings(fewestRecomputed(room, folder, needs), folder);
      }
    }
    return savings(mostRecomputed, folders.getLast());
  }

  private int fewestRecomputed(
      long room, Optional<Path> folder, ToLongFunction<MemorySavings> needs) {
    int low = leastRecomputed;
    int high = mostRecomputed;
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (needs.applyAsLong(savings(middle, folder)) <= room) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  private static MemorySavings savings(int recomputedLayers, Optional<Path> folder) {
    return new MemorySavings(recomputedLayers, folder.orElse(null));
  }
}
