package org.ftcluster.coordinator.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.pekko.actor.testkit.typed.javadsl.TestInbox;
import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.RankReport;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.protocol.message.WorkerCommand;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.junit.jupiter.api.Test;

/**
 * A conductor between an owner and ranks that lose, delay, repeat and mix up what they say.
 * Whatever happens: never two generations that may write, and the job gets on once faults have
 * stopped.
 */
class ConductorTest {
  private static final int LIVES = 2_000;
  private static final int FAULTS = 60;
  private static final ActorRef<WorkerCommand> WORKER = TestInbox.<WorkerCommand>create().getRef();

  @Test
  void noOrderOfEventsLetsTwoGenerationsTrain() {
    for (int seed = 0; seed < LIVES; seed++) {
      Life life = new Life(seed);
      for (int i = 0; i < FAULTS && !life.record.state().isTerminal(); i++) {
        life.anything();
      }
    }
  }

  @Test
  void aJobGetsOnOnceFaultsHaveStopped() {
    int succeeded = 0;
    for (int seed = 0; seed < LIVES; seed++) {
      Life life = new Life(seed);
      for (int i = 0; i < FAULTS && !life.record.state().isTerminal(); i++) {
        life.anything();
      }
      if (life.record.state().isTerminal()) {
        continue;
      }
      life.calm();
      assertEquals(JobState.SUCCEEDED, life.record.state(), "seed " + seed);
      succeeded++;
    }
    assertTrue(succeeded > LIVES / 10, succeeded + " of " + LIVES + " lives outlast their faults");
  }

  /** A job's life; decisions are carried out on what a journal and workers would know. */
  private static final class Life {
    final Random random;
    Conductor conductor = new Conductor(Patience.defaults());
    JobRecord record =
        JobRecord.submitted("job-1", new JobEvent.Submitted("n", "y", new WorkerDemand(1, 3)));

    /** The one that was started last and neither stopped, released nor handed over. */
    private Generation training;

    private Generation present;
    private boolean asked;
    private long newest;
    private final List<RankReport> late = new ArrayList<>();

    Life(long seed) {
      random = new Random(seed);
      carryOut(conductor.takeUp(record));
    }

    void anything() {
      switch (random.nextInt(14)) {
        case 0 -> assign();
        case 1 -> say(prepared(anyRank()));
        case 2 -> allPrepared();
        case 3 -> say(new RankReport.Started("job-1", number(), 0, 0));
        case 4 -> say(new RankReport.StepCompleted("job-1", number(), 0, metrics()));
        case 5 -> say(new RankReport.HandedOver("job-1", number(), anyRank(), newest));
        case 6 -> say(new RankReport.Failed("job-1", number(), anyRank(), Cause.LOST_PEER, "lost"));
        case 7 -> say(new RankReport.Leaving("job-1", number(), anyRank(), "a notice"));
        case 8 -> carryOut(conductor.grow(record));
        case 9 -> scale(1 + random.nextInt(3));
        case 10 -> carryOut(conductor.overdue(record, number()));
        case 11 -> startAgain();
        case 12 -> say(resumed(anyRank()));
        default -> {
          if (!late.isEmpty()) {
            say(late.get(random.nextInt(late.size())));
          }
        }
      }
    }

    /** Another coordinator knows what is durable. */
    private void startAgain() {
      conductor = new Conductor(Patience.defaults());
      present = null;
      if (record.state() != JobState.RUNNING) {
        training = null; // a generation that isn't known to train ends when the next prepares
      }
      carryOut(conductor.takeUp(record));
    }

    private RankReport resumed(int rank) {
      return new RankReport.Resumed("job-1", number(), rank, WORKER);
    }

    /** All that is asked for happens, and nothing else. */
    void calm() {
      for (int i = 0; i < 100 && !record.state().isTerminal(); i++) {
        if (present == null) {
          assertTrue(asked, "it waits for workers and has asked for some");
          assign();
        } else if (!present.isComplete()) {
          for (int rank = 0; rank < present.size(); rank++) {
            say(resumed(rank));
          }
        } else if (!present.isPrepared()) {
          allPrepared();
        } else if (record.state() != JobState.RUNNING) {
          say(new RankReport.Started("job-1", number(), 0, 0));
        } else {
          say(new RankReport.StepCompleted("job-1", number(), 0, metrics()));
          say(new RankReport.Completed("job-1", number(), 0, RESULT));
        }
      }
    }

    private static final TrainingResult RESULT =
        new TrainingResult(10, 10, 2, 1, "/a", "ab", 1, 1, 1);

    private void assign() {
      List<Worker> workers = new ArrayList<>();
      for (int i = 0; i <= random.nextInt(3); i++) {
        workers.add(new Worker("w:" + i, TestInbox.<WorkerCommand>create().getRef()));
      }
      carryOut(conductor.assign(record, workers));
    }

    private void scale(int workers) {
      if (record.objectionTo(workers).isEmpty()) {
        carryOut(conductor.scale(record, new JobEvent.Scaled(workers)));
      }
    }

    private void allPrepared() {
      for (int rank = 0; present != null && rank < present.size(); rank++) {
        say(prepared(rank));
      }
    }

    private void say(RankReport report) {
      late.add(report);
      carryOut(conductor.report(record, report));
    }

    private void carryOut(Decision decision) {
      JobEvent event = decision.event();
      if (event != null) {
        record = record.after(event);
        switch (event) {
          case JobEvent.GenerationPlanned planned -> {
            assertTrue(training == null, "another generation may still train");
            asked = false;
          }
          case JobEvent.GenerationHandedOver ignored -> training = null;
          case JobEvent.GenerationLost ignored -> training = null;
          default -> {}
        }
      }
      for (Decision.Action action : decision.actions()) {
        switch (action) {
          case Decision.AskWhoGoesOn lost -> present = lost.generation();
          case Decision.Prepare prepare -> present = prepare.generation();
          case Decision.Start start -> {
            assertTrue(start.generation().isPrepared());
            assertEquals(record.generation(), start.generation().number());
            training = start.generation();
          }
          case Decision.Stop stop -> training = null;
          case Decision.Release release -> training = null;
          case Decision.AskForWorkers ignored -> {
            asked = true;
            present = null;
            assertFalse(record.state().isTerminal());
          }
          default -> {}
        }
      }
      if (record.state().isTerminal()) {
        assertTrue(training == null, "an ended job trains nowhere");
        assertEquals(0, conductor.workers());
      }
    }

    private long number() {
      return present == null ? record.generation() : present.number();
    }

    private int anyRank() {
      return present == null ? 0 : random.nextInt(present.size());
    }

    private RankReport prepared(int rank) {
      return new RankReport.Prepared(
          "job-1", number(), rank, new PeerAddress("h", rank), newest, 10);
    }

    private StepMetrics metrics() {
      newest++;
      return new StepMetrics(newest, 0, 1, 1, 1e-3, 1, 1, 1, 1, number());
    }
  }
}
