package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.ftcluster.worker.checkpoint.CheckpointException;
import org.ftcluster.worker.collective.CollectiveException;
import org.junit.jupiter.api.Test;

/** All the ways in which a job can be interrupted and go on. */
class TrainingRecoveryTest extends SmallJob {
  @Test
  void goingOnFromACheckpointGivesTheSameAdapter() throws Exception {
    Generation first = new Generation(1, tasks(2, out)).stopAfterStep(10).run(-1);
    assertEquals(2, sizeOf(first.failures));
    Generation second = new Generation(2, tasks(3, out)).run(-1);
    assertEquals(List.of(8L, 8L, 8L), second.started);
    assertTrue(second.notes.contains("Going on from %s.".formatted(out.resolve("step-8"))));
    assertSameAsUndisturbed(second, out);
  }

  @Test
  void logsThatAreGoneComeFromTheCheckpoint() throws Exception {
    new Generation(1, tasks(1, out)).stopAfterStep(9).run(-1);
    Files.delete(out.resolve("metrics.jsonl"));
    Files.delete(out.resolve("samples.jsonl"));
    assertSameAsUndisturbed(new Generation(2, tasks(2, out)).run(-1), out);
  }

  @Test
  void aJobWhoseCheckpointsAreAllBrokenBeginsAnew() throws Exception {
    new Generation(1, tasks(1, out)).stopAfterStep(6).run(-1);
    Files.delete(out.resolve("step-4/state.safetensors"));
    Generation second = new Generation(2, tasks(1, out)).run(-1);
    assertEquals(List.of(0L), second.started);
    assertSameAsUndisturbed(second, out);
  }

  @Test
  void aCheckpointThatCannotBeWrittenIsNotedAndTrainingGoesOn() throws Exception {
    Files.createDirectories(out.resolve("step-4.g1.partial/in the way"));
    Generation generation = new Generation(1, tasks(2, out)).run(-1);
    assertSameAsUndisturbed(generation, out);
    String failure =
        generation.notes.stream().filter(note -> note.contains("step-4: ")).findFirst().orElse("");
    assertTrue(failure.contains("can't be saved"), generation.notes.toString());
    assertTrue(failure.endsWith(" Training goes on."), failure);
    assertEquals(List.of("step-12", "step-4.g1.partial", "step-8"), checkpoints(out));
  }

  @Test
  void aLastCheckpointThatCannotBeWrittenIsAFailure() throws Exception {
    Files.createDirectories(out.resolve("step-12.g1.partial/in the way"));
    List<TrainingTask> one = tasks(1, out);
    Generation first = new Generation(1, one).run(-1);
    assertInstanceOf(CheckpointException.class, first.failures.getFirst());
    assertNull(first.result);
    Files.delete(out.resolve("step-12.g1.partial/in the way"));
    assertSameAsUndisturbed(new Generation(2, one).run(0), out);
  }

  @Test
  void survivorsOfALostRankGoOnFromTheirMemory() throws Exception {
    for (int lost = 0; lost < 3; lost++) {
      Path folder = out.resolve("without-" + lost);
      // In its fifth step; until then the shares of three ranks are 1, 2 and 2 micro-batches.
      List<TrainingTask> all = tasksWithFault(3, folder, lost, lost == 0 ? 5 : 10);
      Generation first = new Generation(1, all).run(-1);
      assertEquals("fault", Objects.requireNonNull(first.failures.get(lost)).getMessage());
      List<TrainingTask> survivors = new ArrayList<>(all);
      survivors.remove(lost);
      // The last bytes of the fourth step's sum may have been lost with the rank that sent them.
      long step = newest(survivors);
      assertTrue(step == 3 || step == 4, "survivors hold step " + step);
      deleteCheckpoints(folder);
      Generation second = new Generation(2, survivors).run(holderOf(step, survivors));
      assertEquals(List.of(step, step), second.started);
      assertSameAsUndisturbed(second, folder);
    }
  }

  @Test
  void aHandOverEndsAllRanksAfterTheSameStepAndNothingIsDoneTwice() throws Exception {
    AtomicInteger passes = new AtomicInteger();
    List<TrainingTask> three = tasks(3, out, passes::incrementAndGet);
    Generation first = new Generation(1, three.subList(0, 1)).handOverAfterStep(2).run(-1);
    assertEquals(1, first.handedOver.size());
    Generation second = new Generation(2, three).handOverAfterStep(6).run(0);
    assertEquals(first.handedOver.getFirst(), second.started.getFirst());
    assertEquals(1, Set.copyOf(second.handedOver).size());
    assertEquals(3, second.handedOver.size());
    deleteCheckpoints(out);
    Generation last = new Generation(3, three.subList(1, 3)).run(0);
    assertEquals(second.handedOver.subList(0, 2), last.started);
    assertSameAsUndisturbed(last, out);
    assertEquals(STEPS * MICRO_BATCHES, passes.get());
  }

  @Test
  void aRankThatWasPausedWhileOthersWentOnChangesNothing() throws Exception {
    CountDownLatch pause = new CountDownLatch(1);
    AtomicInteger passes = new AtomicInteger();
    // In its sixth step.
    List<TrainingTask> pausedTask =
        tasks(
            1,
            out,
            () -> {
              if (passes.incrementAndGet() == 5 * MICRO_BATCHES + 1) {
                awaitQuietly(pause);
              }
            });
    Generation first = new Generation(1, pausedTask);
    Thread paused =
        Thread.ofPlatform().daemon().start(() -> assertDoesNotThrow(() -> first.run(-1)));
    while (passes.get() <= 5 * MICRO_BATCHES) {
      Thread.sleep(5);
    }
    Generation second = new Generation(2, tasks(2, out)).run(-1);
    assertSameAsUndisturbed(second, out);
    pause.countDown();
    paused.join(30_000);
    RuntimeException refused = Objects.requireNonNull(first.failures.getFirst());
    assertInstanceOf(CollectiveException.class, refused);
    assertTrue(String.valueOf(refused.getMessage()).contains("generation 2 has begun"));
    assertSameAsUndisturbed(second, out);
  }

  private static void awaitQuietly(CountDownLatch latch) {
    try {
      assertTrue(latch.await(60, TimeUnit.SECONDS));
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aRankThatLeavesCostsNoStepAndLeavesItsStateWithTheOthers() throws Exception {
    AtomicInteger passes = new AtomicInteger();
    List<TrainingTask> three = tasks(3, out, passes::incrementAndGet);
    Generation first = new Generation(1, three).leaveAfterStep(5).run(-1);
    three.getLast().keepSafe();
    List<String> checkpoints = checkpoints(out);
    assertFalse(checkpoints.contains("step-" + first.handedOver.getFirst()), "others have it");
    deleteCheckpoints(out);
    Generation second = new Generation(2, three.subList(0, 2)).run(0);
    assertSameAsUndisturbed(second, out);
    assertEquals(STEPS * MICRO_BATCHES, passes.get());
  }

  @Test
  void whereAllRanksLeaveTheirStateIsSavedFirst() throws Exception {
    AtomicInteger passes = new AtomicInteger();
    List<TrainingTask> alone = tasks(1, out, passes::incrementAndGet);
    Generation first = new Generation(1, alone).leaveAfterStep(5).run(-1);
    assertTrue(checkpoints(out).contains("step-" + first.handedOver.getFirst()));
    Generation second = new Generation(2, tasks(2, out, passes::incrementAndGet)).run(-1);
    assertEquals(first.handedOver.getFirst(), second.started.getFirst());
    assertSameAsUndisturbed(second, out);
    assertEquals(STEPS * MICRO_BATCHES, passes.get());
  }

  @Test
  void aWorkerThatLeavesWhileTheJobWaitsSavesWhatItHolds() throws Exception {
    List<TrainingTask> pair = tasks(2, out);
    Generation first = new Generation(1, pair).handOverAfterStep(5).run(-1);
    long step = first.handedOver.getFirst();
    pair.forEach(TrainingTask::keepSafe);
    assertTrue(checkpoints(out).contains("step-" + step));
    Generation second = new Generation(2, tasks(1, out)).run(-1);
    assertEquals(List.of(step), second.started);
    pair.forEach(TrainingTask::keepSafe);
    assertSameAsUndisturbed(second, out);
  }

  @Test
  void aNewcomerGetsTheStateFromAPeer() throws Exception {
    List<TrainingTask> pair = tasks(2, out);
    new Generation(1, pair).stopAfterStep(5).run(-1);
    deleteCheckpoints(out);
    long step = newest(pair);
    // The newcomer comes first, so it writes the files from now on.
    List<TrainingTask> three = List.of(tasks(1, out).getFirst(), pair.get(1), pair.get(0));
    Generation second = new Generation(2, three).run(holderOf(step, three));
    assertEquals(List.of(step, step, step), second.started);
    assertSameAsUndisturbed(second, out);
  }

  @Test
  void aStepWhoseLineWasNeverWrittenGetsOne() throws Exception {
    List<TrainingTask> pair = tasks(2, out);
    new Generation(1, pair).stopAfterStep(7).run(-1);
    // As if rank 0 had died after the reduction and before its line.
    long step = newest(pair);
    int source = holderOf(step, pair);
    for (String name : List.of("metrics.jsonl", "samples.jsonl")) {
      List<String> lines = Files.readAllLines(out.resolve(name));
      Files.writeString(
          out.resolve(name),
          String.join("\n", lines.subList(0, Math.toIntExact(step) - 1)) + "\n{\"step\": " + step);
    }
    Generation second = new Generation(2, List.of(pair.get(1 - source), pair.get(source))).run(1);
    assertSameAsUndisturbed(second, out);
  }

  @Test
  void whereAllIsDoneTheResultIsGivenAgain() throws Exception {
    List<TrainingTask> pair = tasks(2, out);
    assertSameAsUndisturbed(new Generation(1, pair).run(-1), out);
    Generation fromMemory = new Generation(2, pair).run(0);
    assertSameAsUndisturbed(fromMemory, out);
    assertEquals(List.of(), fromMemory.steps);
    Generation fromDisk = new Generation(3, tasks(1, out)).run(-1);
    assertSameAsUndisturbed(fromDisk, out);
    assertEquals(List.of(), fromDisk.steps);
  }

  @Test
  void aStopEndsTheGenerationOnThisRankAndOnItsPeers() throws Exception {
    List<TrainingTask> pair = tasks(2, out);
    Generation first = new Generation(3, pair).stopAfterStep(4).run(-1);
    for (RuntimeException failure : first.failures) {
      CollectiveException e = assertInstanceOf(CollectiveException.class, failure);
      assertTrue(String.valueOf(e.getMessage()).contains("enough"), e.getMessage());
    }
    assertNull(first.result);
    for (TrainingTask task : pair) {
      assertThrows(CollectiveException.class, () -> task.prepare(0, 2, 3, new byte[1]));
    }
    assertSameAsUndisturbed(new Generation(4, pair).run(holderOf(newest(pair), pair)), out);
  }

  @Test
  void aStopBeforeOrWhileConnectingEndsTheRun() throws Exception {
    TrainingTask task = tasks(1, out).getFirst();
    var own = task.prepare(0, 2, 1, new byte[1]);
    Thread stopper = Thread.ofPlatform().daemon().start(() -> task.stop(1, "changed my mind"));
    CollectiveException e =
        assertThrows(
            CollectiveException.class,
            () -> task.run(List.of(own, own), -1, new RankTask.RankEvents() {}));
    stopper.join();
    assertFalse(String.valueOf(e.getMessage()).isEmpty());
    assertEquals(-1, task.completedStep());
  }
}
