package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.ftcluster.cli.SampleJob;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.JobSpecWriter;

/** Some steps of the sample job, on workers in processes of their own. */
final class LiveRuns {
  private static final Duration PATIENCE = Duration.ofMinutes(4);

  private LiveRuns() {}

  /**
   * Hands the job in.
   *
   * @param out where in {@code folder} its results go
   * @param more settings
   */
  static JobRun start(
      SampleJob sample, Path folder, CoordinatorClient client, String out, String... more) {
    List<String> sets =
        new ArrayList<>(
            List.of(
                "training.max_steps=40",
                "training.global_batch_size=6",
                "training.micro_batch_size=2",
                "training.log_samples=true",
                "data.eval=null",
                "checkpoint.path=" + out));
    sets.addAll(List.of(more));
    String yaml = JobSpecWriter.toYaml(JobSpecReader.read(Path.of(sample.jobFile()), sets));
    return new JobRun(client, yaml, folder.resolve(out), () -> System.nanoTime() / 1_000_000);
  }

  static void await(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() < deadline, "not in time");
      Thread.sleep(20);
    }
  }
}
