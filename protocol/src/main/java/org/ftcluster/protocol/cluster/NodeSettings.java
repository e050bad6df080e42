package org.ftcluster.protocol.cluster;

import java.util.List;

/**
 * How a node joins the cluster.
 *
 * @param host where it listens
 * @param port 0 for any free one
 * @param role {@link ClusterSystem#COORDINATOR} or {@link ClusterSystem#WORKER}
 * @param seedNodes {@code pekko://ftcluster@host:port} of nodes to join; when empty, this node
 *     begins a cluster
 */
public record NodeSettings(NodeHost host, int port, String role, List<String> seedNodes) {
  public NodeSettings {
    seedNodes = List.copyOf(seedNodes);
  }
}
