package org.ftcluster.worker.optimizer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Communicator.ElementType;

/**
 * What a stage's ranks sum of their gradients, and a rank's part of it: of each run of neighbouring
 * parameters each rank has its own part.
 *
 * @param memory of this rank's sums
 * @param runs ascending
 */
record StageSums(MemorySegment memory, List<Run> runs) {
  /**
   * Neighbouring parameters that the stage's ranks divide among themselves.
   *
   * @param start of the first one among all
   * @param sums of this rank's part
   */
  record Run(long start, ShardLayout division, MemorySegment sums) {
    /** A rank's part, among all parameters. */
    Shard of(int rank) {
      Shard part = division.of(rank);
      return new Shard(start + part.from(), start + part.to());
    }

    Shard own() {
      return of(division.rank());
    }

    /**
     * Sums of some of this rank's own parameters.
     *
     * @param part empty where there are none
     */
    MemorySegment sums(Shard part, ElementType type) {
      return part.size() == 0
          ? MemorySegment.NULL
          : sums.asSlice((part.from() - own().from()) * type.bytes(), part.size() * type.bytes());
    }
  }

  /**
   * Zeros.
   *
   * @param parts of the parameters, that the stage's ranks leave gradients of
   */
  static StageSums allocate(SumMemory memory, List<Shard> parts, Communicator stage) {
    List<Run> empty =
        parts.stream()
            .map(
                part ->
                    new Run(
                        part.from(),
                        new ShardLayout(part.size(), stage.rank(), stage.size(), false),
                        MemorySegment.NULL))
            .toList();
    long own = empty.stream().mapToLong(run -> run.own().size()).sum();
    ElementType type = memory.format().type();
    return of(empty, memory.allocate(own * type.bytes()), type);
  }

  /** The same runs, with their sums one after the other. */
  private static StageSums of(List<Run> runs, MemorySegment memory, ElementType type) {
    List<Run> placed = new ArrayList<>();
    long at = 0;
    for (Run run : runs) {
      long bytes = run.own().size() * type.bytes();
      placed.add(new Run(run.start(), run.division(), memory.asSlice(at, bytes)));
      at += bytes;
    }
    return new StageSums(memory, List.copyOf(placed));
  }

  /** These, or a copy, where they are elsewhere than in the host's memory. */
  StageSums onHost(Arena arena, SumMemory where) {
    return of(runs, where.onHost(arena, memory), where.format().type());
  }

  /** The most that a rank has of a run. */
  long largest() {
    return runs.stream().mapToLong(run -> run.division().largest()).max().orElse(0);
  }
}
