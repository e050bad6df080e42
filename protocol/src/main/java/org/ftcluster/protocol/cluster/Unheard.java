package org.ftcluster.protocol.cluster;

import java.util.HashSet;
import java.util.Set;
import org.apache.pekko.actor.Address;
import org.apache.pekko.cluster.Cluster;

/**
 * Nodes that are lost to this one: somebody in the cluster can't reach them, and this node doesn't
 * hear them either. A node that was cut off comes back with a bad opinion of all others, which
 * becomes everybody's before it is corrected.
 */
public final class Unheard {
  private Unheard() {}

  /** Those of this node's cluster. Any thread may call it. */
  public static Set<Address> in(Cluster cluster) {
    Set<Address> unheard = new HashSet<>();
    cluster
        .state()
        .getUnreachable()
        .forEach(
            member -> {
              if (!isHeard(cluster, member.address())) {
                unheard.add(member.address());
              }
            });
    return unheard;
  }

  private static boolean isHeard(Cluster cluster, Address address) {
    return cluster.failureDetector().isMonitoring(address)
        && cluster.failureDetector().isAvailable(address);
  }
}
