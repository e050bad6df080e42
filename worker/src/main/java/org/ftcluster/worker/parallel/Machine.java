package org.ftcluster.worker.parallel;

/**
 * What ranks compute and send with.
 *
 * @param flops operations a second of a rank's large products
 * @param memoryBytes that a rank's memory moves in a second
 * @param near between ranks of a node
 * @param far between nodes
 * @param ranksPerNode how many ranks are near each other
 */
public record Machine(double flops, double memoryBytes, Link near, Link far, int ranksPerNode) {
  /** A worker that computes on a CPU thread or two, near others by loopback, far by 10 Gbit/s. */
  public static final Machine CPU =
      new Machine(150e9, 8e9, new Link(1e9, 200e-6), new Link(1e9, 300e-6), 1);

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

    /** Seconds to gather a buffer of which each of a ring's ranks has a part. */
    double gather(double bufferBytes, int ranks) {
      return ranks == 1 ? 0 : (ranks - 1) * (latency + bufferBytes / ranks / bytes);
    }
  }

  /** What neighbouring ranks use, of which a group of that extent is made. */
  Link link(int extent) {
    return extent <= ranksPerNode ? near : far;
  }
}
