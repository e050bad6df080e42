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
 * @param offloadedLayers of each part of the model the first so many layers have what they keep
 *     elsewhere
 * @param parameters where the layers' frozen weights are
 * @param optimizer where what the optimizer remembers is; on a disk, so are the values that it
 *     updates where layers compute with copies of these, and in the host's memory it works there
 * @param activations where what {@code offloadedLayers} keep is
 */
public record MemorySavings(
    int recomputedLayers, int offloadedLayers, Tier parameters, Tier optimizer, Tier activations) {
  public static final MemorySavings NONE =
      new MemorySavings(0, 0, Tier.MEMORY, Tier.MEMORY, Tier.MEMORY);

  /** All layers, of however many. */
  public static final MemorySavings RECOMPUTED = NONE.recomputing(Integer.MAX_VALUE);

  /** The same with another number of layers that run their forward again. */
  public MemorySavings recomputing(int layers) {
    return new MemorySavings(layers, offloadedLayers, parameters, optimizer, activations);
  }

  /** The same with the layers' frozen weights there. */
  public MemorySavings withParameters(Tier tier) {
    return new MemorySavings(recomputedLayers, offloadedLayers, tier, optimizer, activations);
  }

  /** The same with what the optimizer remembers there. */
  public MemorySavings withOptimizer(Tier tier) {
    return new MemorySavings(recomputedLayers, offloadedLayers, parameters, tier, activations);
  }

  /**
   * The same with what some layers keep there.
   *
   * @param layers how many; 0 for none
   */
  public MemorySavings withActivations(Tier tier, int layers) {
    boolean any = tier != Tier.MEMORY && layers > 0;
    return new MemorySavings(
        recomputedLayers, any ? layers : 0, parameters, optimizer, any ? tier : Tier.MEMORY);
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
    String elsewhere =
        switch (activations) {
          case Tier.Memory() -> "";
          case Tier.Host() -> elsewhere("in the host's memory");
          case Tier.Disk(_) -> elsewhere("on a disk");
        };
    return "%s%s, and %s".formatted(layers, elsewhere, whereTheRestIs());
  }

  private String elsewhere(String place) {
    return ", the first %d have what they keep %s".formatted(offloadedLayers, place);
  }

  private String whereTheRestIs() {
    List<String> places = new ArrayList<>();
    addPlace(
        places,
        "in the host's memory",
        parameters instanceof Tier.Host,
        optimizer instanceof Tier.Host);
    addPlace(places, "on a disk", parameters instanceof Tier.Disk, optimizer instanceof Tier.Disk);
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
      case BFLOAT16 -> optimizer.folder();
      case FLOAT32 -> null;
    };
  }

  /** Whether the optimizer works where an accelerator's layers leave their gradients. */
  public boolean optimizesOnDevice() {
    return optimizer instanceof Tier.Memory;
  }

  /** What a job file would say to have as much elsewhere. */
  public String offloadSetting() {
    List<String> keys = new ArrayList<>();
    addKey(keys, "parameters", parameters);
    addKey(keys, "optimizer", optimizer);
    addKey(keys, "activations", activations);
    return keys.size() == 1
        ? "offload." + keys.getFirst()
        : "offload: {%s}".formatted(String.join(", ", keys));
  }

  private static void addKey(List<String> keys, String key, Tier tier) {
    switch (tier) {
      case Tier.Memory() -> {}
      case Tier.Host() -> keys.add(key + ": cpu");
      case Tier.Disk(Path _) -> keys.add(key + ": disk");
    }
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
