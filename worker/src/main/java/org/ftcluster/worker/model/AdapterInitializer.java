package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.ftcluster.worker.tensor.SplitMix64;

/**
 * Fills a new adapter as PEFT does: A from the uniform distribution over ±1/√in (Kaiming's, with a
 * = √5), B with zeros, so that the adapted model begins as the base model.
 *
 * <p>A tensor's values are a function of (seed, name): the i-th is drawn from the i-th number of a
 * {@link SplitMix64} seeded with both, by its leading 24 bits. So they don't depend on what else is
 * trained, nor on how the model is spread over ranks.
 */
public final class AdapterInitializer {
  private static final String LORA_A = ".lora_A.weight";
  private static final String LORA_B = ".lora_B.weight";

  private AdapterInitializer() {}

  public static void fill(ParameterBuffer parameters, long seed) {
    for (ParameterBuffer.Slice slice : parameters.slices()) {
      MemorySegment values = slice.of(parameters.values());
      if (slice.name().endsWith(LORA_A)) {
        uniform(values, slice, seed);
      } else if (slice.name().endsWith(LORA_B)) {
        values.fill((byte) 0);
      } else {
        throw new IllegalArgumentException("no rule to initialise " + slice.name());
      }
    }
  }

  private static void uniform(MemorySegment values, ParameterBuffer.Slice slice, long seed) {
    double bound = 1 / Math.sqrt((double) slice.shape()[1]);
    SplitMix64 random = new SplitMix64(SplitMix64.seed(seed, hash(slice.name())));
    for (long i = 0; i < slice.size(); i++) {
      double unit = (random.next() >>> 40) * 0x1p-24;
      values.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) ((2 * unit - 1) * bound));
    }
  }

  /** FNV-1a, 64 bits. */
  private static long hash(String name) {
    long hash = 0xcbf29ce484222325L;
    for (byte b : name.getBytes(StandardCharsets.UTF_8)) {
      hash = (hash ^ (b & 0xff)) * 0x100000001b3L;
    }
    return hash;
  }
}
