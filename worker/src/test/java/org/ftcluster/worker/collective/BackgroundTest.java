package org.ftcluster.worker.collective;

import static org.ftcluster.worker.collective.Ranks.LIMIT;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.ftcluster.worker.collective.Communicator.ElementType;
import org.ftcluster.worker.collective.Communicator.ReduceOp;
import org.junit.jupiter.api.Test;

/** What goes on in a generation's background goes on by itself, and ends with it. */
class BackgroundTest {
  @Test
  void whatGoesOnThereHoldsNobodyUp() throws Exception {
    int ranks = 3;
    CountDownLatch met = new CountDownLatch(ranks);
    List<Long> sums =
        Ranks.run(
            ranks,
            all -> {
              Communicator background = all.background();
              MemorySegment buffer = Arena.ofAuto().allocate(8 << 20, 64);
              buffer.set(ValueLayout.JAVA_LONG, 0, all.rank() + 1L);
              Work sum = null;
              if (all.rank() > 0) {
                sum = background.allReduce(buffer, ElementType.INT64, ReduceOp.SUM);
              }
              for (int i = 0; i < 10; i++) {
                all.barrier().await(LIMIT);
              }
              met.countDown();
              if (sum == null) {
                assertTrue(met.await(LIMIT.toSeconds(), TimeUnit.SECONDS));
                sum = background.allReduce(buffer, ElementType.INT64, ReduceOp.SUM);
              } else {
                assertFalse(sum.isDone());
              }
              sum.await(LIMIT);
              return buffer.get(ValueLayout.JAVA_LONG, 0);
            });
    assertEquals(List.of(6L, 6L, 6L), sums);
  }

  @Test
  void whatEndsOneEndsTheOther() throws Exception {
    List<String> ends =
        Ranks.run(
            2,
            all -> {
              Communicator background = all.background();
              MemorySegment word = Arena.ofAuto().allocate(8);
              if (all.rank() == 0) {
                Work late = background.recv(word, 1);
                assertThrows(CollectiveException.class, () -> late.await(Duration.ofMillis(200)));
              }
              return failure(all.recv(word, 1 - all.rank()));
            });
    for (String end : ends) {
      assertTrue(end.contains("is not done after"), end);
    }
    for (String end :
        Ranks.run(
            2,
            all -> {
              Communicator background = all.background();
              if (all.rank() == 1) {
                all.abort("enough");
              }
              return failure(background.barrier());
            })) {
      assertTrue(end.contains("enough"), end);
    }
  }

  private static String failure(Work work) {
    return String.valueOf(
        assertThrows(CollectiveException.class, () -> work.await(LIMIT)).getMessage());
  }
}
