package org.ftcluster.worker.parallel;

import java.util.List;
import java.util.stream.IntStream;
import org.ftcluster.protocol.job.JobSpec;

/**
 * The ranks of a generation as a grid: {@code data} replicas of the model, each cut into {@code
 * pipeline} stages of layers, each of those into {@code tensor} slices.
 *
 * <p>Neighbouring ranks are slices of the same stage, since they exchange the most; then come the
 * stages of a replica.
 *
 * @param groups of neighbouring replicas: what ranks share out, they share out within each (hybrid
 *     sharding, arXiv:2304.11277)
 */
public record Mesh(int data, int pipeline, int tensor, int groups) {
  public Mesh {
    if (data < 1 || pipeline < 1 || tensor < 1 || groups < 1 || data % groups != 0) {
      throw new IllegalArgumentException(
          "a mesh of %d x %d x %d in %d groups".formatted(data, pipeline, tensor, groups));
    }
  }

  /** All ranks are one group. */
  public Mesh(int data, int pipeline, int tensor) {
    this(data, pipeline, tensor, 1);
  }

  /**
   * As many replicas as ranks allow; one group where they make up no whole number of groups.
   *
   * @throws IllegalArgumentException when replicas don't use up the ranks
   */
  public static Mesh of(JobSpec.Parallel parallel, int ranks) {
    int replica = parallel.replicaRanks();
    if (ranks < replica || ranks % replica != 0) {
      throw new IllegalArgumentException(
          "%d ranks are no whole number of replicas of %d".formatted(ranks, replica));
    }
    return new Mesh(ranks / replica, parallel.pipeline(), parallel.tensor())
        .inGroupsOf(parallel.shardingGroup());
  }

  /** The same in groups of that many ranks, where they make up a whole number of replicas each. */
  public Mesh inGroupsOf(int ranks) {
    boolean possible = ranks > 0 && size() % ranks == 0 && ranks % (pipeline * tensor) == 0;
    return new Mesh(data, pipeline, tensor, possible ? size() / ranks : 1);
  }

  /** Where a rank stands. */
  public record Place(int data, int stage, int tensor) {}

  /** Ranks, over all replicas. */
  public int size() {
    return data * pipeline * tensor;
  }

  /** Ranks of a group. */
  public int groupSize() {
    return size() / groups;
  }

  /** Replicas of a group. */
  public int groupData() {
    return data / groups;
  }

  public Place place(int rank) {
    if (rank < 0 || rank >= size()) {
      throw new IllegalArgumentException("rank %d of %d".formatted(rank, size()));
    }
    return new Place(rank / (pipeline * tensor), rank / tensor % pipeline, rank % tensor);
  }

  public int rank(Place place) {
    return (place.data() * pipeline + place.stage()) * tensor + place.tensor();
  }

  /** The ranks that hold the slices of this place's layers, by slice. */
  public List<Integer> tensorGroup(Place place) {
    return IntStream.range(0, tensor)
        .map(t -> rank(new Place(place.data(), place.stage(), t)))
        .boxed()
        .toList();
  }

  /** The ranks that hold this place's slice of all layers of its replica, by stage. */
  public List<Integer> pipelineGroup(Place place) {
    return IntStream.range(0, pipeline)
        .map(stage -> rank(new Place(place.data(), stage, place.tensor())))
        .boxed()
        .toList();
  }

  /** The ranks that hold slices of the same layers as this place, of all the group's replicas. */
  public List<Integer> stageGroup(Place place) {
    return sharingGroup(place).stream().filter(r -> place(r).stage() == place.stage()).toList();
  }

  /** The ranks that hold the same of the model as this place, by the group's replicas. */
  public List<Integer> dataGroup(Place place) {
    return IntStream.range(0, groupData())
        .map(replica -> firstReplica(place) + replica)
        .map(replica -> rank(new Place(replica, place.stage(), place.tensor())))
        .boxed()
        .toList();
  }

  /** The ranks that share things out with this place. */
  public List<Integer> sharingGroup(Place place) {
    int first = firstReplica(place) * pipeline * tensor;
    return IntStream.range(first, first + groupSize()).boxed().toList();
  }

  /** The ranks that have the same share as this place, by group. */
  public List<Integer> twins(Place place) {
    return IntStream.range(0, groups)
        .map(group -> group * groupSize() + rank(place) % groupSize())
        .boxed()
        .toList();
  }

  private int firstReplica(Place place) {
    return place.data() / groupData() * groupData();
  }
}
