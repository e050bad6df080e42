package org.ftcluster.worker.optimizer;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.worker.model.ParameterUnit;
import org.ftcluster.worker.parallel.UnitStages;

/**
 * How ranks share the optimizer's memory out: each has its own neighbouring parameters of each
 * unit, and, where it is mirrored, those of the rank before as well, whose memory it computes
 * besides. So what a lost rank held is still there, unless its neighbour is lost with it.
 *
 * @param units neighbouring parameters that are divided by themselves; they leave none out. Several
 *     where values are shared out as well: a layer's are on all ranks of its stage, which gather it
 *     together
 * @param stages that have the units
 * @param rank this one
 * @param ranks that share
 */
public record ShardLayout(
    List<Shard> units, UnitStages stages, int rank, int ranks, boolean mirrored) {
  /** Shards begin at multiples of this, so that they are whole blocks of the gradient's norm. */
  static final int BLOCK = GradientClip.BLOCK;

  public ShardLayout {
    units = List.copyOf(units);
    if (rank < 0 || rank >= ranks) {
      throw new IllegalArgumentException("rank %d of %d".formatted(rank, ranks));
    }
  }

  /** All ranks have a part of each unit. */
  public ShardLayout(List<Shard> units, int rank, int ranks, boolean mirrored) {
    this(units, UnitStages.one(units.size()), rank, ranks, mirrored);
  }

  /**
   * All parameters are one unit.
   *
   * @param size parameters
   */
  public ShardLayout(long size, int rank, int ranks, boolean mirrored) {
    this(List.of(new Shard(0, size)), rank, ranks, mirrored);
  }

  /** Nobody shares anything. */
  public static ShardLayout whole(long size) {
    return new ShardLayout(size, 0, 1, false);
  }

  /** The same as another rank has it. */
  public ShardLayout at(int otherRank, int otherRanks, boolean isMirrored) {
    return new ShardLayout(units, stages, otherRank, otherRanks, isMirrored);
  }

  /** Parameters. */
  public long size() {
    return units.getLast().to();
  }

  /** Whether ranks share out values as well. */
  public boolean sharesValues() {
    return units.size() > 1 && ranks > 1;
  }

  /**
   * A rank's own parameters of a unit; the last ranks may have fewer than others, and those of
   * other stages none.
   */
  public Shard of(int unit, int other) {
    Shard all = units.get(unit);
    if (stages.stage(other) != stages.owner(unit)) {
      return new Shard(all.to(), all.to());
    }
    long share = share(unit);
    long from = Math.min(all.to(), all.from() + stages.place(other) * share);
    return new Shard(from, Math.min(all.to(), from + share));
  }

  private long share(int unit) {
    return ParameterUnit.share(units.get(unit).size(), ranks / stages.pipeline());
  }

  /** A rank's own parameters, where all are one unit. */
  public Shard of(int other) {
    if (units.size() > 1) {
      throw new IllegalStateException("a rank has shards of %d units".formatted(units.size()));
    }
    return of(0, other);
  }

  /** The unit that a parameter is in. */
  public int unitOf(long parameter) {
    for (int unit = 0; unit < units.size(); unit++) {
      if (parameter < units.get(unit).to()) {
        return unit;
      }
    }
    throw new IllegalArgumentException("parameter %d of %d".formatted(parameter, size()));
  }

  /** The rank whose own it is. */
  public int ownerOf(long parameter) {
    int unit = unitOf(parameter);
    long place = (parameter - units.get(unit).from()) / share(unit);
    return stages.rank(stages.owner(unit), Math.toIntExact(place));
  }

  /** This rank's, where all are one unit. */
  public Shard own() {
    return of(rank);
  }

  /** The most that a rank has of its own, where all are one unit. */
  public long largest() {
    return of(0).size();
  }

  /** All of whose memory this rank has: first its own, by unit, then what it mirrors. */
  public List<Shard> held() {
    if (ranks == 1) {
      return List.of(new Shard(0, size()));
    }
    List<Shard> held = new ArrayList<>(allOf(rank));
    if (mirrored) {
      held.addAll(allOf(previous()));
    }
    return held;
  }

  /** A rank's own parameters, by unit. */
  public List<Shard> allOf(int other) {
    return IntStream.range(0, units.size()).mapToObj(unit -> of(unit, other)).toList();
  }

  int previous() {
    return Math.floorMod(rank - 1, ranks);
  }

  int next() {
    return (rank + 1) % ranks;
  }
}
