package org.ftcluster.cli.chaos;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.LongSupplier;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.chaos.Fleet.Member;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.console.CommandException;
import org.jspecify.annotations.Nullable;

/** Carries faults out, and ends them when it is time. One thread uses it. */
final class Injector {
  private final Fleet fleet;
  private final Network network;
  private final @Nullable Disk disk;
  private final CoordinatorClient client;
  private final LongSupplier clockMs;
  private final List<Ending> endings = new ArrayList<>();
  private long lastEndMs;

  /** How a fault that lasts ends. */
  private record Ending(long atMs, Runnable action) {}

  /**
   * Begins without faults.
   *
   * @param disk null where it is never full
   */
  Injector(
      Fleet fleet,
      Network network,
      @Nullable Disk disk,
      CoordinatorClient client,
      LongSupplier clockMs) {
    this.fleet = fleet;
    this.network = network;
    this.disk = disk;
    this.client = client;
    this.clockMs = clockMs;
    if (disk != null) {
      fleet.serving().forEach(member -> disk.joined(member.process()));
    }
  }

  /** Ends what is due. */
  void tick() {
    long now = clockMs.getAsLong();
    for (Ending ending : List.copyOf(endings)) {
      if (ending.atMs <= now) {
        endings.remove(ending);
        ending.action.run();
        lastEndMs = clockMs.getAsLong();
      }
    }
  }

  /** Whether nothing is being done to the cluster. */
  boolean isIdle() {
    return endings.isEmpty();
  }

  /** When the last thing was done to it. */
  long lastEndMs() {
    return lastEndMs;
  }

  /** Ends all faults that last, at once. */
  void endAll() {
    List<Ending> due = List.copyOf(endings);
    endings.clear();
    due.forEach(ending -> ending.action.run());
    lastEndMs = clockMs.getAsLong();
  }

  /** Begins a fault, and says what was done to whom; empty when there is nobody to do it to. */
  Optional<String> inject(Fault fault) {
    Optional<String> what =
        switch (fault) {
          case Fault.Kill kill -> victim(kill.victim()).map(this::kill);
          case Fault.Pause pause -> victim(pause.victim()).map(member -> pause(member, pause.ms()));
          case Fault.Partition partition ->
              victim(partition.victim()).map(member -> partition(member, partition));
          case Fault.Join join -> Optional.of(join(join.oneLeaves()));
          case Fault.Drain drain -> victim(drain.victim()).map(member -> drain(member, drain));
          case Fault.Slow slow -> victim(slow.victim()).map(member -> slow(member, slow));
          case Fault.Coordinator coordinator -> coordinator(coordinator.downMs());
          case Fault.DiskFull full -> Optional.of(fillDisk(full.ms()));
        };
    lastEndMs = clockMs.getAsLong();
    return what;
  }

  private Optional<Member> victim(int draw) {
    List<Member> candidates = fleet.candidates(client);
    return candidates.isEmpty()
        ? Optional.empty()
        : Optional.of(candidates.get(draw % candidates.size()));
  }

  private String kill(Member member) {
    member.expectEnd();
    member.process().handle().destroyForcibly();
    return "SIGKILL to %s, %s in its place".formatted(member.name(), startWorker().name());
  }

  /** Returns at once. */
  Member startWorker() {
    Member started = fleet.startWorker();
    if (disk != null) {
      disk.joined(started.process());
    }
    return started;
  }

  private String pause(Member member, long ms) {
    long pid = member.process().pid();
    disturb(
        member,
        ms,
        Shell.start("kill -STOP %d; sleep %s; kill -CONT %d".formatted(pid, seconds(ms), pid)));
    return "%s stands still for %s s".formatted(member.name(), seconds(ms));
  }

  private String slow(Member member, Fault.Slow slow) {
    long pid = member.process().pid();
    long turns = Math.max(1, slow.ms() / (slow.stopMs() + slow.goMs()));
    disturb(
        member,
        turns * (slow.stopMs() + slow.goMs()),
        Shell.start(
            "for i in $(seq %d); do kill -STOP %d; sleep %s; kill -CONT %d; sleep %s; done"
                .formatted(turns, pid, seconds(slow.stopMs()), pid, seconds(slow.goMs()))));
    return "%s stands still %d times for %s s"
        .formatted(member.name(), turns, seconds(slow.stopMs()));
  }

  /** Until the script is through. */
  private void disturb(Member member, long ms, Process script) {
    member.setDisturbed(true);
    endLater(
        ms,
        () -> {
          await(script);
          member.setDisturbed(false);
        });
  }

  private static void await(Process script) {
    try {
      script.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private String partition(Member member, Fault.Partition partition) {
    List<Integer> others =
        fleet.serving().stream().map(Member::number).filter(n -> n != member.number()).toList();
    List<Direction> directions = partition.cut().directions(member.number(), others);
    member.setDisturbed(true);
    directions.forEach(network::cut);
    endLater(
        partition.ms(),
        () -> {
          directions.forEach(network::heal);
          member.setDisturbed(false);
        });
    return "%s %s for %s s"
        .formatted(member.name(), partition.cut().text(), seconds(partition.ms()));
  }

  private String join(boolean oneLeaves) {
    String leaves = "";
    if (oneLeaves && !fleet.serving().isEmpty()) {
      Member oldest = fleet.serving().getFirst();
      oldest.expectEnd();
      oldest.process().handle().destroy();
      leaves = ", SIGTERM to " + oldest.name();
    }
    return startWorker().name() + " joins" + leaves;
  }

  private String drain(Member member, Fault.Drain drain) {
    boolean asked = !drain.signal() && askToLeave(member);
    member.expectEnd();
    if (!asked) {
      member.process().handle().destroy();
    }
    String other = drain.replaced() ? ", %s joins".formatted(startWorker().name()) : "";
    return "%s is %s%s".formatted(member.name(), asked ? "drained" : "told to end", other);
  }

  /** False where no coordinator can be asked. */
  private boolean askToLeave(Member member) {
    if (fleet.isCoordinatorDown()) {
      return false;
    }
    try {
      for (var node : client.nodes()) {
        if (node.getPid() == member.process().pid()) {
          client.drain(node.getNode());
          return true;
        }
      }
      return false;
    } catch (CommandException e) {
      return false; // A signal does as well.
    }
  }

  private Optional<String> coordinator(long downMs) {
    if (fleet.isCoordinatorDown()) {
      return Optional.empty();
    }
    String killed = "SIGKILL to the coordinator (pid %d)".formatted(fleet.coordinator().pid());
    fleet.killCoordinator();
    endLater(downMs, fleet::restartCoordinator);
    return Optional.of("%s, started again after %s s".formatted(killed, seconds(downMs)));
  }

  private String fillDisk(long ms) {
    Disk full = disk;
    if (full == null) {
      throw new IllegalStateException("the disk is never full");
    }
    full.fill();
    endLater(ms, full::free);
    return "the disk is full for %s s".formatted(seconds(ms));
  }

  private void endLater(long ms, Runnable action) {
    endings.add(new Ending(clockMs.getAsLong() + ms, action));
  }

  private static String seconds(long ms) {
    return String.format(Locale.ROOT, "%.1f", ms / 1000.0);
  }
}
