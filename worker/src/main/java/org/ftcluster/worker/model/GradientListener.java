package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.collective.Work;
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
   * are nowhere else. All ranks call it equally often, in the same order.
   *
   * @param gradients float32, which stay as they are until this is done; null where this rank has
   *     none, while others do
   */
  default Work complete(int unit, @Nullable MemorySegment gradients) {
    throw new IllegalStateException("nobody takes the gradients of unit " + unit);
  }
}
