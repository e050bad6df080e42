package org.ftcluster.cli.chaos;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.ftcluster.cli.client.Address;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.jvm.Children;
import org.ftcluster.cli.local.ChildLaunch;
import org.ftcluster.cli.local.RunFolder;
import org.ftcluster.cli.local.Site;
import org.ftcluster.protocol.api.NodeInfo;
import org.ftcluster.worker.training.MachineMemory;

/**
 * The processes of a game day: a coordinator on ports that stay the same, and workers that come and
 * go. One thread uses it; they all end with {@link #close}, or with this JVM.
 */
final class Fleet implements AutoCloseable {
  private static final Duration START = Duration.ofMinutes(2);

  private final Network network;
  private final TlsOption tls;
  private final RunFolder folder;
  private final Site coordinatorSite;
  private final Children children = new Children();
  private final List<Member> members = new ArrayList<>();
  private ChildJvm coordinator;
  private boolean coordinatorDown;
  private int lastNumber;

  /** A worker. */
  static final class Member {
    private final int number;
    private final ChildJvm process;
    private boolean leaving;
    private boolean disturbed;

    private Member(int number, ChildJvm process) {
      this.number = number;
      this.process = process;
    }

    int number() {
      return number;
    }

    ChildJvm process() {
      return process;
    }

    /** {@code worker-3 (pid 4711)}. */
    String name() {
      return "%s (pid %d)".formatted(process.launch().name(), process.pid());
    }

    /** Whether it is to be there. */
    boolean isServing() {
      return !leaving && process.alive();
    }

    /** It will end, and is to. */
    void expectEnd() {
      leaving = true;
    }

    void setDisturbed(boolean disturbed) {
      this.disturbed = disturbed;
    }
  }

  private Fleet(Network network, TlsOption tls, RunFolder folder) {
    this.network = network;
    this.tls = tls;
    this.folder = folder;
    coordinatorSite = network.site(Cut.COORDINATOR);
    coordinator = launchCoordinator();
  }

  /** Returns when all are ready. */
  static Fleet start(int workers, Network network, TlsOption tls, RunFolder folder) {
    Fleet fleet = new Fleet(network, tls, folder);
    try {
      fleet.coordinator.awaitReady(START);
      for (int i = 0; i < workers; i++) {
        fleet.startWorker();
      }
      fleet.members.forEach(member -> member.process.awaitReady(START));
      return fleet;
    } catch (CommandException e) {
      fleet.close();
      throw e;
    }
  }

  /** Reaches the coordinator, whatever is cut. */
  CoordinatorClient client() {
    return new CoordinatorClient(
        new Address(coordinatorSite.host(), coordinatorSite.servicePort()), tls.ofClient());
  }

  private ChildJvm launchCoordinator() {
    ChildJvm started = children.start(ChildLaunch.coordinator(coordinatorSite, tls, folder));
    network.connect(Cut.COORDINATOR, coordinatorSite, started);
    return started;
  }

  /** Returns at once. */
  Member startWorker() {
    int number = ++lastNumber;
    Site site = network.site(number);
    Address coordinator = new Address(coordinatorSite.advertised(), coordinatorSite.servicePort());
    ChildJvm process =
        children.start(
            ChildLaunch.worker(number, site, tls, coordinator, MachineMemory.total(), folder)
                .behind(network.prefix()));
    network.connect(number, site, process);
    Member member = new Member(number, process);
    members.add(member);
    return member;
  }

  void killCoordinator() {
    coordinatorDown = true;
    coordinator.handle().destroyForcibly();
  }

  void restartCoordinator() {
    coordinator = launchCoordinator();
    coordinatorDown = false;
  }

  ChildJvm coordinator() {
    return coordinator;
  }

  /** Workers that are to be there, the oldest first. */
  List<Member> serving() {
    return members.stream().filter(Member::isServing).toList();
  }

  /** Those of them that nothing is done to and that are at work, as far as can be told. */
  List<Member> candidates(CoordinatorClient client) {
    List<Member> calm = serving().stream().filter(member -> !member.disturbed).toList();
    Set<Long> busy = new HashSet<>();
    if (!coordinatorDown) {
      try {
        client.nodes().stream()
            .filter(node -> node.getRank() >= 0)
            .map(NodeInfo::getPid)
            .forEach(busy::add);
      } catch (CommandException e) {
        busy.clear(); // It is not back yet: whoever is there will do.
      }
    }
    List<Member> atWork =
        calm.stream().filter(member -> busy.contains(member.process.pid())).toList();
    return atWork.isEmpty() ? calm : atWork;
  }

  /** Nodes whose processes ended, without being made to. Each is named once. */
  List<String> crashed() {
    List<String> crashed = new ArrayList<>();
    for (Member member : List.copyOf(members)) {
      if (!member.process.alive()) {
        members.remove(member);
        if (!member.leaving) {
          crashed.add(member.name() + " ended by itself: " + member.process.lastWords());
        }
      }
    }
    if (!coordinatorDown && !coordinator.alive()) {
      coordinatorDown = true;
      crashed.add("the coordinator ended by itself: " + coordinator.lastWords());
    }
    return crashed;
  }

  boolean isCoordinatorDown() {
    return coordinatorDown;
  }

  /** Processes that are still there; none after {@link #close}. */
  List<String> orphans() {
    return children.alive().stream()
        .map(child -> "%s (pid %d)".formatted(child.launch().name(), child.pid()))
        .toList();
  }

  /** Told to leave, and still there. */
  Collection<Member> leaving() {
    return members.stream().filter(member -> member.leaving && member.process.alive()).toList();
  }

  @Override
  public void close() {
    children.close();
  }
}
