package org.ftcluster.worker.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.tensor.ScratchFile;
import org.jspecify.annotations.Nullable;

/**
 * What a rank does to need less memory, at the cost of time. None of it changes a result.
 *
 * @param recomputedLayers of each part of the model the first so many layers keep their input only,
 *     and run their forward again in the backward
 * @param offloadedLayers of each part of the model the first so many layers have what they keep on
 *     a disk
 * @param parametersIn the folder on whose disk the layers' frozen weights lie; null where they stay
 *     in memory
 * @param optimizerIn likewise for what the optimizer remembers, and for the values that it updates
 *     where layers compute with copies of these
 * @param activationsIn likewise for what {@code offloadedLayers} keep
 * @param parametersOnHost whether an accelerator's layers have their frozen weights in the host's
 *     memory
 * @param optimizerOnHost whether the optimizer of what an accelerator's layers train works on the
 *     host
 */
public record MemorySavings(
    int recomputedLayers,
    int offloadedLayers,
    @Nullable Path parametersIn,
    @Nullable Path optimizerIn,
    @Nullable Path activationsIn,
    boolean parametersOnHost,
    boolean optimizerOnHost) {
  public static final MemorySavings NONE = new MemorySavings(0, 0, null, null, null, false, false);

  /** All layers, of however many. */
  public static final MemorySavings RECOMPUTED = NONE.recomputing(Integer.MAX_VALUE);

  /** The same with another number of layers that run their forward again. */
  public MemorySavings recomputing(int layers) {
    return new MemorySavings(
        layers,
        offloadedLayers,
        parametersIn,
        optimizerIn,
        activationsIn,
        parametersOnHost,
        optimizerOnHost);
  }

  /** The same with the layers' frozen weights there. */
  public MemorySavings withParametersIn(@Nullable Path folder) {
    return new MemorySavings(
        recomputedLayers,
        offloadedLayers,
        folder,
        optimizerIn,
        activationsIn,
        parametersOnHost,
        optimizerOnHost);
  }

  /** The same with what the optimizer remembers there. */
  public MemorySavings withOptimizerIn(@Nullable Path folder) {
    return new MemorySavings(
        recomputedLayers,
        offloadedLayers,
        parametersIn,
        folder,
        activationsIn,
        parametersOnHost,
        optimizerOnHost);
  }

  /**
   * The same with what some layers keep there.
   *
   * @param layers how many; 0 for none
   */
  public MemorySavings withActivationsIn(@Nullable Path folder, int layers) {
    boolean any = folder != null && layers > 0;
    return new MemorySavings(
        recomputedLayers,
        any ? layers : 0,
        parametersIn,
        optimizerIn,
        any ? folder : null,
        parametersOnHost,
        optimizerOnHost);
  }

  /** The same with the frozen weights of an accelerator's layers in the host's memory. */
  public MemorySavings withParametersOnHost() {
    return new MemorySavings(
        recomputedLayers,
        offloadedLayers,
        parametersIn,
        optimizerIn,
        activationsIn,
        true,
        optimizerOnHost);
  }

  /** The same with the optimizer of what an accelerator's layers train on the host. */
  public MemorySavings withOptimizerOnHost() {
    return new MemorySavings(
        recomputedLayers,
        offloadedLayers,
        parametersIn,
        optimizerIn,
        activationsIn,
        parametersOnHost,
        true);
  }

  /** How many of a model's layers it makes sense for: the last ones are needed again at once. */
  public static int offloadable(int layers) {
    return Math.max(0, layers - 2);
  }

  /** In words. */
  public String text() {
    String layers =
        recomputedLayers == 0
            ? "every layer keeps what its backward needs"
            : "the first %d layers run their forward again".formatted(recomputedLayers);
    String filed =
        activationsIn == null
            ? ""
            : ", the first %d have what they keep on a disk".formatted(offloadedLayers);
    return "%s%s, and %s".formatted(layers, filed, whereTheRestIs());
  }

  private String whereTheRestIs() {
    List<String> places = new ArrayList<>();
    addPlace(places, "in the host's memory", parametersOnHost, optimizerOnHost);
    addPlace(places, "on a disk", parametersIn != null, optimizerIn != null);
    return places.isEmpty() ? "all else stays in memory" : String.join(", and ", places);
  }

  private static void addPlace(
      List<String> places, String place, boolean parameters, boolean optimizer) {
    List<String> things = new ArrayList<>();
    if (parameters) {
      things.add("frozen weights");
    }
    if (optimizer) {
      things.add("the optimizer's moments");
    }
    if (!things.isEmpty()) {
      places.add("%s are %s".formatted(String.join(" and ", things), place));
    }
  }

  /** Where trained values lie: with what the optimizer remembers, unless layers use them. */
  @Nullable Path valuesIn(JobSpec.Model model) {
    return switch (model.dtype()) {
      case BFLOAT16 -> optimizerIn;
      case FLOAT32 -> null;
    };
  }

  /** Whether the optimizer works where an accelerator's layers leave their gradients. */
  public boolean optimizesOnDevice() {
    return !optimizerOnHost && optimizerIn == null;
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
    if (activationsIn != null) {
      keys.add("activations: disk");
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
