package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.local.Site;

/**
 * A network namespace a worker, each with an Ethernet of its own to a bridge where the coordinator
 * and this process are. Made inside an {@link Enclosure}, with which it goes.
 *
 * <p>Packets from one node to another are lost by a hardware address that nobody has: the sender
 * notices nothing, as with a broken switch.
 */
final class NamespaceNetwork implements Network {
  private static final String BRIDGE = "ftbridge";
  private static final String COORDINATOR_HOST = "10.77.255.1";
  private static final String NOBODY = "02:00:00:00:00:00";

  /**
   * A bridge without one of its own takes a cable's, and another when that goes: all would lose it.
   */
  private static final String BRIDGE_ADDRESS = "02:00:00:00:00:01";

  private static final Duration PATIENCE = Duration.ofSeconds(20);
  private static final int HOSTS_EACH = 250;

  private final Map<Integer, ChildJvm> processes = new HashMap<>();

  NamespaceNetwork() {
    Shell.run("ip", "link", "set", "lo", "up");
    Shell.run("ip", "link", "add", BRIDGE, "address", BRIDGE_ADDRESS, "type", "bridge");
    Shell.run("ip", "address", "add", COORDINATOR_HOST + "/16", "dev", BRIDGE);
    Shell.run("ip", "link", "set", BRIDGE, "up");
  }

  @Override
  public Site site(int node) {
    return node == Cut.COORDINATOR
        ? Site.withFreePorts(COORDINATOR_HOST, COORDINATOR_HOST)
        : Site.on(host(node));
  }

  private static String host(int node) {
    return node == Cut.COORDINATOR
        ? COORDINATOR_HOST
        : "10.77.%d.%d".formatted(node / HOSTS_EACH, node % HOSTS_EACH + 2);
  }

  @Override
  public List<String> prefix() {
    // Waits for a line of input: until then there is no network to bind to.
    return List.of("unshare", "--net", "sh", "-c", "read -r connected && exec \"$@\"", "sh");
  }

  @Override
  public void connect(int node, Site site, ChildJvm process) {
    if (node == Cut.COORDINATOR) {
      return; // It is where this process is.
    }
    String pid = String.valueOf(process.pid());
    awaitNamespace(process);
    String cable = "ftnode" + node;
    Shell.run("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", pid);
    Shell.run("ip", "link", "set", cable, "master", BRIDGE, "up");
    Shell.run(
        inside(
            process,
            "sh",
            "-c",
            "ip link set lo up && ip address add %s/16 dev eth0 && ip link set eth0 up"
                .formatted(site.host())));
    processes.put(node, process);
    process.release();
  }

  /** The process was started here, and moves out by itself. */
  private static void awaitNamespace(ChildJvm process) {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    Path here = Path.of("/proc/self/ns/net");
    Path there = Path.of("/proc", String.valueOf(process.pid()), "ns/net");
    try {
      while (Files.readSymbolicLink(here).equals(Files.readSymbolicLink(there))) {
        if (System.nanoTime() > deadline) {
          throw CommandException.failed(
              "process %s gets no network of its own".formatted(process.launch().name()));
        }
        Thread.sleep(5);
      }
    } catch (IOException e) {
      throw CommandException.failed(
              "process %s ended before it began: %s"
                  .formatted(process.launch().name(), process.lastWords()))
          .because(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw CommandException.failed("interrupted").because(e);
    }
  }

  @Override
  public void cut(Direction direction) {
    neighbour(direction, "replace", "lladdr", NOBODY, "nud", "permanent");
  }

  @Override
  public void heal(Direction direction) {
    neighbour(direction, "delete");
  }

  /** It goes with the processes in it. */
  @Override
  public void close() {}

  private void neighbour(Direction direction, String verb, String... how) {
    List<String> command = new ArrayList<>(List.of("ip", "neighbour", verb, host(direction.to())));
    command.addAll(List.of(how));
    boolean coordinator = direction.from() == Cut.COORDINATOR;
    command.addAll(List.of("dev", coordinator ? BRIDGE : "eth0"));
    if (coordinator) {
      Shell.run(command.toArray(String[]::new));
      return;
    }
    ChildJvm from = processes.get(direction.from());
    if (from != null && from.alive()) {
      try {
        Shell.run(inside(from, command.toArray(String[]::new)));
      } catch (CommandException e) {
        if (from.alive()) {
          throw e;
        }
        // Its network has gone with it.
      }
    }
  }

  private static String[] inside(ChildJvm process, String... command) {
    List<String> all =
        new ArrayList<>(List.of("nsenter", "--target", String.valueOf(process.pid()), "--net"));
    all.addAll(List.of(command));
    return all.toArray(String[]::new);
  }
}
