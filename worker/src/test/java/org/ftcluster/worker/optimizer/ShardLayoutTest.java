package org.ftcluster.worker.optimizer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.parallel.UnitStages;
import org.junit.jupiter.api.Test;

/** Ranks of a pipeline share out the values that their stage computes with. */
class ShardLayoutTest {
  private static final int BLOCK = 4096;

  /** An embedding, which is the head, too, three layers, and a norm. */
  private static final List<Shard> UNITS =
      List.of(
          new Shard(0, 10 * BLOCK),
          new Shard(10 * BLOCK, 14 * BLOCK),
          new Shard(14 * BLOCK, 18 * BLOCK),
          new Shard(18 * BLOCK, 22 * BLOCK),
          new Shard(22 * BLOCK, 22 * BLOCK + 100));

  private static final UnitStages STAGES =
      new UnitStages(2, 2, List.of(List.of(0, 1), List.of(0), List.of(0), List.of(1), List.of(1)));

  @Test
  void everyParameterIsOneRanksAndOfItsStage() {
    ShardLayout layout = new ShardLayout(UNITS, STAGES, 5, 12, true);
    for (long parameter = 0; parameter < layout.size(); parameter += 50) {
      long at = parameter;
      List<Integer> owners =
          IntStream.range(0, 12)
              .filter(
                  rank ->
                      layout.allOf(rank).stream()
                          .anyMatch(shard -> shard.from() <= at && at < shard.to()))
              .boxed()
              .toList();
      assertEquals(List.of(layout.ownerOf(at)), owners);
      assertEquals(
          STAGES.owner(layout.unitOf(at)), STAGES.stage(owners.getFirst()), "parameter " + at);
    }
  }

  @Test
  void whatARankHoldsIsAtTheNextRankWhicheverStageThatIsIn() {
    ShardLayout layout = new ShardLayout(UNITS, STAGES, 2, 4, true);
    // Of the second stage the first rank, and of the first one the second.
    assertEquals(
        List.of(0L, 0L, 0L, 2L * BLOCK, 100L, 5L * BLOCK, 2L * BLOCK, 2L * BLOCK, 0L, 0L),
        layout.held().stream().map(Shard::size).toList());
  }
}
