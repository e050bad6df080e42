package org.ftcluster.worker.rank;

import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.cluster.typed.Cluster;
import org.ftcluster.protocol.cluster.ClusterSystem;

/** Whether this node is in the cluster of the coordinators that answer. */
enum Membership {
  /** It is, as far as can be known. */
  SHARED,
  /** No coordinator answers. */
  UNANSWERED,
  /** It has not joined any yet. */
  NONE,
  /** Its coordinator is another one. */
  OTHERS;

  /**
   * @param known what tells the coordinators apart that answer; nothing where that isn't known
   */
  static Membership of(ActorSystem<?> node, Optional<Set<Long>> known) {
    return known.map(answering -> of(node, answering)).orElse(SHARED);
  }

  private static Membership of(ActorSystem<?> node, Set<Long> answering) {
    if (answering.isEmpty()) {
      return UNANSWERED;
    }
    Set<Long> known =
        StreamSupport.stream(Cluster.get(node).state().getMembers().spliterator(), false)
            .filter(member -> member.hasRole(ClusterSystem.COORDINATOR))
            .map(member -> member.uniqueAddress().longUid())
            .collect(Collectors.toSet());
    if (answering.stream().anyMatch(known::contains)) {
      return SHARED;
    }
    return known.isEmpty() ? NONE : OTHERS;
  }
}
