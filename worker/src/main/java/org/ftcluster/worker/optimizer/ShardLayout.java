package org.ftcluster.worker.optimizer;

import java.util.List;

/**
 * How ranks share the optimizer's memory out: each has its own neighbouring parameters, and, where
 * it is mirrored, those of the rank before as well, whose memory it computes besides. So what a
 * lost rank held is still there, unless its neighbour is lost with it.
 *
 * @param size parameters
 * @param rank this one
 * @param ranks that share
 */
public record ShardLayout(long size, int rank, int ranks, boolean mirrored) {
  /** Shards begin at multiples of this, so that they are whole blocks of the gradient's norm. */
  static final int BLOCK = GradientClip.BLOCK;

  public ShardLayout {
    if (rank < 0 || rank >= ranks) {
      throw new IllegalArgumentException("rank %d of %d".formatted(rank, ranks));
    }
  }

  /** Nobody shares anything. */
  public static ShardLayout whole(long size) {
    return new ShardLayout(size, 0, 1, false);
  }

  /** A rank's own parameters. */
  public Shard of(int other) {
    long blocks = Math.ceilDiv(size, (long) BLOCK);
    return new Shard(start(blocks, other), start(blocks, other + 1));
  }

  private long start(long blocks, int other) {
    return Math.min(size, blocks * other / ranks * BLOCK);
  }

  public Shard own() {
    return of(rank);
  }

  /** The most that a rank has of its own. */
  public long largest() {
    long blocks = Math.ceilDiv(size, (long) BLOCK);
    return Math.min(size, Math.ceilDiv(blocks, (long) ranks) * BLOCK);
  }

  /** All of whose memory this rank has: first its own, then what it mirrors. */
  public List<Shard> held() {
    return mirrored && ranks > 1 ? List.of(own(), of(previous())) : List.of(own());
  }

  int previous() {
    return Math.floorMod(rank - 1, ranks);
  }

  int next() {
    return (rank + 1) % ranks;
  }
}
