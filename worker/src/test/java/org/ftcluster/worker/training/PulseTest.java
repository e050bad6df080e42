package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class PulseTest {
  private long nowNs;
  private final Pulse pulse =
      new Pulse(Duration.ofSeconds(60), Duration.ofSeconds(1800), () -> nowNs);

  @Test
  void whoWaitsForOthersDoesNotHang() {
    pulse.begin("a micro-batch");
    pulse.end();
    pass(10_000);
    assertEquals(Optional.empty(), pulse.hang());
  }

  @Test
  void workIsComparedWithTheLongestBeforeIt() {
    work(20);
    work(5);
    pulse.begin("micro-batch 2 of step 7");
    pass(200);
    assertEquals(Optional.empty(), pulse.hang());
    pass(1);
    assertEquals(
        "the rank hangs: micro-batch 2 of step 7 has taken 201 s so far, and the longest before it took 20.0 s",
        pulse.hang().orElseThrow());
  }

  @Test
  void whatWorkWaitsForOthersInItsMidstIsNotCounted() {
    work(20);
    pulse.begin("a micro-batch");
    pass(150);
    pulse.whileWaiting(
        () -> {
          pass(10_000);
          assertEquals(Optional.empty(), pulse.hang());
        });
    pass(50);
    assertEquals(Optional.empty(), pulse.hang());
    pass(1);
    assertTrue(pulse.hang().isPresent());
  }

  @Test
  void aPauseBeforeTheWaitingIsNotCountedEither() {
    work(1);
    pulse.begin("a micro-batch");
    nowNs += Duration.ofHours(1).toNanos(); // nobody asks meanwhile
    pulse.whileWaiting(() -> {});
    assertEquals(Optional.empty(), pulse.hang());
  }

  @Test
  void shortWorkHasTheFloorsTime() {
    work(1);
    pulse.begin("a micro-batch");
    pass(60);
    assertEquals(Optional.empty(), pulse.hang());
    pass(1);
    assertTrue(pulse.hang().isPresent());
  }

  @Test
  void theFirstWorkHasLong() {
    pulse.begin("a micro-batch");
    pass(1800);
    assertEquals(Optional.empty(), pulse.hang());
    pass(1);
    assertTrue(pulse.hang().isPresent());
  }

  @Test
  void whatWasGivenUpIsNoMeasure() {
    work(1);
    pulse.begin("a micro-batch");
    pass(600);
    pulse.forget();
    assertEquals(Optional.empty(), pulse.hang());
    pulse.begin("a micro-batch");
    pass(61);
    assertTrue(pulse.hang().isPresent());
  }

  @Test
  void aProcessThatWasPausedDoesNotHang() {
    work(1);
    pulse.begin("a micro-batch");
    nowNs += Duration.ofHours(1).toNanos();
    assertEquals(Optional.empty(), pulse.hang());
    pass(50);
    assertEquals(Optional.empty(), pulse.hang());
    pass(10);
    assertTrue(pulse.hang().isPresent());
  }

  @Test
  void aPauseIsNoMeasure() {
    work(1);
    pulse.begin("a micro-batch");
    nowNs += Duration.ofHours(1).toNanos();
    pulse.end();
    pulse.begin("a micro-batch");
    pass(61);
    assertTrue(pulse.hang().isPresent());
  }

  private void work(long seconds) {
    pulse.begin("a micro-batch");
    pass(seconds);
    pulse.end();
  }

  /** The worker asks every second. */
  private void pass(long seconds) {
    for (int second = 0; second < seconds; second++) {
      nowNs += Duration.ofSeconds(1).toNanos();
      pulse.hang();
    }
  }
}
