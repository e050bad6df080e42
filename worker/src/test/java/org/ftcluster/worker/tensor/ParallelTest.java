package org.ftcluster.worker.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ParallelTest {
  private static final int THREADS = 3;
  private static final Parallel.Cost COST = new Parallel.Cost("test", 0, 0);

  @BeforeEach
  void threads() {
    Parallel.setThreads(THREADS);
  }

  @AfterEach
  void oneThread() {
    Parallel.setThreads(1);
  }

  @Test
  void everyRowIsHandledOnce() {
    for (int rows : new int[] {1, 2, 11, 12, 13, 1003}) {
      AtomicIntegerArray handled = new AtomicIntegerArray(rows);
      Parallel.rows(COST, rows, 1, (from, to) -> count(handled, from, to));
      for (int row = 0; row < rows; row++) {
        assertEquals(1, handled.get(row), "row " + row + " of " + rows);
      }
    }
  }

  @Test
  void fewRowsStayInOnePiece() {
    AtomicInteger pieces = new AtomicInteger();
    Parallel.rows(COST, 15, 8, (from, to) -> pieces.incrementAndGet());
    assertEquals(1, pieces.get());
  }

  @Test
  void noTwoThreadsHaveOneNumberAtOnce() {
    AtomicIntegerArray busy = new AtomicIntegerArray(THREADS);
    for (int turn = 0; turn < 200; turn++) {
      Parallel.rows(
          COST,
          64,
          1,
          (thread, from, to) -> {
            assertEquals(1, busy.incrementAndGet(thread));
            Thread.onSpinWait();
            busy.decrementAndGet(thread);
          });
    }
  }

  /** Would wait in vain where each thread had a share of its own. */
  @Test
  void othersTakeWhatASlowThreadHasNotBegun() {
    Parallel.setThreads(2);
    CountDownLatch others = new CountDownLatch(7);
    Parallel.rows(
        COST,
        8,
        1,
        (from, to) -> {
          if (from > 0) {
            others.countDown();
          } else {
            assertTrue(awaited(others), "seven pieces of eight");
          }
        });
  }

  @Test
  void aFailureReachesTheCallerOnceAllElseIsDone() {
    AtomicIntegerArray handled = new AtomicIntegerArray(12);
    NativeException failure = new NativeException("out of memory");
    Throwable thrown =
        assertThrows(
            NativeException.class,
            () ->
                Parallel.rows(
                    COST,
                    12,
                    1,
                    (from, to) -> {
                      count(handled, from, to);
                      if (from == 5) {
                        throw failure;
                      }
                    }));
    assertSame(failure, thrown);
    for (int row = 0; row < 12; row++) {
      assertEquals(1, handled.get(row), "row " + row);
    }
  }

  @Test
  void anInterruptIsKeptForTheCaller() {
    Thread.currentThread().interrupt();
    AtomicIntegerArray handled = new AtomicIntegerArray(100);
    Parallel.rows(COST, 100, 1, (from, to) -> count(handled, from, to));
    assertTrue(Thread.interrupted());
    assertEquals(1, handled.get(99));
  }

  private static void count(AtomicIntegerArray handled, int from, int to) {
    for (int row = from; row < to; row++) {
      handled.incrementAndGet(row);
    }
  }

  private static boolean awaited(CountDownLatch latch) {
    try {
      return latch.await(20, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
  }
}
