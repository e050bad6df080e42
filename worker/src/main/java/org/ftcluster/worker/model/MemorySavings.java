package org.ftcluster.worker.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * What a rank does to need less memory, at the cost of time. None of it changes a result.
 *
 * @param recomputedLayers of each part of the model the first so many layers keep their input only,
 *     and run their forward again in the backward
 * @param offloadedTo the folder on whose disk the layers' frozen weights lie; null where they stay
 *     in memory
 */
public record MemorySavings(int recomputedLayers, @Nullable Path offloadedTo) {
  public static final MemorySavings NONE = new MemorySavings(0, null);

  /** All layers, of however many. */
  public static final MemorySavings RECOMPUTED = new MemorySavings(Integer.MAX_VALUE, null);

  public boolean isOffloaded() {
    return offloadedTo != null;
  }

  /** In words. */
  public String text() {
    String layers =
        recomputedLayers == 0
            ? "every layer keeps what its backward needs"
            : "the first %d layers run their forward again".formatted(recomputedLayers);
    return layers
        + (isOffloaded()
            ? ", and frozen weights lie in " + offloadedTo
            : ", and all weights stay in memory");
  }

  /** Whether a folder is there, or can be made, on a disk: one in memory would save nothing. */
  public static boolean canOffloadTo(Path folder) {
    Path there = folder;
    while (there != null && !Files.isDirectory(there)) {
      there = there.getParent();
    }
    try {
      return there != null && Files.isWritable(there) && FiledLayers.isOnDisk(there);
    } catch (IOException e) {
      return false;
    }
  }

  boolean recomputes(int layer) {
    return layer < recomputedLayers;
  }
}
