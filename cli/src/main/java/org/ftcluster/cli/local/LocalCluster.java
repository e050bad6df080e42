package org.ftcluster.cli.local;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.ftcluster.cli.client.Address;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.jvm.Children;
import org.ftcluster.worker.training.MachineMemory;
import org.jspecify.annotations.Nullable;

/**
 * A coordinator and workers on loopback, each a JVM of its own, on ports that are free at the time.
 * They end with {@link #close}, or with this JVM, whichever comes first. A worker that is lost is
 * started again, a few times; a coordinator isn't, and neither is a worker that leaves in order.
 */
final class LocalCluster implements AutoCloseable {
  private static final Duration START = Duration.ofMinutes(2);
  private static final Duration BETWEEN_LOOKS = Duration.ofMillis(100);
  private static final int RESTARTS = 3;
  private static final String HOST = "127.0.0.1";

  private final Console console;
  private final Children children = new Children();
  private final ChildJvm coordinator;
  private final Address address;
  private int restarts;

  /** Why there is nothing to wait for; null while there is. */
  private volatile @Nullable String noWorkers;

  private LocalCluster(RunFolder folder, Console console) {
    this.console = console;
    Site site = Site.withFreePorts(HOST, HOST);
    address = new Address(site.host(), site.servicePort());
    coordinator = children.start(ChildLaunch.coordinator(site, new TlsOption(), folder));
  }

  /**
   * Returns when all nodes are there. Workers look for the coordinator while it starts.
   *
   * @param gpus of the workers, one each; empty where they need none
   */
  static LocalCluster start(int workers, List<String> gpus, RunFolder folder, Console console) {
    LocalCluster cluster = new LocalCluster(folder, console);
    try {
      List<ChildJvm> started = new ArrayList<>();
      long memory = MachineMemory.total() / workers;
      for (int number = 1; number <= workers; number++) {
        String gpu = gpus.isEmpty() ? null : gpus.get(number - 1);
        started.add(
            cluster.children.start(
                ChildLaunch.worker(number, cluster.address, memory, gpu, folder)));
      }
      cluster.coordinator.awaitReady(START);
      started.forEach(worker -> worker.awaitReady(START));
      started.forEach(cluster::mind);
      return cluster;
    } catch (CommandException e) {
      cluster.close();
      throw e;
    }
  }

  /** Where clients reach the coordinator. */
  Address address() {
    return address;
  }

  /** Returns when the coordinator knows all workers. */
  void awaitWorkers(CoordinatorClient client) {
    long deadline = System.nanoTime() + START.toNanos();
    while (client.nodes().size() <= workers()) {
      if (System.nanoTime() > deadline) {
        throw CommandException.failed(
            "not all workers have joined within %d s".formatted(START.toSeconds()));
      }
      try {
        Thread.sleep(BETWEEN_LOOKS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw CommandException.failed("interrupted").because(e);
      }
    }
  }

  private long workers() {
    return children.alive().stream().filter(child -> child != coordinator).count();
  }

  /**
   * @throws CommandException when the coordinator is gone, or all workers are
   */
  void requireNodes() {
    if (noWorkers != null) {
      throw CommandException.failed(noWorkers);
    }
    if (!coordinator.alive()) {
      throw CommandException.failed(
          "the coordinator ended: %s%s"
              .formatted(coordinator.lastWords(), coordinator.launch().whereItsLogIs()));
    }
  }

  private void mind(ChildJvm worker) {
    var _ = worker.onExit().thenAccept(this::workerEnded);
  }

  private synchronized void workerEnded(ChildJvm worker) {
    if (children.isClosed()) {
      return;
    }
    if (worker.endedWell()) {
      console.talk("Process %s has left.".formatted(worker.launch().name()));
      requireWorkers();
      return;
    }
    String ended = "Process %s ended: %s.".formatted(worker.launch().name(), worker.lastWords());
    if (restarts == RESTARTS) {
      console.talk(
          "%s It was not the first, so it stays away%s."
              .formatted(ended, worker.launch().whereItsLogIs()));
      requireWorkers();
      return;
    }
    restarts++;
    console.talk(ended + " Starting it again.");
    mind(children.start(worker.launch()));
  }

  /** Without workers nothing goes on: whoever waits for the coordinator is to know. */
  private void requireWorkers() {
    if (workers() == 0) {
      noWorkers = "no worker is left; the checkpoints stay";
      coordinator.dismiss();
    }
  }

  @Override
  public void close() {
    children.close();
  }
}
