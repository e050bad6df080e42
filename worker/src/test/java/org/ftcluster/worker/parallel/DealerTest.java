package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DealerTest {
  private static final long[] TOKENS = new long[12];

  static {
    Arrays.fill(TOKENS, 100);
  }

  private final Dealer dealer = new Dealer(3, true);

  @Test
  void replicasAreTakenForEquallyFastUntilTheyWereMeasured() {
    for (int step = 1; step < Dealer.WINDOW; step++) {
      step(1, 3, 1);
      assertEquals(Deal.even(12, 3), dealer.deal(TOKENS));
      assertEquals(0, dealer.relativeSlowness(1));
      assertFalse(dealer.straggles(1));
    }
    step(1, 3, 1);
    assertEquals(List.of(6, 1, 5), sizes());
    assertTrue(dealer.straggles(1));
    assertFalse(dealer.straggles(0));
  }

  @Test
  void oneThatIsFastAgainGetsItsShareBack() {
    steps(10, 1, 3, 1);
    assertEquals(3, dealer.relativeSlowness(1), 1e-9);
    steps(10, 1, 1, 1);
    assertEquals(List.of(4, 4, 4), sizes());
    assertFalse(dealer.straggles(1));
  }

  @Test
  void aStepThatTookLongOnceChangesNothing() {
    steps(5, 1, 1, 1);
    step(1, 30, 1);
    steps(5, 1, 1, 1);
    step(30, 1, 1);
    assertEquals(Deal.even(12, 3), dealer.deal(TOKENS));
    assertFalse(dealer.straggles(0));
  }

  @Test
  void noiseDoesNotMoveMicroBatches() {
    Random random = new Random(3);
    Deal before = dealer.deal(TOKENS);
    for (int step = 0; step < 200; step++) {
      step(random.nextDouble(1, 1.1), random.nextDouble(1, 1.1), random.nextDouble(1, 1.1));
      assertEquals(before, dealer.deal(TOKENS));
    }
  }

  @Test
  void nothingIsMovedWhereThatWouldNotHelp() {
    long[] four = {100, 100, 100, 100};
    Dealer two = new Dealer(4, true);
    for (int step = 0; step < 10; step++) {
      two.learn(four, new long[] {100, 100, 300, 100});
    }
    assertEquals(Deal.even(4, 4), two.deal(four));
    assertTrue(two.straggles(2));
    assertTrue(two.isCoarse(four), "one micro-batch is more than its share");
  }

  @Test
  void enoughMicroBatchesAreNotCoarse() {
    steps(10, 1, 2, 1);
    assertFalse(dealer.isCoarse(TOKENS));
  }

  @Test
  void allRanksDealAlike() {
    Dealer other = new Dealer(3, true);
    Random random = new Random(9);
    boolean moved = false;
    for (int step = 0; step < 100; step++) {
      long[] nanos = random.longs(3, 1_000, 90_000).toArray();
      dealer.learn(TOKENS, nanos);
      other.learn(TOKENS, nanos);
      assertEquals(dealer.deal(TOKENS), other.deal(TOKENS));
      moved |= !dealer.deal(TOKENS).equals(Deal.even(12, 3));
    }
    assertTrue(moved);
  }

  @Test
  void aJobWhoseResultDependsOnTheDealKeepsIt() {
    Dealer fixed = new Dealer(2, false);
    for (int step = 0; step < 10; step++) {
      fixed.learn(TOKENS, new long[] {600, 6_000});
    }
    assertEquals(Deal.even(12, 2), fixed.deal(TOKENS));
    assertTrue(fixed.straggles(1));
    assertNotEquals(0, fixed.relativeSlowness(1));
  }

  @Test
  void oneWithoutMicroBatchesIsTakenForLikeTheOthers() {
    long[] two = {100, 100};
    for (int step = 0; step < 10; step++) {
      dealer.learn(two, new long[] {0, 100, 100});
    }
    assertEquals(1, dealer.relativeSlowness(0));
  }

  private List<Integer> sizes() {
    return dealer.deal(TOKENS).shares().stream().map(List::size).toList();
  }

  private void steps(int count, double... slowness) {
    for (int i = 0; i < count; i++) {
      step(slowness);
    }
  }

  private void step(double... slowness) {
    Deal deal = dealer.deal(TOKENS);
    long[] nanos = new long[slowness.length];
    for (int replica = 0; replica < slowness.length; replica++) {
      nanos[replica] = Math.round(1000 * deal.load(replica, TOKENS) * slowness[replica]);
    }
    dealer.learn(TOKENS, nanos);
  }
}
