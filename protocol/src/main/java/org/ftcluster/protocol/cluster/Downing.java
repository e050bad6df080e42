package org.ftcluster.protocol.cluster;

import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.pekko.actor.Address;

/**
 * Who is put out of the cluster, as one node sees it; decides, and does nothing.
 *
 * <p>A coordinator puts out every node that it can't reach for a while: workers are expendable, and
 * between coordinators the journal decides who may act. A worker puts out nobody, but goes itself
 * when it can reach no coordinator: it trains on meanwhile, and joins anew. So what workers that
 * die, or are cut off from each other, say of one another ends no other node. Pekko's own resolver
 * weighs all sides of a partition instead, and where nodes die one after another it may end all.
 */
final class Downing {
  /** After so long without an answer a node is put out. */
  static final Duration PATIENCE = Duration.ofSeconds(5);

  /** One that said that it goes, and can't be reached, has gone. */
  static final Duration LEAVING_PATIENCE = Duration.ofSeconds(1);

  /** After so long without a coordinator a worker looks for another cluster. */
  static final Duration ALONE_PATIENCE = Duration.ofSeconds(10);

  private final boolean coordinator;
  private final Address self;
  private final Map<Address, Duration> unreachableSince = new HashMap<>();

  /**
   * A node of the cluster.
   *
   * @param reachable from here
   */
  record Node(Address address, boolean coordinator, boolean leaving, boolean reachable) {}

  Downing(Address self, boolean coordinator) {
    this.self = self;
    this.coordinator = coordinator;
  }

  /**
   * Who is put out now.
   *
   * @param others all nodes but this one
   * @param now of a clock that never goes back
   */
  List<Address> decide(List<Node> others, Duration now) {
    Set<Address> unreachable = new HashSet<>();
    others.stream().filter(node -> !node.reachable()).map(Node::address).forEach(unreachable::add);
    unreachableSince.keySet().retainAll(unreachable);
    unreachable.forEach(address -> unreachableSince.putIfAbsent(address, now));
    if (coordinator) {
      return others.stream()
          .filter(node -> isOverdue(node, node.leaving() ? LEAVING_PATIENCE : PATIENCE, now))
          .map(Node::address)
          .toList();
    }
    boolean known = coordinators(others).findAny().isPresent();
    boolean alone = coordinators(others).allMatch(node -> isOverdue(node, ALONE_PATIENCE, now));
    return known && alone ? List.of(self) : List.of();
  }

  private static Stream<Node> coordinators(List<Node> nodes) {
    return nodes.stream().filter(Node::coordinator);
  }

  private boolean isOverdue(Node node, Duration patience, Duration now) {
    Duration since = unreachableSince.get(node.address());
    return since != null && now.minus(since).compareTo(patience) >= 0;
  }
}
