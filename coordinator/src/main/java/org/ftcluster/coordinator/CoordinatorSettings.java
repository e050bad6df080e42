package org.ftcluster.coordinator;

import org.ftcluster.coordinator.job.Patience;
import org.ftcluster.coordinator.journal.JournalStore;

/**
 * How a coordinator is started.
 *
 * @param bindHost a host name or address of this machine, for gRPC and for the cluster
 * @param grpcPort where clients connect; 0 for any free port
 * @param clusterPort where nodes connect; 0 for any free port
 * @param journal where it is
 * @param insecure whether to bind, without encryption, where other machines can connect
 * @param patience how long to wait for workers
 */
public record CoordinatorSettings(
    String bindHost,
    int grpcPort,
    int clusterPort,
    JournalStore journal,
    boolean insecure,
    Patience patience) {
  /** With {@link Patience#defaults}. */
  public CoordinatorSettings(
      String bindHost, int grpcPort, int clusterPort, JournalStore journal, boolean insecure) {
    this(bindHost, grpcPort, clusterPort, journal, insecure, Patience.defaults());
  }
}
