package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.local.Site;

/**
 * Relays between nodes, for machines that permit no {@link NamespaceNetwork}. Every node listens on
 * a loopback address of its own, and advertises another, where a {@link Relay} of this process
 * takes connections and hands on what is sent, as long as nothing is cut. The kernel tells which
 * node called.
 *
 * <p>Unlike a network it accepts a connection across a cut, which then stays silent.
 */
final class RelayNetwork implements Network {
  private static final Path SOCKETS = Path.of("/proc/net/tcp");
  private static final int HOSTS_EACH = 250;

  /** In the third part of addresses that are advertised. */
  private static final int ADVERTISED = 128;

  /** Held on the last address of a block for as long as the block is ours. */
  private static final int CLAIM_PORT = 7600;

  private static final int FIRST_BLOCK = 64;
  private static final int LAST_BLOCK = 250;

  private final Cuts cuts = new Cuts();
  private final Map<Long, Integer> nodes = new ConcurrentHashMap<>();
  private final Map<Integer, List<Relay>> relays = new HashMap<>();
  private final ServerSocket claim;
  private final int block;

  RelayNetwork() {
    for (int candidate = FIRST_BLOCK; candidate <= LAST_BLOCK; candidate++) {
      ServerSocket claimed = claim(candidate);
      if (claimed != null) {
        claim = claimed;
        block = candidate;
        return;
      }
    }
    throw CommandException.failed("no loopback addresses are free for relays between nodes");
  }

  /** Whether this system has what it takes: the whole of 127/8, and a list of sockets. */
  static boolean isPossible() {
    return Files.isReadable(SOCKETS);
  }

  private static ServerSocket claim(int block) {
    try {
      return new ServerSocket(
          CLAIM_PORT, 1, InetAddress.getByName("127.%d.255.254".formatted(block)));
    } catch (IOException e) {
      return null; // Another game day has it.
    }
  }

  @Override
  public Site site(int node) {
    return Site.withFreePorts(host(0, node), host(ADVERTISED, node));
  }

  private String host(int side, int node) {
    return "127.%d.%d.%d".formatted(block, side + node / HOSTS_EACH, node % HOSTS_EACH + 2);
  }

  @Override
  public List<String> prefix() {
    return List.of();
  }

  /** Nobody listens any more where the process has ended, as is proper. */
  @Override
  public void connect(int node, Site site, ChildJvm process) {
    nodes.put(process.pid(), node);
    relays.getOrDefault(node, List.of()).forEach(Relay::close);
    List<Relay> open =
        List.of(relay(node, site, site.clusterPort()), relay(node, site, site.servicePort()));
    relays.put(node, open);
    var _ = process.onExit().thenRun(() -> open.forEach(Relay::close));
  }

  private Relay relay(int node, Site site, int port) {
    return Relay.open(
        new InetSocketAddress(site.advertised(), port),
        new InetSocketAddress(site.host(), port),
        node,
        this::node,
        cuts);
  }

  /** The node at one end of a connection; one that isn't ours is never cut off. */
  private int node(InetSocketAddress caller, InetSocketAddress called) {
    return SocketOwners.find(caller, called, nodes.keySet()).map(nodes::get).orElse(-1);
  }

  @Override
  public void cut(Direction direction) {
    cuts.cut(direction);
  }

  @Override
  public void heal(Direction direction) {
    cuts.heal(direction);
  }

  @Override
  public void close() {
    cuts.close();
    relays.values().forEach(open -> open.forEach(Relay::close));
    try {
      claim.close();
    } catch (IOException e) {
      throw CommandException.failed("loopback addresses can't be given back: " + e).because(e);
    }
  }
}
