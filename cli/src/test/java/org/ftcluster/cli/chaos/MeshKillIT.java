package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.ftcluster.cli.SampleJob;
import org.ftcluster.cli.chaos.Fleet.Member;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.local.RunFolder;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Workers in processes of their own hold a model in parts, and one of them is killed in the middle
 * of the job.
 *
 * <p>Takes minutes a mesh: {@code ./mvnw -pl cli -am verify -Dtest=none -Dit.test=MeshKillIT
 * -Dmeshes=all}.
 */
@EnabledIfSystemProperty(
    named = "meshes",
    matches = "all",
    disabledReason = "it takes minutes; -Dmeshes=all runs it")
class MeshKillIT {
  @TempDir private Path folder;

  /**
   * A layout.
   *
   * @param workers that it takes
   * @param parallel as a job file says it
   */
  record Layout(int workers, String parallel) {
    @Override
    public String toString() {
      return parallel;
    }
  }

  static Stream<Layout> layouts() {
    return Stream.of(
        new Layout(2, "{data: 1, tensor: 2}"),
        new Layout(2, "{data: 1, pipeline: 2}"),
        new Layout(4, "{data: 1, tensor: 2, pipeline: 2}"),
        new Layout(4, "{data: 2, tensor: 2}"),
        new Layout(4, "{data: 2, pipeline: 2, interleave: 2}"),
        new Layout(2, "{data: 2, sharding: zero1}"),
        new Layout(2, "{data: 2, sharding: zero2}"),
        new Layout(2, "{data: 2, sharding: zero3}"),
        new Layout(4, "{data: 2, tensor: 2, sharding: zero3}"),
        new Layout(4, "{data: 2, pipeline: 2, sharding: zero2}"),
        new Layout(4, "{data: 2, pipeline: 2, sharding: zero3}"));
  }

  @ParameterizedTest
  @MethodSource("layouts")
  void aSpareWorkerTakesThePlaceOfOneThatIsKilled(Layout layout) throws Exception {
    SampleJob sample = SampleJob.in(folder);
    String[] sets = {"parallel=" + layout.parallel(), "training.max_steps=40"};
    try (RunFolder logs = RunFolder.claim(folder.resolve("nodes"));
        Fleet fleet =
            Fleet.start(layout.workers() + 1, new Network.Loopback(), new TlsOption(), logs);
        CoordinatorClient client = fleet.client();
        JobRun calm = LiveRuns.start(sample, folder, client, "calm", sets)) {
      LiveRuns.await(calm::poll);
      try (JobRun rough = LiveRuns.start(sample, folder, client, "rough", sets)) {
        Sightings seen = rough.sightings();
        LiveRuns.await(() -> !rough.poll() && seen.newestStep() >= 3);
        Strike strike = killLast(fleet, client, seen);
        LiveRuns.await(rough::poll);

        Results expected = Objects.requireNonNull(calm.ending().results());
        assertEquals(List.of(), Verdict.broken(expected, rough.ending()));
        assertFalse(seen.losses().isEmpty(), "it was killed in the middle");
        Aftermath aftermath =
            Aftermath.of(List.of(strike), seen.steps(), seen.losses(), seen.nowMs());
        assertEquals(List.of(), aftermath.broken());
        assertTrue(aftermath.recoveriesMs().getFirst().isPresent());
        assertTrue(
            seen.steps().stream().allMatch(step -> step.workers() == layout.workers()),
            "only whole copies make steps");
      }
    }
  }

  /** Of those at work. */
  private static Strike killLast(Fleet fleet, CoordinatorClient client, Sightings seen) {
    Member victim = fleet.candidates(client).getLast();
    Strike strike =
        new Strike(
            1,
            1,
            FaultKind.KILL,
            seen.nowMs(),
            seen.newestStep(),
            seen.newestGeneration(),
            "SIGKILL to " + victim.name());
    victim.expectEnd();
    victim.process().handle().destroyForcibly();
    return strike;
  }
}
