package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.optimizer.GradientSum.Flag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What ranks tell each other along with a step's sum. */
class GradientSumMessagesTest {
  @ParameterizedTest
  @EnumSource
  void aFlagThatOneRankRaisesIsSeenByAllForOneStep(Reduction reduction) throws Exception {
    List<List<Integer>> seen =
        twoSteps(
            reduction,
            (sum, step, rank) -> {
              if (step == 0 && rank > 0) {
                sum.raise(Flag.HAND_OVER);
              }
              if (step == 1 && rank == 0) {
                sum.raise(Flag.LEAVE);
              }
            },
            sum -> List.of(sum.raised(Flag.HAND_OVER), sum.raised(Flag.LEAVE)));
    assertEquals(Collections.nCopies(3, List.of(2, 0, 0, 1)), seen);
  }

  @ParameterizedTest
  @EnumSource
  void whatOneRankTellsAllKnowForOneStep(Reduction reduction) throws Exception {
    List<List<Long>> known =
        twoSteps(
            reduction,
            (sum, step, rank) -> {
              if (step == 0 && rank > 0) {
                sum.tell(rank - 1, (3L << 40) * rank);
              }
              sum.raise(Flag.HAND_OVER);
            },
            sum -> List.of(sum.told(0), sum.told(1)));
    assertEquals(Collections.nCopies(3, List.of(3L << 40, 6L << 40, 0L, 0L)), known);
  }

  /** What a rank does before a step's sum. */
  private interface Saying {
    void in(GradientSum sum, int step, int rank);
  }

  /** What three ranks hear in two steps, one after the other. */
  private static <T> List<List<T>> twoSteps(
      Reduction reduction, Saying said, Function<GradientSum, List<T>> heard) throws Exception {
    return Ranks.run(
        3,
        ranks -> {
          List<T> all = new ArrayList<>();
          try (GradientSum sum = GradientSum.of(reduction, 1, 2)) {
            for (int step = 0; step < 2; step++) {
              sum.start(1);
              said.in(sum, step, ranks.rank());
              sum.reduce(ranks, floats(0), LIMIT);
              all.addAll(heard.apply(sum));
            }
          }
          return all;
        });
  }
}
