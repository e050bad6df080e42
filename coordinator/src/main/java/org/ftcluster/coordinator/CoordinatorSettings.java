package org.ftcluster.coordinator;

import org.ftcluster.coordinator.job.Patience;
import org.ftcluster.coordinator.journal.JournalStore;
import org.ftcluster.protocol.cluster.NodeHost;

/**
 * How a coordinator is started.
 *
 * @param host where it listens, for gRPC and for the cluster
 * @param grpcPort where clients connect; 0 for any free port
 * @param clusterPort where nodes connect; 0 for any free port
 * @param journal where it is
 * @param patience how long to wait for workers
 */
public record CoordinatorSettings(
    NodeHost host, int grpcPort, int clusterPort, JournalStore journal, Patience patience) {
  /** With {@link Patience#defaults}. */
  public CoordinatorSettings(NodeHost host, int grpcPort, int clusterPort, JournalStore journal) {
    this(host, grpcPort, clusterPort, journal, Patience.defaults());
  }
}
