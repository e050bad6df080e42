package org.ftcluster.protocol.cluster;

import java.util.List;

/**
 * How a node joins the cluster.
 *
 * @param bindHost a host name or address of this machine
 * @param port 0 for any free one
 * @param role {@link ClusterSystem#COORDINATOR} or {@link ClusterSystem#WORKER}
 * @param seedNodes {@code pekko://ftcluster@host:port} of nodes to join; when empty, this node
 *     begins a cluster
 * @param insecure whether to bind, without encryption, where other machines can connect
 */
public record NodeSettings(
    String bindHost, int port, String role, List<String> seedNodes, boolean insecure) {
  public NodeSettings {
    seedNodes = List.copyOf(seedNodes);
  }
}
