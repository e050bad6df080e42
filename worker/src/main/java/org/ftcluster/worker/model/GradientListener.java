package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** Hears of gradients while a backward goes on. */
public interface GradientListener {
  /** Hears nothing. */
  GradientListener NONE = from -> {};

  /**
   * From that parameter on those in the {@link ParameterBuffer} are complete; ever smaller ones,
   * and some models never say so.
   */
  void complete(long from);

  /**
   * Where ranks share values out, all of a {@link ParameterUnit}'s gradients are complete, which
   * then are nowhere else, and are gone once this returns. All ranks call it equally often, in the
   * same order.
   *
   * @param gradients float32; null where this rank has none, while others do
   */
  default void complete(int unit, @Nullable MemorySegment gradients) {
    throw new IllegalStateException("nobody takes the gradients of unit " + unit);
  }
}
