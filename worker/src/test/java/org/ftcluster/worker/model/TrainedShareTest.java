package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.model.TrainedShare.Sizes;
import org.junit.jupiter.api.Test;

/** Memory that is taken for a while only. */
class TrainedShareTest {
  private static final long PARAMETERS = 1_000_000_000;
  private static final long PIECES = 8L << 20;

  @Test
  void aStateThatIsWholeIsCopiedToBeSaved() {
    assertEquals(12 * PARAMETERS, spare(TrainedShare.ALL, true, 0));
    assertEquals(4 * PARAMETERS, spare(TrainedShare.ALL, true, 8 * PARAMETERS), "moments on disk");
    assertEquals(0, spare(TrainedShare.ALL, false, 0), "the last checkpoint needs no copy");
  }

  @Test
  void ofOneInSharesTwoPiecesAreSavedAtATime() {
    TrainedShare moments = new TrainedShare(Sharding.ZERO1, 4, 1, List.of(), false);
    assertEquals(PIECES, spare(moments, true, 0), "sums are more than a new share");
    assertEquals(PIECES, spare(moments, false, 0));
  }

  @Test
  void aNewShareIsThereBesideTheOldOne() {
    TrainedShare all = new TrainedShare(Sharding.ZERO3, 4, 1, List.of(), true);
    assertEquals((16 - 8) / 4 * PARAMETERS, spare(all, true, 0));
    TrainedShare mirrored = new TrainedShare(Sharding.ZERO2, 4, 1, List.of(), false);
    Sizes both = new Sizes(PARAMETERS, PARAMETERS, PARAMETERS, PARAMETERS);
    assertEquals((2 * 12 - 8) / 4 * PARAMETERS, spare(mirrored, both, true, 0));
    assertEquals(PIECES, spare(mirrored, both, true, 6 * PARAMETERS), "on disk");
  }

  @Test
  void valuesAreSharedOutWithinAStage() {
    // Two ranks of each of two stages; the one has three quarters of all parameters.
    TrainedShare stages = new TrainedShare(Sharding.ZERO3, 4, 2, List.of(), true);
    long most = 3 * PARAMETERS / 4;
    Sizes sizes = new Sizes(PARAMETERS, most, most, PARAMETERS - most);
    // Value, moments and gradient of its own share and of one of the other stage's, and its sums.
    long expected = 16 * PARAMETERS / 2 + 8 * most / 2;
    assertEquals(expected, stages.bytes(sizes, Reduction.EXACT));
  }

  private static long spare(TrainedShare share, boolean saved, long onDisk) {
    return spare(share, Sizes.whole(PARAMETERS), saved, onDisk);
  }

  private static long spare(TrainedShare share, Sizes sizes, boolean saved, long onDisk) {
    return share.spareBytes(sizes, Reduction.EXACT, saved, onDisk);
  }
}
