package org.ftcluster.worker.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.tensor.ScratchFile;
import org.jspecify.annotations.Nullable;

/**
 * What a rank does to need less memory, at the cost of time. None of it changes a result.
 *
 * @param recomputedLayers of each part of the model the first so many layers keep their input only,
 *     and run their forward again in the backward
 * @param parametersIn the folder on whose disk the layers' frozen weights lie; null where they stay
 *     in memory
 * @param optimizerIn likewise for what the optimizer remembers
 */
public record MemorySavings(
    int recomputedLayers, @Nullable Path parametersIn, @Nullable Path optimizerIn) {
  public static final MemorySavings NONE = new MemorySavings(0, null, null);

  /** All layers, of however many. */
  public static final MemorySavings RECOMPUTED = NONE.recomputing(Integer.MAX_VALUE);

  /** The same with another number of layers that run their forward again. */
  public MemorySavings recomputing(int layers) {
    return new MemorySavings(layers, parametersIn, optimizerIn);
  }

  /** The same with the layers' frozen weights there. */
  public MemorySavings withParametersIn(@Nullable Path folder) {
    return new MemorySavings(recomputedLayers, folder, optimizerIn);
  }

  /** The same with what the optimizer remembers there. */
  public MemorySavings withOptimizerIn(@Nullable Path folder) {
    return new MemorySavings(recomputedLayers, parametersIn, folder);
  }

  /** In words. */
  public String text() {
    String layers =
        recomputedLayers == 0
            ? "every layer keeps what its backward needs"
            : "the first %d layers run their forward again".formatted(recomputedLayers);
    return "%s, and %s on a disk".formatted(layers, onDisk());
  }

  /** What lies on a disk, in words. */
  public String onDisk() {
    List<String> things = new ArrayList<>();
    if (parametersIn != null) {
      things.add("frozen weights");
    }
    if (optimizerIn != null) {
      things.add("the optimizer's moments");
    }
    return things.isEmpty() ? "nothing" : String.join(" and ", things);
  }

  /** What a job file would say to have as much on a disk. */
  public String offloadSetting() {
    List<String> keys = new ArrayList<>();
    if (parametersIn != null) {
      keys.add("parameters: disk");
    }
    if (optimizerIn != null) {
      keys.add("optimizer: disk");
    }
    return keys.size() == 1
        ? "offload." + keys.getFirst()
        : "offload: {%s}".formatted(String.join(", ", keys));
  }

  /** Whether a folder is there, or can be made, on a disk: one in memory would save nothing. */
  public static boolean canOffloadTo(Path folder) {
    Path there = folder;
    while (there != null && !Files.isDirectory(there)) {
      there = there.getParent();
    }
    try {
      return there != null && Files.isWritable(there) && ScratchFile.isOnDisk(there);
    } catch (IOException e) {
      return false;
    }
  }

  boolean recomputes(int layer) {
    return layer < recomputedLayers;
  }
}
