package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.collective.Ranks;
import org.ftcluster.worker.collective.Work;
import org.ftcluster.worker.collective.Works;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Three ranks that have gradients of a third of the parameters each, as a pipeline's stages do. */
class StagedSumTest {
  private static final int STAGES = 3;
  private static final int SIZE = 3_000_000;
  private static final int OWN = SIZE / STAGES;

  @ParameterizedTest
  @EnumSource
  void laterStagesAreSummedWhileEarlierOnesAreStillAtWork(Reduction reduction) throws Exception {
    CountDownLatch summed = new CountDownLatch(1);
    List<float[]> sums =
        Ranks.run(
            STAGES,
            ranks -> {
              int stage = ranks.rank();
              Works begun = new Works(ranks.background());
              Communicator background = begun.communicator();
              MemorySegment gradients = Arena.ofAuto().allocate(4L * SIZE, 64);
              try (GradientSum sum = GradientSum.of(reduction, SIZE, 0)) {
                sum.start(STAGES);
                sum.nothingFrom(background, (stage + 1L) * OWN);
                if (stage == STAGES - 1) {
                  fill(gradients, stage);
                  sum.addEarly(background, gradients, (long) stage * OWN, true);
                  List<Work> pieces = begun.soFar();
                  assertTrue(pieces.size() > 1, "in pieces");
                  for (Work piece : pieces) {
                    piece.await(LIMIT);
                  }
                  summed.countDown();
                } else {
                  assertTrue(summed.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
                  fill(gradients, stage);
                }
                sum.add(gradients, 0.5);
                sum.reduce(background, gradients, LIMIT);
                return gradients.toArray(ValueLayout.JAVA_FLOAT);
              }
            });
    MemorySegment expected = Arena.ofAuto().allocate(4L * SIZE, 64);
    for (int stage = 0; stage < STAGES; stage++) {
      fill(expected, stage);
    }
    for (float[] sum : sums) {
      assertArrayEquals(expected.toArray(ValueLayout.JAVA_FLOAT), sum, 0f);
    }
  }

  /** Numbers that none of the sums rounds. */
  private static void fill(MemorySegment gradients, int stage) {
    for (int i = stage * OWN; i < (stage + 1) * OWN; i++) {
      gradients.setAtIndex(ValueLayout.JAVA_FLOAT, i, (i % 255 - 127) / 128f);
    }
  }
}
