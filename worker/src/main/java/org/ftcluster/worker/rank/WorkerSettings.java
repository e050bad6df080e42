package org.ftcluster.worker.rank;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.ftcluster.protocol.cluster.NodeHost;

/**
 * How a worker is started.
 *
 * @param host where it listens, for the cluster and for collectives
 * @param clusterPort 0 for any free port
 * @param collectivePort where other ranks connect; 0 for any free port
 * @param seedNodes finds the coordinators to join; asked again whenever the worker has lost its
 *     cluster
 * @param device {@code cpu}, or {@code cuda:0}; what others are told
 */
public record WorkerSettings(
    NodeHost host, int clusterPort, int collectivePort, SeedNodes seedNodes, String device) {

  /** Knows where coordinators are. */
  @FunctionalInterface
  public interface SeedNodes {
    /**
     * Addresses {@code pekko://ftcluster@host:port}, at least one. May take its time, and may throw
     * when none can be found now: then it is asked again.
     */
    List<String> find();

    /**
     * Tells the coordinators that answer now from earlier ones at the same addresses; nothing where
     * that can't be known. Returns soon.
     */
    default Optional<Set<Long>> coordinators() {
      return Optional.empty();
    }
  }
}
