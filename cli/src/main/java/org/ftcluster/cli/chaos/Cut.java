package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.List;

/** Which packets of a worker are lost. */
enum Cut {
  ALONE("is cut off from all nodes"),
  FROM_WORKERS("is cut off from all other workers"),
  FROM_COORDINATOR("is cut off from the coordinator"),
  MUTE("is heard by no node, and hears all"),
  DEAF("hears no node, and is heard by all"),
  MUTE_TO_ONE("is not heard by one other worker");

  /** Stands for the coordinator among nodes. */
  static final int COORDINATOR = 0;

  private final String text;

  Cut(String text) {
    this.text = text;
  }

  String text() {
    return text;
  }

  /** Packets from one node to another are lost. */
  record Direction(int from, int to) {}

  /**
   * What is lost.
   *
   * @param others the other workers
   */
  List<Direction> directions(int victim, List<Integer> others) {
    List<Integer> all = new ArrayList<>(others);
    all.add(COORDINATOR);
    return switch (this) {
      case ALONE -> both(victim, all);
      case FROM_WORKERS -> both(victim, others);
      case FROM_COORDINATOR -> both(victim, List.of(COORDINATOR));
      case MUTE -> from(victim, all);
      case DEAF -> to(victim, all);
      case MUTE_TO_ONE -> from(victim, others.subList(0, Math.min(1, others.size())));
    };
  }

  private static List<Direction> both(int victim, List<Integer> peers) {
    List<Direction> both = new ArrayList<>(from(victim, peers));
    both.addAll(to(victim, peers));
    return both;
  }

  private static List<Direction> from(int victim, List<Integer> peers) {
    return peers.stream().map(peer -> new Direction(victim, peer)).toList();
  }

  private static List<Direction> to(int victim, List<Integer> peers) {
    return peers.stream().map(peer -> new Direction(peer, victim)).toList();
  }
}
