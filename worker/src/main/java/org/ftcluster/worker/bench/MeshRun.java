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
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.training.RankTask;
import org.ftcluster.worker.training.TrainingTaskFactory;

/** The first steps of a job, on ranks that are threads of this process. */
final class MeshRun {
  private static final byte[] SECRET = "benchmark".getBytes(StandardCharsets.UTF_8);
  private static final long LIMIT_MINUTES = 20;

  private MeshRun() {}

  /**
   * Runs them in a mesh.
   *
   * @return what each step after the first took, in seconds
   */
  static List<Double> seconds(JobSpec job, Parallel mesh, int ranks, int steps) {
    Path folder;
    try {
      folder = Files.createTempDirectory("ftcluster-bench");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    try {
      return seconds(JobSpecWriter.toYaml(limited(job, mesh, folder, steps)), ranks);
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
            steps,
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

  private static List<Double> seconds(String yaml, int ranks) {
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
    List<Double> seconds = new ArrayList<>();
    for (int i = 1; i < ends.size(); i++) {
      seconds.add((ends.get(i) - ends.get(i - 1)) / 1e9);
    }
    return seconds;
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

  private static void remove(Path folder) {
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
    public void stepCompleted(StepMetrics metrics) {
      ends.add(System.nanoTime());
    }
  }
}
