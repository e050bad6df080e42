package org.ftcluster.worker.model;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.ftcluster.protocol.job.JobSpec.Sharding;
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
    TrainedShare moments = new TrainedShare(Sharding.ZERO1, 4, 1, false, false);
    assertEquals(PIECES, spare(moments, true, 0), "sums are more than a new share");
    assertEquals(PIECES, spare(moments, false, 0));
  }

  @Test
  void aNewShareIsThereBesideTheOldOne() {
    TrainedShare all = new TrainedShare(Sharding.ZERO3, 4, 1, false, true);
    assertEquals((16 - 8) / 4 * PARAMETERS, spare(all, true, 0));
    TrainedShare mirrored = new TrainedShare(Sharding.ZERO2, 4, 1, true, false);
    assertEquals((2 * 12 - 8) / 4 * PARAMETERS, spare(mirrored, true, 0));
    assertEquals(PIECES, spare(mirrored, true, 6 * PARAMETERS), "on disk");
  }

  private static long spare(TrainedShare share, boolean saved, long onDisk) {
    return share.spareBytes(PARAMETERS, PARAMETERS, Reduction.EXACT, saved, onDisk);
  }
}
