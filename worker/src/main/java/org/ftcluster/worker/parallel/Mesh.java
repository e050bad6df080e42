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
 */
public record Mesh(int data, int pipeline, int tensor) {
  public Mesh {
    if (data < 1 || pipeline < 1 || tensor < 1) {
      throw new IllegalArgumentException(
          "a mesh of %d x %d x %d".formatted(data, pipeline, tensor));
    }
  }

  /**
   * As many replicas as ranks allow.
   *
   * @throws IllegalArgumentException when replicas don't use up the ranks
   */
  public static Mesh of(JobSpec.Parallel parallel, int ranks) {
    int replica = parallel.replicaRanks();
    if (ranks < replica || ranks % replica != 0) {
      throw new IllegalArgumentException(
          "%d ranks are no whole number of replicas of %d".formatted(ranks, replica));
    }
    return new Mesh(ranks / replica, parallel.pipeline(), parallel.tensor());
  }

  /** Where a rank stands. */
  public record Place(int data, int stage, int tensor) {}

  /** Ranks, over all replicas. */
  public int size() {
    return data * pipeline * tensor;
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

  /** The ranks that hold slices of the same layers as this place, of all replicas. */
  public List<Integer> stageGroup(Place place) {
    return IntStream.range(0, size())
        .filter(r -> place(r).stage() == place.stage())
        .boxed()
        .toList();
  }

  /** The ranks that hold the same of the model as this place, by replica. */
  public List<Integer> dataGroup(Place place) {
    return IntStream.range(0, data)
        .map(replica -> rank(new Place(replica, place.stage(), place.tensor())))
        .boxed()
        .toList();
  }
}
