package org.ftcluster.worker.rank;

import java.util.List;
import java.util.Set;

/**
 * How a worker is started.
 *
 * @param bindHost a host name or address of this machine, for the cluster and for collectives
 * @param clusterPort 0 for any free port
 * @param seedNodes finds the coordinators to join; asked again whenever the worker has lost its
 *     cluster
 * @param device {@code cpu}, or {@code cuda:0}
 * @param insecure whether to bind, without encryption, where other machines can connect
 */
public record WorkerSettings(
    String bindHost, int clusterPort, SeedNodes seedNodes, String device, boolean insecure) {

  /** With seed nodes that never change. */
  public WorkerSettings(
      String bindHost, int clusterPort, List<String> seedNodes, String device, boolean insecure) {
    this(bindHost, clusterPort, () -> seedNodes, device, insecure);
  }

  /** Knows where coordinators are. */
  @FunctionalInterface
  public interface SeedNodes {
    /**
     * Addresses {@code pekko://ftcluster@host:port}, at least one. May take its time, and may throw
     * when none can be found now: then it is asked again.
     */
    List<String> find();

    /**
     * Tells the coordinators that answer now from earlier ones at the same addresses; empty where
     * that isn't known. Returns soon.
     */
    default Set<Long> coordinators() {
      return Set.of();
    }
  }
}
