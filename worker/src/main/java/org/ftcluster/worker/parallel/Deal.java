package org.ftcluster.worker.parallel;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which replica takes which micro-batches of a step. Over all replicas each micro-batch is there
 * once; with more replicas than micro-batches some have none.
 *
 * @param shares by replica: places in the global batch, ascending
 */
public record Deal(List<List<Integer>> shares) {
  public Deal {
    shares = shares.stream().map(List::copyOf).toList();
  }

  /** Neighbouring micro-batches, no more than one more than any other replica has. */
  public static Deal even(int microBatches, int replicas) {
    List<List<Integer>> shares = new ArrayList<>();
    for (long replica = 0; replica < replicas; replica++) {
      int from = (int) (microBatches * replica / replicas);
      int to = (int) (microBatches * (replica + 1) / replicas);
      shares.add(IntStream.range(from, to).boxed().toList());
    }
    return new Deal(shares);
  }

  /**
   * So that all replicas are done at about the same time: the largest micro-batches first, each to
   * the replica that would be done with it first. Every replica has one at least, as far as they go
   * round, so that its speed stays known.
   *
   * @param tokens of each micro-batch
   * @param slowness time that each replica takes for a token, in any unit
   */
  public static Deal balanced(long[] tokens, double[] slowness) {
    int replicas = slowness.length;
    if (tokens.length < replicas) {
      return even(tokens.length, replicas);
    }
    List<Integer> largestFirst =
        new ArrayList<>(IntStream.range(0, tokens.length).boxed().toList());
    largestFirst.sort(Comparator.comparingLong((Integer i) -> tokens[i]).reversed());
    List<Integer> fastestFirst = new ArrayList<>(IntStream.range(0, replicas).boxed().toList());
    fastestFirst.sort(Comparator.comparingDouble((Integer r) -> slowness[r]));

    List<List<Integer>> shares = new ArrayList<>();
    long[] loads = new long[replicas];
    fastestFirst.forEach(replica -> shares.add(new ArrayList<>()));
    for (int next : largestFirst) {
      int first =
          Collections.min(
              fastestFirst,
              Comparator.comparingDouble((Integer r) -> (loads[r] + tokens[next]) * slowness[r]));
      shares.get(first).add(next);
      loads[first] += tokens[next];
    }
    for (List<Integer> none : shares) {
      if (none.isEmpty()) {
        none.add(Collections.max(shares, Comparator.comparingInt(List::size)).removeLast());
      }
    }
    shares.forEach(share -> share.sort(null));
    return new Deal(shares);
  }

  /** A replica's micro-batches, of all that the step has. */
  public <T> List<T> share(int replica, List<T> microBatches) {
    return shares.get(replica).stream().map(microBatches::get).toList();
  }

  /** Micro-batches that any replica has at most. */
  public int most() {
    return shares.stream().mapToInt(List::size).max().orElse(0);
  }

  /** Tokens that a replica has to go through. */
  long load(int replica, long[] tokens) {
    return shares.get(replica).stream().mapToLong(i -> tokens[i]).sum();
  }

  /** When the last replica is done, in the unit of {@code slowness}. */
  double time(long[] tokens, double[] slowness) {
    return IntStream.range(0, shares.size())
        .mapToDouble(replica -> load(replica, tokens) * slowness[replica])
        .max()
        .orElse(0);
  }

  /** The same if micro-batches could be cut anywhere. */
  static double leastTime(long[] tokens, double[] slowness) {
    double speed = Arrays.stream(slowness).map(slow -> 1 / slow).sum();
    return Arrays.stream(tokens).sum() / speed;
  }
}
