package org.ftcluster.cli.node;

import java.io.IOException;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.ftcluster.cli.client.Addresses;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.security.Protection;
import org.ftcluster.worker.rank.WorkerSettings;

/** How a worker finds its cluster, knowing only a coordinator's address. */
final class CoordinatorSearch implements WorkerSettings.SeedNodes {
  private static final Duration FIRST_PAUSE = Duration.ofMillis(100);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(1);

  private final Addresses coordinator;
  private final Protection protection;
  private final Console console;

  CoordinatorSearch(Addresses coordinator, Protection protection, Console console) {
    this.coordinator = coordinator;
    this.protection = protection;
    this.console = console;
  }

  /** Waits, as long as it takes, for the coordinator, and asks it where nodes join. */
  @Override
  public List<String> find() {
    boolean saidSo = false;
    Backoff pauses = new Backoff(FIRST_PAUSE, LONGEST_PAUSE);
    while (true) {
      try (CoordinatorClient client = new CoordinatorClient(coordinator, protection)) {
        return client.describeCluster().getSeedNodesList();
      } catch (CommandException e) {
        if (e.exitCode() != ExitCode.UNREACHABLE) {
          throw e;
        }
        if (!saidSo) {
          saidSo = true;
          console.talk("Waiting for the coordinator: " + e.getMessage());
        }
      }
      Backoff.sleep(pauses.next());
    }
  }

  @Override
  public Optional<Set<Long>> coordinators() {
    try (CoordinatorClient client = new CoordinatorClient(coordinator, protection)) {
      return Optional.of(Set.copyOf(client.describeCluster().getCoordinatorsList()));
    } catch (CommandException e) {
      return Optional.of(Set.of()); // nobody answers
    }
  }

  /** The address of this machine that lies on the way to the coordinator. */
  String ownHost() {
    // Nothing is sent: connecting a datagram socket only picks the route.
    try (DatagramSocket socket = new DatagramSocket()) {
      socket.connect(new InetSocketAddress(coordinator.first().host(), coordinator.first().port()));
      return socket.getLocalAddress().getHostAddress();
    } catch (IOException e) {
      throw CommandException.badRequest(
              "no network leads to %s (%s); give this worker's own address with --host"
                  .formatted(coordinator, e.getMessage()))
          .because(e);
    }
  }
}
