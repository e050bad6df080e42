package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.ftcluster.cli.SampleJob;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.client.CoordinatorClient;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.local.RunFolder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Two workers in processes of their own, one of which can't be heard by the other for a while. */
class PartitionIT {
  private static final String TWO = "elastic.max_workers=2";

  @TempDir private Path folder;

  @Test
  void aCutInOneDirectionIsNoticedAndChangesNothing() throws Exception {
    assumeTrue(RelayNetwork.isPossible(), "no list of sockets: this isn't Linux");
    SampleJob sample = SampleJob.in(folder);
    try (RunFolder logs = RunFolder.claim(folder.resolve("nodes"));
        RelayNetwork network = new RelayNetwork();
        Fleet fleet = Fleet.start(2, network, new TlsOption(), logs);
        CoordinatorClient client = fleet.client();
        JobRun calm = LiveRuns.start(sample, folder, client, "calm", TWO)) {
      LiveRuns.await(calm::poll);
      try (JobRun rough = LiveRuns.start(sample, folder, client, "rough", TWO)) {
        Sightings seen = rough.sightings();
        LiveRuns.await(() -> !rough.poll() && seen.newestStep() > 0);
        network.cut(new Direction(1, 2));
        LiveRuns.await(() -> !rough.poll() && !seen.losses().isEmpty());
        network.heal(new Direction(1, 2));
        LiveRuns.await(rough::poll);

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
}
