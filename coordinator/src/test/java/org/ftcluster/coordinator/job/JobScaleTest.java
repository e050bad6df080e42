package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import org.ftcluster.coordinator.job.JobSignal.WantsWorkers;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PrepareRank;
import org.junit.jupiter.api.Test;

/** Workers that come and go as planned: no step is given up for them. */
class JobScaleTest extends JobScene {
  @Test
  void aScaleIsDurableAndWithinWhatTheJobAllows() {
    assertEquals("", scale(1).objection());
    JobCommand.Scaled refused = scale(3);
    assertTrue(refused.objection().contains("at most 2 workers"), refused.objection());
    assertTrue(scale(0).objection().contains("at least 1 workers"));
    assertEquals(new WorkerDemand(1, 1), refused.status().demand());
    List<Object> events = durableEvents();
    assertEquals(new JobEvent.Scaled(1), events.getLast());
    assertEquals(new WorkerDemand(1, 1), expectWish().demand());
  }

  @Test
  void aPlannedChangeWaitsUntilAllRanksHaveHandedOver() {
    run();
    scale(1);
    first.expectMessage(new WorkerCommand.HandOver(id, 1));
    second.expectMessage(new WorkerCommand.HandOver(id, 1));
    reports.tell(new RankReport.HandedOver(id, 1, 0, 7));
    reports.tell(new RankReport.HandedOver(id, 1, 0, 7));
    reports.tell(new RankReport.HandedOver(id, 1, 1, 7));
    WantsWorkers wish = expectWish();
    assertEquals(new WorkerDemand(1, 1), wish.demand());
    assertTrue(wish.recovering());
    first.expectNoMessage(Duration.ofMillis(50)); // nobody is stopped
    job.tell(new JobCommand.Assign(List.of(a)));
    assertEquals(2, first.expectMessageClass(PrepareRank.class).generation());
  }

  @Test
  void ranksThatDoNotHandOverAreReminded() {
    run();
    scale(1);
    first.expectMessage(new WorkerCommand.HandOver(id, 1));
    first.expectMessage(new WorkerCommand.HandOver(id, 1));
  }

  @Test
  void aRankLostWhileItHandsOverIsALoss() {
    run();
    scale(1);
    reports.tell(new RankReport.HandedOver(id, 1, 0, 7));
    job.tell(new JobCommand.LoseWorker(b, "left"));
    assertTrue(expectReason().contains("b:2 left"));
  }

  @Test
  void aJobGrowsOnlyWhereItHasRoom() {
    run();
    job.tell(new JobCommand.Grow());
    first.expectNoMessage(Duration.ofMillis(50));
    reports.tell(failed(1, Cause.LOST_PEER, "rank 1 is lost"));
    runAlone(2);
    job.tell(new JobCommand.Grow());
    first.expectMessage(new WorkerCommand.HandOver(id, 2));
  }
}
