package org.ftcluster.worker.model;

import java.lang.foreign.MemorySegment;
import org.ftcluster.worker.collective.Work;
import org.jspecify.annotations.Nullable;

/** Hears of gradients while a backward goes on. */
public interface GradientListener {
  /** Hears nothing. */
  GradientListener NONE = from -> {};

  /**
   * From that parameter on those in the {@link ParameterBuffer} are complete, or in its copy in an
   * accelerator's memory, as far as that was told; ever smaller ones, and some models never say so.
   */
  void complete(long from);

  /**
   * Whether it takes gradients from where an accelerator's layers leave them. Otherwise they come
   * to the {@link ParameterBuffer}, all together when the backward is done, and it hears nothing.
   */
  default boolean takesFromDevice() {
    return false;
  }

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
