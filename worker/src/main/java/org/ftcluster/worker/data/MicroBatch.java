package org.ftcluster.worker.data;

import java.util.Arrays;
import java.util.List;
import org.ftcluster.worker.model.TokenBatch;

/** Rows of a global batch that go through the model together. Immutable. */
public final class MicroBatch {
  private final int index;
  private final int[] samples;
  private final Dataset data;

  MicroBatch(int index, int[] samples, Dataset data) {
    this.index = index;
    this.samples = samples;
    this.data = data;
  }

  /** Its place in the global batch, from 0. */
  public int index() {
    return index;
  }

  public List<Long> sampleIds() {
    return Arrays.stream(samples).asLongStream().boxed().toList();
  }

  public int sequences() {
    return samples.length * data.sequences();
  }

  public long tokenCount() {
    return Arrays.stream(samples).mapToLong(data::length).sum();
  }

  /** Tokens that carry a loss. */
  public long targetCount() {
    return Arrays.stream(samples).mapToLong(data::targetCount).sum();
  }

  /** Puts the tokens together; only the rank that trains on them needs to. */
  public TokenBatch tokens() {
    return data.batch(samples);
  }
}
