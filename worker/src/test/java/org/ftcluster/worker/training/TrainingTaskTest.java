package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.protocol.message.RankReport.StepMetrics;
import org.ftcluster.protocol.message.RankReport.TrainingResult;
import org.ftcluster.worker.checkpoint.Checksums;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.data.Dataset;
import org.ftcluster.worker.data.EvalBatches;
import org.ftcluster.worker.data.GlobalBatches;
import org.ftcluster.worker.data.Tokenizer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Twelve steps of five micro-batches, in all the ways in which a job can come to its end: each must
 * leave the same adapter, byte for byte, as one undisturbed worker does.
 */
class TrainingTaskTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile");
  private static final int STEPS = 12;
  private static final int MICRO_BATCHES = 5;

  /** 300 samples. */
  private static Dataset data;

  @TempDir private static Path undisturbed;
  private static TrainingResult expected;

  @TempDir private Path out;
  private final List<TrainingTask> tasks = new ArrayList<>();

  @BeforeAll
  static void trainUndisturbed() throws Exception {
    JobSpec spec = spec(undisturbed);
    try (Tokenizer tokenizer = Tokenizer.open(spec.model().path(), 1024)) {
      data = Dataset.load(spec.data().train(), tokenizer, spec.data().maxLength(), 1);
    }
    try (TrainingTask alone = task(spec, () -> {})) {
      expected = completed(new Generation(1, List.of(alone)).run(-1));
    }
  }

  @BeforeEach
  void nothingRuns() {
    tasks.clear();
  }

  @AfterEach
  void free() {
    tasks.forEach(TrainingTask::close);
  }

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
  void goingOnFromACheckpointGivesTheSameAdapter() throws Exception {
    Generation first = new Generation(1, tasks(2, out)).stopAfterStep(10).run(-1);
    assertEquals(2, sizeOf(first.failures));
    Generation second = new Generation(2, tasks(3, out)).run(-1);
    assertEquals(List.of(8L, 8L, 8L), second.started);
    assertTrue(second.notes.contains("Going on from %s.".formatted(out.resolve("step-8"))));
    assertSameAsUndisturbed(second, out);
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
  void survivorsOfALostRankGoOnFromTheirMemory() throws Exception {
    for (int lost = 0; lost < 3; lost++) {
      Path folder = out.resolve("without-" + lost);
      // In its seventh step; the shares of three ranks are 1, 2 and 2 micro-batches.
      List<TrainingTask> all = tasksWithFault(3, folder, lost, lost == 0 ? 7 : 14);
      Generation first = new Generation(1, all).run(-1);
      assertEquals("fault", Objects.requireNonNull(first.failures.get(lost)).getMessage());
      List<TrainingTask> survivors = new ArrayList<>(all);
      survivors.remove(lost);
      // The last bytes of the sixth step's sum may have been lost with the rank that sent them.
      long step = newest(survivors);
      assertTrue(step == 5 || step == 6, "survivors hold step " + step);
      deleteCheckpoints(folder);
      Generation second = new Generation(2, survivors).run(holderOf(step, survivors));
      assertEquals(List.of(step, step), second.started);
      assertSameAsUndisturbed(second, folder);
    }
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
  void anotherJobInTheSameFolderBeginsAnew() throws Exception {
    new Generation(1, tasks(1, out)).stopAfterStep(9).run(-1);
    JobSpec other = spec(out, "training.learning_rate=0.01", "training.log_samples=false");
    Generation second = new Generation(1, List.of(keep(task(other, () -> {})))).run(-1);
    assertEquals(List.of(0L), second.started);
    assertEquals(STEPS, lines(out.resolve("metrics.jsonl")).size());
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
    BadJobException e = assertInstanceOf(BadJobException.class, generation.failures.get(0));
    assertTrue(e.getMessage().startsWith("Training diverged at step 5: "), e.getMessage());
    assertNotNull(generation.failures.get(1));
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
            CollectiveException.class, () -> task.run(List.of(own, own), -1, new NoEvents()));
    stopper.join();
    assertFalse(String.valueOf(e.getMessage()).isEmpty());
    assertEquals(-1, task.completedStep());
  }

  private static final class NoEvents implements RankTask.RankEvents {
    @Override
    public void started(long step) {}

    @Override
    public void stepCompleted(StepMetrics metrics) {}

    @Override
    public void noted(String note) {}

    @Override
    public void completed(TrainingResult result) {}
  }

  private static void assertSameAsUndisturbed(Generation generation, Path folder)
      throws IOException {
    TrainingResult result = completed(generation);
    assertEquals(expected.adapterSha256(), result.adapterSha256());
    assertEquals(expected.adapterSha256(), sha256(folder));
    assertEquals(expected.evalLossBefore(), result.evalLossBefore());
    assertEquals(expected.evalLossAfter(), result.evalLossAfter());
    assertEquals(expected.samples(), result.samples());
    for (String name : List.of("metrics.jsonl", "samples.jsonl")) {
      assertEquals(history(undisturbed.resolve(name)), history(folder.resolve(name)));
    }
  }

  /** All lines, but for what depends on when and where they were written. */
  private static List<String> history(Path file) throws IOException {
    return lines(file).stream()
        .map(
            line ->
                ((ObjectNode) line)
                    .without(List.of("tokens_per_second", "workers", "generation"))
                    .toString())
        .toList();
  }

  private static List<JsonNode> lines(Path file) throws IOException {
    List<JsonNode> lines = new ArrayList<>();
    for (String line : Files.readAllLines(file)) {
      lines.add(new JsonMapper().readTree(line));
    }
    return lines;
  }

  private static List<Long> steps(List<JsonNode> lines) {
    return lines.stream().map(line -> line.get("step").asLong()).toList();
  }

  private static List<String> checkpoints(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.startsWith("step-"))
          .sorted()
          .toList();
    }
  }

  private static void deleteCheckpoints(Path folder) throws IOException {
    for (String name : checkpoints(folder)) {
      Files.move(folder.resolve(name), folder.resolve("gone-" + name));
    }
  }

  private static long newest(List<TrainingTask> tasks) {
    return tasks.stream().mapToLong(TrainingTask::completedStep).max().orElseThrow();
  }

  private static int holderOf(long step, List<TrainingTask> tasks) {
    return tasks.stream().map(TrainingTask::completedStep).toList().indexOf(step);
  }

  private static String sha256(Path folder) throws IOException {
    return Checksums.sha256(folder.resolve("adapter/adapter_model.safetensors"));
  }

  private static TrainingResult completed(Generation generation) {
    for (RuntimeException failure : generation.failures) {
      if (failure != null) {
        throw failure;
      }
    }
    return Objects.requireNonNull(generation.result);
  }

  private static long sizeOf(List<?> failures) {
    return failures.stream().filter(Objects::nonNull).count();
  }

  private List<TrainingTask> tasks(int count, Path folder) {
    return IntStream.range(0, count).mapToObj(i -> keep(task(spec(folder), () -> {}))).toList();
  }

  /** One of them throws before its {@code pass}-th forward and backward. */
  private List<TrainingTask> tasksWithFault(int count, Path folder, int faulty, int pass) {
    AtomicInteger passes = new AtomicInteger();
    Runnable fault =
        () -> {
          if (passes.incrementAndGet() == pass) {
            throw new IllegalStateException("fault");
          }
        };
    return IntStream.range(0, count)
        .mapToObj(i -> keep(task(spec(folder), i == faulty ? fault : () -> {})))
        .toList();
  }

  private TrainingTask keep(TrainingTask task) {
    tasks.add(task);
    return task;
  }

  private static TrainingTask task(JobSpec spec, Runnable beforePass) {
    return task(spec, new BigramModel(beforePass));
  }

  private static TrainingTask task(JobSpec spec, BigramModel model) {
    return new TrainingTask(
        spec,
        model,
        new GlobalBatches(data, spec),
        new EvalBatches(data, 4096),
        "127.0.0.1",
        Generation.DEADLINES);
  }

  private static JobSpec spec(Path folder, String... more) {
    List<String> sets =
        new ArrayList<>(
            List.of(
                "checkpoint.path=" + folder,
                "checkpoint.every_steps=4",
                "checkpoint.keep=2",
                "data.train.path=eval.jsonl",
                "adapter.r=4",
                "training.max_steps=" + STEPS,
                "training.global_batch_size=14",
                "training.micro_batch_size=" + Math.ceilDiv(14, MICRO_BATCHES),
                "training.learning_rate=0.05",
                "training.weight_decay=0.01",
                "training.log_samples=true"));
    sets.addAll(Arrays.asList(more));
    return JobSpecReader.read(SAMPLE.resolve("job.yaml"), sets);
  }
}
