package org.ftcluster.worker.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.message.RankReport.Pace;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.bench.CollectiveBenchmark.Kind;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.parallel.Machine;
import org.ftcluster.worker.parallel.MeshCosts;
import org.ftcluster.worker.training.RankTask;
import org.ftcluster.worker.training.TrainingTaskFactory;
import org.jspecify.annotations.Nullable;

/**
 * Runs some steps of a job on two ranks of this process in every kind of mesh, beside the time that
 * {@link org.ftcluster.worker.parallel.StepTime} predicts from a run on one rank and the links'
 * measured rates.
 */
public final class MeshBenchmark {
  private static final byte[] SECRET = "benchmark".getBytes(StandardCharsets.UTF_8);
  private static final long LIMIT_MINUTES = 20;

  /** Steps in which code is compiled. */
  private static final int WARM_UP = 2;

  private static final int RANKS = 2;

  /** A mesh of two ranks. */
  private static final List<Parallel> MESHES =
      List.of(
          new Parallel(RANKS, 1, 1, 1, Sharding.NONE, true),
          new Parallel(RANKS, 1, 1, 1, Sharding.ZERO1, true),
          new Parallel(RANKS, 1, 1, 1, Sharding.ZERO2, true),
          new Parallel(RANKS, 1, 1, 1, Sharding.ZERO3, true),
          new Parallel(1, RANKS, 1, 1, Sharding.NONE, true),
          new Parallel(1, 1, RANKS, 1, Sharding.NONE, true),
          new Parallel(1, 1, RANKS, 2, Sharding.NONE, true));

  /**
   * A measurement.
   *
   * @param seconds of a step, measured
   * @param predicted seconds
   */
  public record Line(Parallel mesh, double seconds, double predicted) {
    /** How far off the prediction is, as a share of what was measured. */
    public double error() {
      return predicted / seconds - 1;
    }
  }

  private MeshBenchmark() {}

  /**
   * Runs all of them.
   *
   * @param job whose steps are taken
   * @param steps that count
   */
  public static void run(JobSpec job, int steps, Consumer<Line> lines) {
    Parallel alone = new Parallel(1, 1, 1, 1, Sharding.NONE, true);
    double seconds = seconds(job, alone, 1, steps);
    MeshCosts costs = costs(job, alone);
    Machine machine = machine(costs.work().flops() / seconds);
    lines.accept(new Line(alone, seconds, costs.stepTime(machine).seconds()));
    for (Parallel mesh : MESHES) {
      double predicted = costs(job, mesh).stepTime(machine).seconds();
      lines.accept(new Line(mesh, seconds(job, mesh, RANKS, steps), predicted));
    }
  }

  private static Machine machine(double flops) {
    List<CollectiveBenchmark.Line> sums = new ArrayList<>();
    CollectiveBenchmark.run(
        List.of(Kind.ALL_REDUCE), RANKS, List.of(1L << 10, 1L << 20), 1, sums::add);
    // Two ranks send once in each half of an all-reduce.
    double latency = sums.getFirst().seconds() / 2;
    Machine.Link link = new Machine.Link(sums.getLast().busGigabytesPerSecond() * 1e9, latency);
    return new Machine(flops, Machine.CPU.memoryBytes(), link, link, RANKS);
  }

  private static MeshCosts costs(JobSpec job, Parallel mesh) {
    String yaml = JobSpecWriter.toYaml(job.withParallel(mesh));
    return new TrainingTaskFactory().plan(yaml, Long.MAX_VALUE).costs();
  }

  private static double seconds(JobSpec job, Parallel mesh, int ranks, int steps) {
    Path folder = null;
    try {
      folder = Files.createTempDirectory("ftcluster-bench");
      return seconds(JobSpecWriter.toYaml(limited(job, mesh, folder, steps)), ranks);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } finally {
      remove(folder);
    }
  }

  private static JobSpec limited(JobSpec job, Parallel mesh, Path folder, int steps) {
    JobSpec.Training t = job.training();
    return new JobSpec(
        job.name(),
        job.model(),
        job.adapter(),
        new JobSpec.Data(job.data().train(), null, job.data().maxLength(), job.data().packing()),
        new JobSpec.Training(
            t.numTrainEpochs(),
            (long) steps + WARM_UP,
            t.globalBatchSize(),
            t.microBatchSize(),
            t.learningRate(),
            t.lrSchedulerType(),
            t.warmupRatio(),
            t.warmupSteps(),
            t.weightDecay(),
            t.adamBeta1(),
            t.adamBeta2(),
            t.adamEpsilon(),
            t.maxGradNorm(),
            t.seed(),
            t.gradientCheckpointing(),
            t.reduction(),
            false),
        mesh,
        job.offload(),
        job.elastic(),
        job.resources(),
        new JobSpec.Checkpoint(folder, 0, 1, true, null, null, null));
  }

  /** Of a step, the mean over those that count. */
  private static double seconds(String yaml, int ranks) {
    List<Long> ends = Collections.synchronizedList(new ArrayList<>());
    List<RuntimeException> failures = Collections.synchronizedList(new ArrayList<>());
    CountDownLatch prepared = new CountDownLatch(ranks);
    CountDownLatch done = new CountDownLatch(ranks);
    PeerAddress[] peers = new PeerAddress[ranks];
    for (int r = 0; r < ranks; r++) {
      int rank = r;
      Thread.ofPlatform()
          .daemon()
          .name("bench-rank-" + rank)
          .start(
              () -> {
                try (RankTask task =
                    new TrainingTaskFactory()
                        .create("bench", yaml, ListenAddress.on("127.0.0.1"))) {
                  peers[rank] = task.prepare(rank, ranks, 1, SECRET);
                  prepared.countDown();
                  await(prepared);
                  task.run(List.of(peers), -1, new StepEnds(ends));
                } catch (RuntimeException e) {
                  failures.add(e);
                } finally {
                  prepared.countDown();
                  done.countDown();
                }
              });
    }
    await(done);
    if (!failures.isEmpty()) {
      throw failures.getFirst();
    }
    return (ends.getLast() - ends.get(WARM_UP - 1)) / 1e9 / (ends.size() - WARM_UP);
  }

  private static void await(CountDownLatch latch) {
    try {
      if (!latch.await(LIMIT_MINUTES, TimeUnit.MINUTES)) {
        throw new IllegalStateException("a rank hangs");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted", e);
    }
  }

  private static void remove(@Nullable Path folder) {
    if (folder == null) {
      return;
    }
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** When steps ended. */
  private record StepEnds(List<Long> ends) implements RankTask.RankEvents {
    @Override
    public void started(long step) {}

    @Override
    public void stepCompleted(StepMetrics metrics) {
      ends.add(System.nanoTime());
    }

    @Override
    public void paced(double slowness, Pace pace) {}

    @Override
    public void noted(String note) {}

    @Override
    public void completed(TrainingResult result) {}

    @Override
    public void handedOver(long step) {}
  }
}
