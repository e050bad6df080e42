package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.List;

/**
 * In which order a stage of a pipeline takes the micro-batches of a step forward and backward.
 *
 * <p>One forward, one backward (arXiv:1806.03377): after as many forwards as fill the stages behind
 * it, a stage takes turns, so that it never holds the activations of more micro-batches than there
 * are stages from it to the end.
 */
public final class Schedule {
  private Schedule() {}

  /** What a stage does at a time. */
  public sealed interface Turn {
    int microBatch();

    /** From the stage before, to the stage behind. */
    record Forward(int microBatch) implements Turn {}

    /** From the stage behind, to the stage before. */
    record Backward(int microBatch) implements Turn {}
  }

  /**
   * All turns of a stage.
   *
   * @param stage from 0
   */
  public static List<Turn> of(int stage, int stages, int microBatches) {
    int ahead = inFlight(stage, stages, microBatches) - 1;
    List<Turn> turns = new ArrayList<>(2 * microBatches);
    for (int forward = 0; forward < ahead; forward++) {
      turns.add(new Turn.Forward(forward));
    }
    for (int backward = 0; backward < microBatches; backward++) {
      if (backward + ahead < microBatches) {
        turns.add(new Turn.Forward(backward + ahead));
      }
      turns.add(new Turn.Backward(backward));
    }
    return turns;
  }

  /** The most micro-batches whose activations a stage holds at once. */
  public static int inFlight(int stage, int stages, int microBatches) {
    if (stage < 0 || stage >= stages || microBatches < 0) {
      throw new IllegalArgumentException(
          "stage %d of %d, %d micro-batches".formatted(stage, stages, microBatches));
    }
    return Math.min(stages - stage, microBatches);
  }
}
