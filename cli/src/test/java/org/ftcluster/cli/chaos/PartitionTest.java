package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import org.ftcluster.cli.SampleJob;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.local.RunFolder;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two workers in processes of their own, one of which can't be heard by the other for a while. */
class PartitionTest {
  private static final Duration PATIENCE = Duration.ofMinutes(4);

  @TempDir private Path folder;

  @Test
  void aCutInOneDirectionIsNoticedAndChangesNothing() throws Exception {
    assumeTrue(RelayNetwork.isPossible(), "no list of sockets: this isn't Linux");
    SampleJob sample = SampleJob.in(folder);
    try (RunFolder logs = RunFolder.claim(folder.resolve("nodes"));
        RelayNetwork network = new RelayNetwork();
        Fleet fleet = Fleet.start(2, 1, network, logs);
        CoordinatorClient client = new CoordinatorClient(fleet.address());
        JobRun calm = run(sample, client, "calm")) {
      await(calm::poll);
      try (JobRun rough = run(sample, client, "rough")) {
        Sightings seen = rough.sightings();
        await(() -> !rough.poll() && seen.newestStep() > 0);
        network.cut(new Direction(1, 2));
        await(() -> !rough.poll() && !seen.losses().isEmpty());
        network.heal(new Direction(1, 2));
        await(rough::poll);

        String reason = seen.losses().getFirst().reason();
        // Its peer in the ring and the coordinator both miss it, in either order.
        assertTrue(
            reason.contains("gave no sign of life") || reason.contains("sends no heartbeats"),
            reason);
        Results expected = Objects.requireNonNull(calm.ending().results());
        assertEquals(List.of(), Verdict.broken(expected, rough.ending()));
      }
    }
  }

  private JobRun run(SampleJob sample, CoordinatorClient client, String out) {
    List<String> sets =
        List.of(
            "training.max_steps=40",
            "training.global_batch_size=6",
            "training.micro_batch_size=2",
            "training.log_samples=true",
            "elastic.max_workers=2",
            "checkpoint.path=" + out);
    String yaml = JobSpecWriter.toYaml(JobSpecReader.read(Path.of(sample.jobFile()), sets));
    return new JobRun(client, yaml, folder.resolve(out), () -> System.nanoTime() / 1_000_000);
  }

  private static void await(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      assertTrue(System.nanoTime() < deadline, "not in time");
      Thread.sleep(20);
    }
  }
}
