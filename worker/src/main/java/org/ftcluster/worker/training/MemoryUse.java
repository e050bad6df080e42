package org.ftcluster.worker.training;

import java.lang.foreign.MemorySegment;
import java.util.Locale;
import java.util.stream.Stream;
import org.ftcluster.worker.checkpoint.TrainingState;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.tensor.FiledMemory;

/**
 * Memory that a rank has held, in bytes, by what {@link MemoryPlan} foretells.
 *
 * @param weights frozen ones, and copies of those that are trained
 * @param trained values, gradients, what the optimizer remembers, and sums
 * @param activations at their fullest
 */
record MemoryUse(long weights, long trained, long activations) {
  static final MemoryUse NONE = new MemoryUse(0, 0, 0);

  /** Bytes of a state, as far as it is here, and in memory. */
  static long ofState(TrainingState state) {
    ParameterBuffer whole = state.parameters();
    Stream<MemorySegment> parameters =
        state.optimizer().layout().sharesValues()
            ? Stream.of()
            : Stream.of(whole.values(), whole.gradients());
    Stream<MemorySegment> remembered =
        state.optimizer().pieces().stream()
            .flatMap(
                piece ->
                    Stream.of(
                        piece.values(),
                        piece.firstMoment(),
                        piece.secondMoment(),
                        piece.gradients()));
    return Stream.concat(parameters, remembered)
        .filter(buffer -> !FiledMemory.is(buffer))
        .mapToLong(MemorySegment::byteSize)
        .sum();
  }

  long total() {
    return weights + trained + activations;
  }

  @Override
  public String toString() {
    return String.format(
        Locale.ROOT,
        "held %.1f MB of weights, %.1f MB of what is trained, %.1f MB of activations",
        weights / 1e6,
        trained / 1e6,
        activations / 1e6);
  }
}
