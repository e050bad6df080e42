package org.ftcluster.worker.rank;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Optional;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.message.RankReport.Cause;
import org.ftcluster.protocol.message.RankReport.Failed;
import org.ftcluster.protocol.message.WorkerCommand.LoadJob;
import org.ftcluster.worker.tensor.NativeException;
import org.junit.jupiter.api.Test;

/** Whatever goes wrong with a rank is told in a sentence, and the worker is of use afterwards. */
class RankHostFailureTest extends HostedRank {
  @Test
  void aJobThatCannotBeLoadedLeavesNothing() throws Exception {
    loading = new BadJobException("train.jsonl is missing.");
    host.load(new LoadJob("a", "yaml"));
    await(() -> host.snapshot().job().isEmpty());
    loading = null;
    host.load(new LoadJob("b", "yaml"));
    await(() -> host.snapshot().job().equals("b"));
  }

  @Test
  void aBadJobIsReportedWithItsSentence() throws Exception {
    loading = new BadJobException("train.jsonl:3: this is not JSON.");
    prepare("a", 1);
    assertEquals(new Failed("a", 1, 0, Cause.BAD_JOB, "train.jsonl:3: this is not JSON."), next());
  }

  @Test
  void anyOtherErrorIsTheWorkers() throws Exception {
    loading = new IllegalStateException("no space left on device");
    prepare("a", 1);
    Failed failed = assertInstanceOf(Failed.class, next());
    assertEquals(Cause.WORKER_ERROR, failed.cause());
    assertTrue(failed.message().startsWith("no space left on device"), failed.message());
  }

  @Test
  void aWorkerOutOfMemoryBeginsAnew() throws Exception {
    train("a", 1);
    created.getFirst().fail(new OutOfMemoryError("Java heap space"));
    assertEquals(
        new Failed("a", 1, 0, Cause.WORKER_ERROR, "the worker is out of memory: Java heap space"),
        next());
    assertTrue(created.getFirst().closed);
    prepare("a", 2);
    next();
    assertEquals(2, created.size());
  }

  @Test
  void nativeMemoryThatRanOutIsNamedAndWhatIsHeldIsFreed() throws Exception {
    train("a", 1);
    created
        .getFirst()
        .fail(
            new NativeException(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes\nat x"));
    assertEquals(
        "the worker is out of memory: DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes",
        assertInstanceOf(Failed.class, next()).message());
    await(() -> created.getFirst().closed);
  }

  @Test
  void aRankThatDoesNotStopIsStuck() throws Exception {
    train("a", 1);
    created.getFirst().deaf = true;
    assertFalse(host.isStuck(Duration.ZERO));
    host.stop("a", 1, "over");
    await(() -> host.isStuck(Duration.ofMillis(1)));
    assertFalse(host.isStuck(Duration.ofHours(1)));
    assertEquals(Phase.STOPPING, host.snapshot().phase());
    created.getFirst().finish();
    awaitIdle();
  }

  @Test
  void aRankThatHangsIsReportedByNameAndItsProcessIsOfNoUse() throws Exception {
    train("a", 1);
    host.watch();
    created.getFirst().deaf = true;
    created.getFirst().hang = Optional.of("the rank hangs: a micro-batch has taken 61 s so far");
    host.watch();
    host.watch();
    assertEquals(
        new Failed(
            "a", 1, 0, Cause.WORKER_ERROR, "the rank hangs: a micro-batch has taken 61 s so far"),
        next());
    assertTrue(reports.isEmpty(), "said once");
    await(() -> host.isStuck(Duration.ofHours(1)));
    created.getFirst().finish();
    awaitIdle();
  }
}
