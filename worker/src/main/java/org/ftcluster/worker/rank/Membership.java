package org.ftcluster.worker.rank;

import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.cluster.typed.Cluster;
import org.ftcluster.protocol.cluster.ClusterSystem;

/** Whether this node is in the cluster of the coordinators that answer. */
enum Membership {
  /** It is, or nobody answers who could say. */
  SHARED,
  /** It has not joined any yet. */
  NONE,
  /** Its coordinator is another one. */
  OTHERS;

  /**
   * @param answering what tells coordinators apart; empty where none answers
   */
  static Membership of(ActorSystem<?> node, Set<Long> answering) {
    Set<Long> known =
        StreamSupport.stream(Cluster.get(node).state().getMembers().spliterator(), false)
            .filter(member -> member.hasRole(ClusterSystem.COORDINATOR))
            .map(member -> member.uniqueAddress().longUid())
            .collect(Collectors.toSet());
    if (answering.isEmpty() || answering.stream().anyMatch(known::contains)) {
      return SHARED;
    }
    return known.isEmpty() ? NONE : OTHERS;
  }
}
