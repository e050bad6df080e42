package org.ftcluster.cli.chaos;

import java.util.List;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.local.Site;

/**
 * Where the nodes of a game day listen, and what lies between them. Workers are numbered from 1;
 * {@link Cut#COORDINATOR} is the coordinator.
 */
sealed interface Network extends AutoCloseable
    permits Network.Loopback, NamespaceNetwork, RelayNetwork {
  /** Where a node is to be; the coordinator's ports are always given. */
  Site site(int node);

  /** What goes in front of a worker's command. */
  List<String> prefix();

  /** Called when a node's process runs; a worker's command waits for it where it has a prefix. */
  void connect(int node, Site site, ChildJvm process);

  /** Loses what is sent that way, from now on. */
  void cut(Direction direction);

  /** Ends that. */
  void heal(Direction direction);

  /** To be called when no node is left. */
  @Override
  void close();

  /** All nodes on one loopback interface: nothing can be cut. */
  final class Loopback implements Network {
    private static final String HOST = "127.0.0.1";

    @Override
    public Site site(int node) {
      return node == Cut.COORDINATOR ? Site.withFreePorts(HOST, HOST) : Site.on(HOST);
    }

    @Override
    public List<String> prefix() {
      return List.of();
    }

    @Override
    public void connect(int node, Site site, ChildJvm process) {}

    @Override
    public void cut(Direction direction) {
      throw new UnsupportedOperationException("the loopback interface can't be cut");
    }

    @Override
    public void heal(Direction direction) {}

    @Override
    public void close() {}
  }
}
