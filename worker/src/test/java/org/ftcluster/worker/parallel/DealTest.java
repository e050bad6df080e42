package org.ftcluster.worker.parallel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DealTest {
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 5, 7, 8, 11, 40})
  void anEvenDealIsOfNeighboursAndNobodyHasTwoMore(int replicas) {
    Deal deal = Deal.even(11, replicas);
    assertEquals(all(11), deal.shares().stream().flatMap(Collection::stream).toList());
    List<Integer> sizes = deal.shares().stream().map(List::size).sorted().toList();
    assertTrue(sizes.getLast() - sizes.getFirst() <= 1, sizes::toString);
    assertEquals(sizes.getLast(), deal.most());
  }

  @Test
  void whoIsTwiceAsFastGetsTwiceAsMuch() {
    Deal deal = Deal.balanced(new long[] {10, 10, 10, 10, 10, 10}, new double[] {2, 1});
    assertEquals(List.of(2, 4), deal.shares().stream().map(List::size).toList());
    assertEquals(40, deal.time(new long[] {10, 10, 10, 10, 10, 10}, new double[] {2, 1}));
  }

  @Test
  void lengthsCountNotNumbers() {
    long[] tokens = {400, 100, 100, 100, 100};
    Deal deal = Deal.balanced(tokens, new double[] {1, 1});
    assertEquals(400, deal.load(0, tokens));
    assertEquals(400, deal.load(1, tokens));
  }

  @Test
  void theSlowestStillHasOne() {
    long[] tokens = {10, 7, 10, 10};
    Deal deal = Deal.balanced(tokens, new double[] {1, 100, 1});
    assertEquals(1, deal.shares().get(1).size());
    assertEquals(4, deal.shares().stream().mapToInt(List::size).sum());
  }

  @Test
  void withMoreReplicasThanMicroBatchesSomeHaveNone() {
    Deal deal = Deal.balanced(new long[] {10, 10}, new double[] {1, 3, 1});
    assertEquals(List.of(0, 1), deal.shares().stream().flatMap(Collection::stream).toList());
  }

  @Test
  void anyDealGivesEveryMicroBatchOnceAndComesNearTheBestTime() {
    for (int seed = 0; seed < 500; seed++) {
      Random random = new Random(seed);
      int replicas = 1 + random.nextInt(6);
      long[] tokens = random.longs(replicas + random.nextInt(30), 50, 500).toArray();
      double[] slowness = random.doubles(replicas, 1, 4).toArray();
      Deal deal = Deal.balanced(tokens, slowness);
      assertEquals(
          all(tokens.length), deal.shares().stream().flatMap(Collection::stream).sorted().toList());
      assertTrue(deal.shares().stream().noneMatch(List::isEmpty));
      // What is left over at the end is one micro-batch at most, on the slowest.
      double slowestMicroBatch =
          Arrays.stream(tokens).max().orElseThrow() * Arrays.stream(slowness).max().orElseThrow();
      assertTrue(
          deal.time(tokens, slowness) <= Deal.leastTime(tokens, slowness) + slowestMicroBatch,
          "seed " + seed);
      deal.shares().forEach(share -> assertEquals(share.stream().sorted().toList(), share));
    }
  }

  private static List<Integer> all(int count) {
    return IntStream.range(0, count).boxed().toList();
  }
}
