package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Jobs that are evaluated while they train, at a rate of learning that overshoots. */
class EvaluatedTrainingTest extends SmallJob {
  private static final String[] OVERSHOOTING = {
    "training.learning_rate=0.4",
    "training.lr_scheduler_type=constant",
    "training.warmup_steps=12",
    "checkpoint.every_steps=0",
    "checkpoint.keep=1"
  };

  @Test
  void aLossInTrainingIsThatOfAJobWhichEndsThere() throws Exception {
    TrainingResult twelve = completed(run("whole", 2, "evaluation.every_steps=5"));
    TrainingResult five = completed(run("short", 1, "training.max_steps=5"));
    List<JsonNode> evaluations = lines(out.resolve("whole/evaluations.jsonl"));
    assertEquals(List.of(5L, 10L, 12L), steps(evaluations));
    assertEquals(five.evalLossAfter(), evaluations.getFirst().get("eval_loss").asDouble());
    assertEquals(twelve.evalLossAfter(), evaluations.getLast().get("eval_loss").asDouble());
    assertEquals(
        completed(run("unwatched", 1)).adapterSha256(), twelve.adapterSha256(), "it only looks");
  }

  @Test
  void theBestIsTheResultThoughOneCheckpointIsKept() throws Exception {
    Generation generation = run("all", 2, "evaluation={every_steps: 1, keep_best: true}");
    TrainingResult result = completed(generation);
    double[] losses = losses("all");
    int best = best(losses);
    TrainingResult shorter = completed(run("short", 1, "training.max_steps=" + best));
    assertEquals(shorter.adapterSha256(), result.adapterSha256());
    assertEquals(shorter.adapterSha256(), sha256(out.resolve("all")));
    assertEquals(losses[best - 1], result.evalLossAfter());
    assertEquals(STEPS, result.steps());
    assertEquals(
        List.of("step-" + STEPS, "step-" + best).stream().sorted().toList(),
        checkpoints(out.resolve("all")));
    assertEquals(best, result.resultStep());
    assertNoted("The result is of step %d, ".formatted(best), generation);
  }

  @Test
  void whateverIsLostOnTheWayTheBestIsTheSame() throws Exception {
    String[] settings = {"evaluation={every_steps: 2, keep_best: true, patience: 4}"};
    TrainingResult undisturbed = completed(run("calm", 1, settings));
    Path folder = out.resolve("rough");
    List<TrainingTask> pair = tasksOf(2, folder, settings);
    Generation first = new Generation(1, pair).stopAfterStep(5).run(-1);
    assertEquals(2, sizeOf(first.failures));
    int holder = holderOf(newest(pair), pair);
    Generation second = new Generation(2, pair).handOverAfterStep(8).run(holder);
    assertEquals(2, second.handedOver.size());
    // From what was saved of the best, after which the others' evaluations are taken again.
    Generation last = new Generation(3, tasksOf(3, folder, settings)).run(-1);
    assertSame("calm", undisturbed, "rough", completed(last));
  }

  @Test
  void whoGoesOnTakesTheEvaluationThatAHandOverHasLeft() throws Exception {
    String[] settings = {"evaluation={every_steps: 1, keep_best: true}"};
    TrainingResult undisturbed = completed(run("calm", 1, settings));
    List<TrainingTask> three = tasksOf(3, out.resolve("rough"), settings);
    Generation first = new Generation(1, three).handOverAfterStep(4).run(-1);
    // It was asked for before the evaluation of step 4, or in its first round: that isn't taken.
    assertEquals(List.of(4L, 4L, 4L), first.handedOver);
    assertEquals(3, lines(out.resolve("rough/evaluations.jsonl")).size());
    Generation second = new Generation(2, three.subList(1, 3)).run(0);
    assertEquals(List.of(4L, 4L), second.started);
    assertSame("calm", undisturbed, "rough", completed(second));
  }

  @Test
  void aRankThatIsLostInAnEvaluationCostsNone() throws Exception {
    String[] settings = {"evaluation={every_steps: 4, keep_best: true}"};
    TrainingResult undisturbed = completed(run("calm", 1, settings));
    for (int lost = 0; lost < 2; lost++) {
      String name = "without-" + lost;
      List<TrainingTask> pair = new ArrayList<>();
      for (int rank = 0; rank < 2; rank++) {
        Runnable fault = rank == lost ? faultAt(10) : () -> {};
        BigramModel model = new BigramModel(() -> {}, fault);
        pair.add(keep(task(spec(out.resolve(name), all(settings)), model)));
      }
      Generation first = new Generation(1, pair).run(-1);
      assertEquals(2, sizeOf(first.failures));
      assertEquals(8, pair.get(1 - lost).completedStep());
      assertEquals(1, lines(out.resolve(name).resolve("evaluations.jsonl")).size());
      Generation second = new Generation(2, List.of(pair.get(1 - lost))).run(0);
      assertSame("calm", undisturbed, name, completed(second));
    }
  }

  /** Each of two ranks has four batches of an evaluation: in the one after step 8. */
  private static Runnable faultAt(int batch) {
    AtomicInteger batches = new AtomicInteger();
    return () -> {
      if (batches.incrementAndGet() == batch) {
        throw new IllegalStateException("fault");
      }
    };
  }

  private void assertSame(
      String folder, TrainingResult expected, String otherFolder, TrainingResult result)
      throws IOException {
    assertEquals(expected.adapterSha256(), result.adapterSha256());
    assertEquals(expected.evalLossAfter(), result.evalLossAfter());
    assertEquals(expected.steps(), result.steps());
    assertEquals(expected.resultStep(), result.resultStep());
    assertEquals(
        Files.readString(out.resolve(folder).resolve("evaluations.jsonl")),
        Files.readString(out.resolve(otherFolder).resolve("evaluations.jsonl")));
  }

  @Test
  void aBestThatCannotBeSavedIsNotedAndTheNextOneIsTheResult() throws Exception {
    String settings = "evaluation={every_steps: 1, keep_best: true}";
    run("calm", 1, settings);
    double[] losses = losses("calm");
    int best = best(losses);
    int next = secondBest(losses);
    Path folder = out.resolve("full");
    Files.createDirectories(folder.resolve("step-%d.g1.partial/in the way".formatted(best)));
    Generation generation = run("full", 2, settings);
    assertNoted("step-%d: can't be saved".formatted(best), generation);
    assertNoted("The result is of step %d, ".formatted(next), generation);
    TrainingResult result = completed(generation);
    assertEquals(next, result.resultStep());
    assertEquals(losses[next - 1], result.evalLossAfter());
    assertEquals(
        completed(run("short", 1, "training.max_steps=" + next)).adapterSha256(),
        result.adapterSha256());
    assertEquals(Arrays.toString(losses), Arrays.toString(losses("full")));
  }

  @Test
  void aBestWhoseCheckpointIsGoneIsNotedAndTheLastIsTheResult() throws Exception {
    String settings = "evaluation={every_steps: 1, keep_best: true}";
    Path folder = out.resolve("gone");
    List<TrainingTask> alone = tasksOf(1, folder, settings);
    new Generation(1, alone).handOverAfterStep(STEPS - 2).run(-1);
    deleteCheckpoints(folder);
    Generation second = new Generation(2, alone).run(0);
    TrainingResult result = completed(second);
    assertNoted(" is gone; the result is of the last.", second);
    assertEquals(STEPS, result.resultStep());
    assertEquals(losses("gone")[STEPS - 1], result.evalLossAfter());
    assertEquals(completed(run("unwatched", 1)).adapterSha256(), result.adapterSha256());
  }

  @Test
  void otherSettingsOfEvaluationsMakeNoOtherJob() throws Exception {
    run("job", 1, "evaluation={every_steps: 3, keep_best: true}");
    Generation again = run("job", 1);
    assertEquals(STEPS, completed(again).resultStep());
    assertFalse(Files.exists(out.resolve("job/evaluations.jsonl")), "which are of other settings");
  }

  @Test
  void trainingEndsWhenTheLossNoLongerFalls() throws Exception {
    completed(run("whole", 1, "evaluation.every_steps=1"));
    double[] losses = losses("whole");
    int best = best(losses);
    Generation generation =
        run("patient", 2, "evaluation={every_steps: 1, patience: %d}".formatted(STEPS - best - 1));
    assertEquals(STEPS - 1, completed(generation).steps());
    assertEquals(
        losses[STEPS - 2], completed(generation).evalLossAfter(), "the last, not the best");
    assertNoted("Training ends after step %d: ".formatted(STEPS - 1), generation);
    assertEquals(STEPS - 1, lines(out.resolve("patient/metrics.jsonl")).size());
  }

  @ParameterizedTest
  @CsvSource({
    "none, zero3, 1, 1, 2",
    "none, zero2, 1, 2, 4",
    "lora, zero1, 2, 1, 4",
    "lora, none,  2, 2, 4",
  })
  void theBestOfWhatIsSharedOutIsTheResult(
      String adapter, String sharing, int tensor, int stages, int ranks) throws Exception {
    MeshJob.writeFiles(out);
    String[] settings = {
      "adapter.type=" + adapter,
      "parallel={tensor: %d, pipeline: %d, sharding: %s}".formatted(tensor, stages, sharing),
      "training.reduction=exact",
      "training.lr_scheduler_type=constant",
      "training.warmup_steps=8",
      "training.learning_rate=" + (adapter.equals("lora") ? 0.5 : 0.3),
      "checkpoint={path: %s, every_steps: 0, keep: 1}"
    };
    MeshJob.Run watched =
        mesh("watched", ranks, settings, "evaluation={every_steps: 1, keep_best: true}");
    double[] losses = losses("watched");
    int best = best(losses);
    MeshJob.Run shorter = mesh("short", ranks, settings, "training.max_steps=" + best);
    assertEquals(shorter.sha256(), watched.sha256());
    assertEquals(losses[best - 1], watched.evalLossAfter());
  }

  private MeshJob.Run mesh(String folder, int ranks, String[] settings, String setting)
      throws Exception {
    Path place = out.resolve(folder);
    List<String> all = new ArrayList<>();
    for (String one : settings) {
      all.add(one.formatted(place));
    }
    all.add(setting);
    return new MeshJob(out, place, all.toArray(String[]::new)).run(ranks);
  }

  private Generation run(String folder, int ranks, String... settings) throws Exception {
    return new Generation(1, tasksOf(ranks, out.resolve(folder), settings)).run(-1);
  }

  private List<TrainingTask> tasksOf(int ranks, Path folder, String... settings) {
    List<TrainingTask> tasks = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      tasks.add(keep(task(spec(folder, all(settings)), () -> {})));
    }
    return tasks;
  }

  private static String[] all(String... settings) {
    return Stream.concat(Stream.of(OVERSHOOTING), Stream.of(settings)).toArray(String[]::new);
  }

  /** Of all steps. */
  private double[] losses(String folder) throws IOException {
    return lines(out.resolve(folder).resolve("evaluations.jsonl")).stream()
        .mapToDouble(line -> line.get("eval_loss").asDouble())
        .toArray();
  }

  /** The step with the lowest loss, which is none of the first and the last. */
  private static int best(double[] losses) {
    int steps = losses.length;
    assertTrue(steps >= MeshJob.STEPS, "%d steps".formatted(steps));
    int best = 1;
    for (int step = 2; step <= steps; step++) {
      best = losses[step - 1] < losses[best - 1] ? step : best;
    }
    assertTrue(
        best > 1 && best < steps - 1,
        "the best step is " + best + " of " + Arrays.toString(losses));
    return best;
  }

  /** Of those after which none but the best one had less. */
  private static int secondBest(double[] losses) {
    int best = best(losses);
    int second = best == 1 ? 2 : 1;
    for (int step = 1; step <= losses.length; step++) {
      second = step != best && losses[step - 1] < losses[second - 1] ? step : second;
    }
    assertTrue(second < losses.length, "the last step is the second best");
    return second;
  }

  private static void assertNoted(String beginning, Generation generation) {
    assertTrue(
        generation.notes.stream().anyMatch(note -> note.contains(beginning)),
        () -> beginning + " isn't in " + generation.notes);
  }
}
