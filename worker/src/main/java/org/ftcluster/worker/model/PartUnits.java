package org.ftcluster.worker.model;

import java.util.List;

/**
 * Which units of what is trained a part uses, and in which rooms they take turns there.
 *
 * @param all of the whole model: embedding, layers, what is behind them
 * @param tied whether the embedding is the head, too
 */
record PartUnits(List<ParameterUnit> all, ModelPart part, boolean tied) {
  /** Layers have two, embedding and head one, or two where they are one matrix. */
  static final int ROOMS = 4;

  private static final int LAYER_ROOMS = 2;

  static final int EMBEDDING = 0;

  PartUnits {
    all = List.copyOf(all);
  }

  ParameterUnit get(int unit) {
    return all.get(unit);
  }

  int count() {
    return all.size();
  }

  /** What is behind the layers. */
  int last() {
    return all.size() - 1;
  }

  /** Of the part's layers one. */
  int ofLayer(int layer) {
    return part.layers().from() + layer + 1;
  }

  int of(ParameterBuffer.Slice slice) {
    for (int unit = 0; unit < all.size(); unit++) {
      if (slice.offset() < all.get(unit).to()) {
        return unit;
      }
    }
    throw new IllegalArgumentException(slice.name());
  }

  private boolean isLayer(int unit) {
    return unit > EMBEDDING && unit < last();
  }

  boolean isHere(int unit) {
    if (isLayer(unit)) {
      return part.layers().contains(unit - 1);
    }
    return unit == EMBEDDING ? part.isFirst() || (tied && part.isLast()) : part.isLast();
  }

  /** Whether the embedding is here as the head only, and its values are another stage's. */
  boolean borrowsEmbedding() {
    return tied && part.isLast() && !part.isFirst();
  }

  /** Whether another stage has the embedding as its head. */
  boolean lendsEmbedding() {
    return tied && part.isFirst() && !part.isLast();
  }

  /** A tied head is the embedding, so what is behind the layers can't take its room. */
  int roomOf(int unit) {
    return isLayer(unit) ? unit % LAYER_ROOMS : LAYER_ROOMS + (unit > EMBEDDING && tied ? 1 : 0);
  }

  /** Parameters of the largest that is here and goes to that room; 0 where none does. */
  long largestIn(int room) {
    long size = 0;
    for (int unit = 0; unit < all.size(); unit++) {
      if (isHere(unit) && roomOf(unit) == room) {
        size = Math.max(size, all.get(unit).size());
      }
    }
    return size;
  }
}
