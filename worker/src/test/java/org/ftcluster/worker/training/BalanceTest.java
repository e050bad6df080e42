package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.ftcluster.protocol.message.RankReport.Pace;
import org.junit.jupiter.api.Test;

/** Two ranks, one of which computes slower. */
class BalanceTest extends SmallJob {
  @Test
  void aSlowRankIsNamedAndHasLessToDoAndTheAdapterIsTheSame() throws Exception {
    AtomicInteger quick = new AtomicInteger();
    AtomicInteger slow = new AtomicInteger();
    TrainingTask first = keep(task(spec(out), quick::incrementAndGet));
    TrainingTask second =
        keep(
            task(
                spec(out),
                () -> {
                  slow.incrementAndGet();
                  sleep(200);
                }));
    Generation generation = new Generation(1, List.of(first, second)).run(-1);
    assertSameAsUndisturbed(generation, out);
    assertEquals(STEPS * MICRO_BATCHES, quick.get() + slow.get());
    // Of five, 2 and 3 while nothing is known; then 4 and 1.
    assertTrue(slow.get() <= 5 * 3 + (STEPS - 5), () -> slow + " micro-batches");
    assertTrue(generation.paces.contains(Pace.HOLDS_UP), generation.paces::toString);
    assertTrue(second.slowness() > 1.5, () -> "slowness " + second.slowness());
    assertTrue(first.slowness() < 0.7, () -> "slowness " + first.slowness());
  }

  private static void sleep(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
