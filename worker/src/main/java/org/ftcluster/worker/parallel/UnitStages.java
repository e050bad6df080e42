package org.ftcluster.worker.parallel;

import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.model.ParameterUnit;

/**
 * Which of a pipeline's stages compute with which {@link ParameterUnit}s. The first of them has a
 * unit's values, shared out among its ranks; another one, as that whose head is the embedding, gets
 * them from there.
 *
 * @param pipeline stages
 * @param tensor slices of each
 * @param ofUnits by unit, ascending
 */
public record UnitStages(int pipeline, int tensor, List<List<Integer>> ofUnits) {
  public UnitStages {
    ofUnits = ofUnits.stream().map(List::copyOf).toList();
  }

  /** All units are on all ranks. */
  public static UnitStages one(int units) {
    return new UnitStages(1, 1, IntStream.range(0, units).mapToObj(unit -> List.of(0)).toList());
  }

  /** The stage that has a unit's values. */
  public int owner(int unit) {
    return ofUnits.get(unit).getFirst();
  }

  /** Those that only borrow them. */
  public List<Integer> borrowers(int unit) {
    return ofUnits.get(unit).subList(1, ofUnits.get(unit).size());
  }

  /** All units that a stage computes with, ascending. */
  public List<Integer> usedBy(int stage) {
    return IntStream.range(0, ofUnits.size())
        .filter(unit -> ofUnits.get(unit).contains(stage))
        .boxed()
        .toList();
  }

  /** The stage that a rank is in; ranks are in the order of {@link Mesh}. */
  public int stage(int rank) {
    return rank / tensor % pipeline;
  }

  /** A rank's place among those of its stage. */
  public int place(int rank) {
    return rank / (pipeline * tensor) * tensor + rank % tensor;
  }

  /** The rank at a place of a stage. */
  public int rank(int stage, int place) {
    return (place / tensor * pipeline + stage) * tensor + place % tensor;
  }
}
