package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.junit.jupiter.api.Test;

/** What training leaves behind. */
class TrainingTaskTest extends SmallJob {
  @Test
  void trainingLearns() throws IOException {
    assertEquals(STEPS, expected.steps());
    assertTrue(expected.evalLossBefore() > 6.9, "an adapter begins as the base model");
    assertTrue(expected.evalLossAfter() < 0.8 * expected.evalLossBefore());
    assertEquals(expected.adapterSha256(), sha256(undisturbed));
    List<JsonNode> metrics = lines(undisturbed.resolve("metrics.jsonl"));
    assertEquals(LongStream.rangeClosed(1, STEPS).boxed().toList(), steps(metrics));
    assertEquals(
        List.of(
            "step",
            "epoch",
            "loss",
            "grad_norm",
            "learning_rate",
            "target_tokens",
            "samples",
            "tokens_per_second",
            "workers",
            "generation"),
        metrics.getFirst().propertyStream().map(Map.Entry::getKey).toList());
    assertEquals(0, metrics.getFirst().get("learning_rate").asDouble());
    assertEquals(Math.log(1024), metrics.getFirst().get("loss").asDouble(), 1e-6);
    assertEquals(14 * STEPS, expected.samples());
    assertTrue(Files.exists(undisturbed.resolve("job.yaml")));
    assertTrue(Files.exists(undisturbed.resolve("adapter/adapter_config.json")));
    assertEquals(List.of("step-12", "step-8"), checkpoints(undisturbed));
  }

  @Test
  void anyNumberOfWorkersGivesTheSameAdapter() throws Exception {
    for (int size : new int[] {2, 3, 6}) {
      Path folder = out.resolve("on-" + size);
      Generation generation = new Generation(1, tasks(size, folder)).run(-1);
      assertSameAsUndisturbed(generation, folder);
      generation.steps.forEach(step -> assertEquals(size, step.workers()));
      assertEquals(0, sizeOf(generation.failures));
    }
  }

  @Test
  void fastReductionGivesAboutTheSame() throws Exception {
    JobSpec spec = spec(out, "training.reduction=fast");
    Generation generation =
        new Generation(1, List.of(keep(task(spec, () -> {})), keep(task(spec, () -> {})))).run(-1);
    assertEquals(expected.evalLossAfter(), completed(generation).evalLossAfter(), 1e-4);
  }

  @Test
  void anotherJobInTheSameFolderIsRefused() throws Exception {
    new Generation(1, tasks(1, out)).stopAfterStep(9).run(-1);
    JobSpec other = spec(out, "training.learning_rate=0.01");
    TrainingTask task = keep(task(other, () -> {}));
    Generation second = new Generation(1, List.of(task)).run(-1);
    BadJobException e = assertInstanceOf(BadJobException.class, second.failures.getFirst());
    assertTrue(
        e.getMessage()
            .startsWith(
                "checkpoint.path: %s is a checkpoint of another job (training.learning_rate is 0.01 here and 0.05 there); "
                    .formatted(out.resolve("step-8"))),
        e.getMessage());
    assertEquals(List.of("step-4", "step-8"), checkpoints(out));
    assertThrows(BadJobException.class, task::checkFolder);
  }

  @Test
  void anotherJobThatMayOverwriteBeginsAnew() throws Exception {
    new Generation(1, tasks(1, out)).stopAfterStep(9).run(-1);
    JobSpec other =
        spec(
            out,
            "checkpoint.overwrite=true",
            "training.learning_rate=0.01",
            "training.log_samples=false");
    Generation second = new Generation(1, List.of(keep(task(other, () -> {})))).run(-1);
    assertEquals(List.of(0L), second.started);
    assertEquals(STEPS, lines(out.resolve("metrics.jsonl")).size());
    assertEquals(List.of("step-12", "step-8"), checkpoints(out));
  }

  @Test
  void ranksThatReadOtherFilesAreToldApart() throws Exception {
    TrainingTask other = keep(task(spec(out, "data.train.path=train.jsonl"), () -> {}));
    Generation generation = new Generation(1, List.of(tasks(1, out).getFirst(), other)).run(-1);
    for (Throwable failure : generation.failures) {
      BadJobException e = assertInstanceOf(BadJobException.class, failure);
      assertTrue(e.getMessage().contains("rank 1 reads differs from rank 0's"), e.getMessage());
    }
  }

  @Test
  void aJobCanBeginFromAnAdapter() throws Exception {
    JobSpec spec = spec(out, "adapter.init_from=" + undisturbed.resolve("adapter"));
    Generation generation = new Generation(1, List.of(keep(task(spec, () -> {})))).run(-1);
    assertEquals(expected.evalLossAfter(), completed(generation).evalLossBefore(), 1e-12);
  }

  @Test
  void aLossThatIsNoNumberIsTheJobsFaultOnAllRanks() throws Exception {
    List<TrainingTask> pair = new ArrayList<>();
    BigramModel[] models = new BigramModel[1];
    AtomicInteger passes = new AtomicInteger();
    Runnable poison =
        () -> {
          if (passes.incrementAndGet() == 9) {
            models[0].parameters().values().setAtIndex(ValueLayout.JAVA_FLOAT, 0, Float.NaN);
            models[0].parametersChanged();
          }
        };
    models[0] = new BigramModel(poison);
    pair.add(keep(task(spec(out), models[0])));
    pair.add(keep(task(spec(out), () -> {})));
    Generation generation = new Generation(1, pair).run(-1);
    for (Throwable failure : generation.failures) {
      BadJobException e = assertInstanceOf(BadJobException.class, failure);
      assertTrue(e.getMessage().startsWith("Training diverged at step 5: "), e.getMessage());
    }
  }
}
