package org.ftcluster.cli.chaos;

import java.util.List;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.local.ChildJvm;

/** Where the nodes of a game day listen, and what lies between them. Nodes are numbered from 1. */
interface Network {
  /** A worker's address. */
  String host(int node);

  /** The coordinator's. */
  String coordinatorHost();

  /** What goes in front of a worker's command. */
  List<String> prefix();

  /** Called when a worker's process runs, and before its command does. */
  void connect(int node, ChildJvm process);

  /** Loses packets from now on. */
  void cut(Direction direction);

  /** Ends that. */
  void heal(Direction direction);

  /** All nodes on one loopback interface: nothing can be cut. */
  final class Loopback implements Network {
    @Override
    public String host(int node) {
      return coordinatorHost();
    }

    @Override
    public String coordinatorHost() {
      return "127.0.0.1";
    }

    @Override
    public List<String> prefix() {
      return List.of();
    }

    @Override
    public void connect(int node, ChildJvm process) {}

    @Override
    public void cut(Direction direction) {
      throw new UnsupportedOperationException("the loopback interface can't be cut");
    }

    @Override
    public void heal(Direction direction) {}
  }
}
