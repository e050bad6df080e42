package org.ftcluster.worker.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpec.Parallel;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.collective.ListenAddress;
import org.ftcluster.worker.training.RankTask;
import org.ftcluster.worker.training.TrainingTaskFactory;

/**
 * A job on ranks that are threads of this process, some steps at a time: in between they stand
 * still, and other things can be measured.
 */
final class MeshRun implements AutoCloseable {
  private static final byte[] SECRET = "benchmark".getBytes(StandardCharsets.UTF_8);

  private final Path folder;
  private final RankThreads threads;
  private final List<RankTask> tasks;
  private long generation;

  /**
   * Reads the job and its data.
   *
   * @param steps that are taken in all
   */
  MeshRun(JobSpec job, Parallel mesh, int ranks, int steps) {
    try {
      folder = Files.createTempDirectory("ftcluster-bench");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    threads = new RankThreads(ranks);
    try {
      String yaml = JobSpecWriter.toYaml(limited(job, mesh, folder, steps));
      tasks =
          threads.start(
              rank ->
                  new TrainingTaskFactory().create("bench", yaml, ListenAddress.on("127.0.0.1")));
    } catch (RuntimeException e) {
      remove(folder);
      throw e;
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
        job.preference(),
        JobSpec.Evaluation.NONE,
        mesh,
        job.offload(),
        job.elastic(),
        job.resources(),
        new JobSpec.Checkpoint(folder, 0, 1, true, null, null, null));
  }

  /**
   * Takes some steps, as a generation of its own.
   *
   * @param steps two or more
   * @return what each of them but the first took, in seconds
   */
  List<Double> run(int steps) {
    generation++;
    int ranks = tasks.size();
    int stateSource = generation == 1 ? -1 : 0;
    List<PeerAddress> peers =
        threads.run(rank -> tasks.get(rank).prepare(rank, ranks, generation, SECRET));
    StepEnds ends = new StepEnds(tasks.getFirst(), generation, steps);
    threads.run(
        rank -> {
          tasks.get(rank).run(peers, stateSource, ends);
          return null;
        });
    return ends.seconds();
  }

  @Override
  public void close() {
    try {
      threads.end(tasks);
    } finally {
      remove(folder);
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

  /** When steps ended, as rank 0's thread tells; ends the generation after the last of them. */
  private static final class StepEnds implements RankTask.RankEvents {
    private final RankTask task;
    private final long generation;
    private final int steps;
    private final List<Long> endsNs = new ArrayList<>();

    StepEnds(RankTask task, long generation, int steps) {
      this.task = task;
      this.generation = generation;
      this.steps = steps;
    }

    @Override
    public void stepCompleted(StepMetrics metrics) {
      endsNs.add(System.nanoTime());
      if (endsNs.size() == steps - 1) {
        // The next step is the last that its ranks can take together.
        task.handOver(generation);
      }
    }

    List<Double> seconds() {
      if (endsNs.size() != steps) {
        throw new IllegalStateException(
            "a generation of %d steps took %d".formatted(steps, endsNs.size()));
      }
      List<Double> seconds = new ArrayList<>();
      for (int i = 1; i < steps; i++) {
        seconds.add((endsNs.get(i) - endsNs.get(i - 1)) / 1e9);
      }
      return seconds;
    }
  }
}
