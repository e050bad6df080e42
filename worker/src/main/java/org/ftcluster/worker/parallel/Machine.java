package org.ftcluster.worker.parallel;

import java.util.List;
import java.util.stream.IntStream;

/**
 * What ranks compute and send with.
 *
 * @param flops operations a second of a rank's products, while nobody else works on its node
 * @param memoryBytes that a rank's memory moves in a second, likewise
 * @param company how much longer work takes where two, three … ranks of a node are at it at once,
 *     since they share its memory and, where there are fewer, its cores; empty where they don't
 *     disturb each other
 * @param overlaps whether ranks compute as fast while bytes are on their way; not where moving
 *     those takes the cores that they compute on
 * @param near between ranks of a node, when all of them send
 * @param far between nodes
 * @param ranksPerNode how many ranks are near each other
 */
public record Machine(
    double flops,
    double memoryBytes,
    List<Double> company,
    boolean overlaps,
    Link near,
    Link far,
    int ranksPerNode) {
  /** A worker that computes on a CPU thread or two, near others by loopback, far by 10 Gbit/s. */
  public static final Machine CPU =
      new Machine(150e9, 8e9, new Link(1e9, 200e-6), new Link(1e9, 300e-6), 1);

  public Machine {
    company = List.copyOf(company);
  }

  /** One whose ranks don't disturb each other. */
  public Machine(double flops, double memoryBytes, Link near, Link far, int ranksPerNode) {
    this(flops, memoryBytes, List.of(), true, near, far, ranksPerNode);
  }

  /**
   * The same with ranks that are all on one node, and share its cores for what they send, too.
   *
   * @param cores of the node
   * @param threads of a rank
   */
  public Machine sharing(int cores, int ranks, int threads) {
    List<Double> turns =
        IntStream.rangeClosed(2, ranks)
            .mapToObj(working -> Math.max(1, (double) working * threads / cores))
            .toList();
    double slowdown = Math.max(1, (double) ranks * threads / cores);
    Link shared = new Link(near.bytes() / slowdown, near.latency() * slowdown);
    return new Machine(flops, memoryBytes, turns, ranks * threads < cores, shared, far, ranks);
  }

  /**
   * One rank's way to another.
   *
   * @param bytes a second, in each direction at once
   * @param latency seconds for the first byte
   */
  public record Link(double bytes, double latency) {
    /** Seconds for a message. */
    double send(double messageBytes) {
      return latency + messageBytes / bytes;
    }

    /** Seconds for a sum that all of a ring's ranks get. */
    double allReduce(double bufferBytes, int ranks) {
      return 2 * gather(bufferBytes, ranks);
    }

    /**
     * Seconds for sums of a buffer's parts, one after the other, each of which one of a ring's
     * ranks gets.
     */
    double reduce(double bufferBytes, int ranks) {
      return ranks == 1 ? 0 : ranks * (ranks - 1) * latency + bufferBytes / bytes;
    }

    /** Seconds to gather a buffer of which each of a ring's ranks has a part. */
    double gather(double bufferBytes, int ranks) {
      return ranks == 1 ? 0 : (ranks - 1) * (latency + bufferBytes / ranks / bytes);
    }
  }

  /** What neighbouring ranks use, of which a group of that extent is made. */
  Link link(int extent) {
    return extent <= ranksPerNode ? near : far;
  }

  /** How much longer a rank's work takes while so many are at work, spread over nodes. */
  double slowdown(int working) {
    int together = Math.min(working, ranksPerNode);
    if (together < 2 || company.isEmpty()) {
      return 1;
    }
    int known = Math.min(together, company.size() + 1);
    return company.get(known - 2) * together / known;
  }
}
