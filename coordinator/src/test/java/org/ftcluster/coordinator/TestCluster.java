package org.ftcluster.coordinator;

import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.ftcluster.coordinator.job.Patience;
import org.ftcluster.coordinator.journal.JournalStore;
import org.ftcluster.protocol.api.DrainNodeRequest;
import org.ftcluster.protocol.api.FtClusterGrpc;
import org.ftcluster.protocol.api.FtClusterGrpc.FtClusterBlockingStub;
import org.ftcluster.protocol.api.JobSummary;
import org.ftcluster.protocol.api.JobUpdate;
import org.ftcluster.protocol.api.ListNodesRequest;
import org.ftcluster.protocol.api.NodeInfo;
import org.ftcluster.protocol.api.ScaleJobRequest;
import org.ftcluster.protocol.api.SubmitJobRequest;
import org.ftcluster.protocol.api.WatchJobRequest;
import org.ftcluster.protocol.cluster.NodeHost;
import org.ftcluster.worker.rank.WorkerNode;
import org.ftcluster.worker.rank.WorkerSettings;

/** A coordinator and workers in this JVM, each with an actor system of its own, on loopback. */
final class TestCluster implements AutoCloseable {
  private static final Patience PATIENCE =
      new Patience(
          Duration.ofSeconds(20),
          Duration.ofSeconds(20),
          Duration.ofSeconds(2),
          Duration.ofSeconds(1),
          Duration.ofSeconds(20),
          Duration.ofMillis(20));

  private final Path dataDir;
  private final List<WorkerNode> workers = new ArrayList<>();
  private volatile CoordinatorNode coordinator;
  private ManagedChannel channel;

  TestCluster(Path dataDir, int workers) {
    this.dataDir = dataDir;
    startCoordinator();
    for (int i = 0; i < workers; i++) {
      addWorker();
    }
    awaitWorkers(workers);
  }

  /** Returns when so many workers have joined. */
  void awaitWorkers(int count) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (client().listNodes(ListNodesRequest.getDefaultInstance()).getNodesCount() < 1 + count) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("fewer than " + count + " workers");
      }
      try {
        Thread.sleep(20);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
    }
  }

  void startCoordinator() {
    coordinator =
        CoordinatorNode.start(
            new CoordinatorSettings(
                NodeHost.loopback(), 0, 0, new JournalStore.H2File(dataDir), PATIENCE));
    channel =
        ManagedChannelBuilder.forAddress("127.0.0.1", coordinator.grpcPort())
            .usePlaintext()
            .build();
  }

  void stopCoordinator() {
    channel.shutdownNow();
    CoordinatorNode stopping = coordinator;
    coordinator = null;
    stopping.close();
  }

  /** A worker that finds the coordinator wherever that is now. */
  WorkerNode addWorker() {
    WorkerNode worker =
        WorkerNode.start(
            new WorkerSettings(NodeHost.loopback(), 0, 0, this::seedNodes, "cpu"),
            CountingTask::create);
    workers.add(worker);
    return worker;
  }

  private List<String> seedNodes() {
    CoordinatorNode there = coordinator;
    if (there == null) {
      throw new IllegalStateException("there is no coordinator");
    }
    return List.of(there.clusterAddress());
  }

  void removeWorker(WorkerNode worker) {
    workers.remove(worker);
    worker.close();
  }

  FtClusterBlockingStub client() {
    return FtClusterGrpc.newBlockingStub(channel).withDeadlineAfter(40, TimeUnit.SECONDS);
  }

  String submit(String yaml) {
    return client().submitJob(SubmitJobRequest.newBuilder().setJobYaml(yaml).build()).getJob();
  }

  NodeInfo drain(String node) {
    return client().drainNode(DrainNodeRequest.newBuilder().setNode(node).build()).getNode();
  }

  String anyWorker() {
    return client().listNodes(ListNodesRequest.getDefaultInstance()).getNodes(1).getNode();
  }

  /** Returns when only so many workers are members. */
  void awaitWorkersLeft(int count) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (client().listNodes(ListNodesRequest.getDefaultInstance()).getNodesCount() > 1 + count) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("more than " + count + " workers");
      }
      Thread.sleep(20);
    }
  }

  JobSummary scale(String job, int workers) {
    return client()
        .scaleJob(ScaleJobRequest.newBuilder().setJob(job).setWorkers(workers).build())
        .getJob();
  }

  Iterator<JobUpdate> watch(String job) {
    return client().watchJob(WatchJobRequest.newBuilder().setJob(job).build());
  }

  /** All updates until the stream ends. */
  List<JobUpdate> watchToTheEnd(String job) {
    List<JobUpdate> updates = new ArrayList<>();
    watch(job).forEachRemaining(updates::add);
    return updates;
  }

  /** Watches until an update matches, and returns that. */
  JobUpdate watchUntil(String job, Predicate<JobUpdate> condition) {
    for (Iterator<JobUpdate> updates = watch(job); updates.hasNext(); ) {
      JobUpdate update = updates.next();
      if (condition.test(update)) {
        return update;
      }
    }
    throw new AssertionError("the job ended before that");
  }

  static String jobYaml(String name, long steps, int minWorkers, int maxWorkers) {
    return """
        name: %s
        model: {path: /model}
        data: {train: {path: /train.jsonl}}
        training: {max_steps: %d}
        elastic: {min_workers: %d, max_workers: %d}
        checkpoint: {path: /out}
        """
        .formatted(name, steps, minWorkers, maxWorkers);
  }

  @Override
  public void close() {
    List.copyOf(workers).forEach(this::removeWorker);
    stopCoordinator();
  }
}
