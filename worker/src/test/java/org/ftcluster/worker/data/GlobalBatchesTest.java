package org.ftcluster.worker.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.model.TokenBatch;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GlobalBatchesTest {
  /** 300 samples. */
  private static Dataset data;

  @BeforeAll
  static void load() {
    try (Tokenizer tokenizer = SampleJob.tokenizer()) {
      data = Dataset.load(SampleJob.spec().data().eval(), tokenizer, 512, 2);
    }
  }

  @ParameterizedTest
  @CsvSource(
      textBlock =
          """
          # epochs, max_steps, global batch, steps
          1,        0,         300,          1
          2,        0,         32,           20
          2,        0,         300,          2
          3,        0,         301,          3
          0.5,      0,         32,           5
          0.01,     0,         32,           1
          1.1,      0,         30,           11
          2.2,      0,         60,           11
          1,        7,         32,           7
          1,        50,        32,           50
          """)
  void countsSteps(String epochs, String maxSteps, String globalBatch, long steps) {
    GlobalBatches batches =
        batches(
            "training.num_train_epochs=" + epochs,
            "training.max_steps=" + maxSteps,
            "training.global_batch_size=" + globalBatch);
    assertEquals(steps, batches.steps());
  }

  @ParameterizedTest
  @ValueSource(strings = {"false", "true"})
  void everyEpochHasEverySampleOnce(String packing) {
    GlobalBatches batches =
        batches("data.packing=" + packing, "data.max_length=256", "training.num_train_epochs=3");
    List<List<Long>> epochs = new ArrayList<>(List.of(new ArrayList<>()));
    for (long step = 0; step < batches.steps(); step++) {
      GlobalBatch batch = batches.batch(step);
      epochs.getLast().addAll(batch.sampleIds());
      assertEquals(batch.sampleIds().size(), batch.sampleCount());
      if (batch.epoch() == Math.rint(batch.epoch())) {
        epochs.add(new ArrayList<>());
      }
    }
    assertEquals(List.of(), epochs.removeLast());
    assertEquals(3, epochs.size());
    List<Long> all = LongStream.range(0, data.size()).boxed().toList();
    for (List<Long> epoch : epochs) {
      assertEquals(all, epoch.stream().sorted().toList());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"false", "true"})
  void countsWhatTheMicroBatchesHold(String packing) {
    GlobalBatches batches = batches("data.packing=" + packing, "training.num_train_epochs=1");
    for (long step = 0; step < batches.steps(); step++) {
      GlobalBatch batch = batches.batch(step);
      long targets = 0;
      long tokens = 0;
      for (MicroBatch microBatch : batch.microBatches()) {
        targets += microBatch.tokens().targetCount();
        tokens += microBatch.tokens().tokenCount();
        assertEquals(microBatch.sampleIds().size(), microBatch.tokens().lengths().length);
      }
      assertEquals(targets, batch.targetTokens());
      assertEquals(tokens, batch.tokens());
    }
  }

  @Test
  void cutsRowsIntoMicroBatches() {
    GlobalBatches batches = batches("training.global_batch_size=7", "training.micro_batch_size=3");
    assertEquals(List.of(3, 3, 1), rows(batches.batch(0)));
    assertEquals(List.of(3, 3), rows(batches.batch(42))); // 300 = 42 * 7 + 6
    assertEquals(List.of(3, 3, 1), rows(batches.batch(43)));
    assertEquals(
        List.of(0, 1, 2), batches.batch(0).microBatches().stream().map(MicroBatch::index).toList());
  }

  @Test
  void packedRowsStayWithinMaxLength() {
    GlobalBatches batches =
        batches(
            "data.packing=true",
            "data.max_length=256",
            "training.global_batch_size=4",
            "training.micro_batch_size=1",
            "training.num_train_epochs=1");
    long tokens = 0;
    long rows = 0;
    for (long step = 0; step < batches.steps(); step++) {
      for (MicroBatch row : batches.batch(step).microBatches()) {
        TokenBatch batch = row.tokens();
        assertTrue(batch.tokenCount() <= 256);
        tokens += batch.tokenCount();
        rows++;
      }
    }
    assertTrue(tokens > 0.9 * 256 * rows, tokens + " tokens in " + rows + " rows");
  }

  @ParameterizedTest
  @ValueSource(strings = {"false", "true"})
  void aStepIsTheSameWheneverItIsAskedFor(String packing) {
    String[] sets = {"data.packing=" + packing, "training.num_train_epochs=5"};
    GlobalBatches forwards = batches(sets);
    GlobalBatches backwards = batches(sets);
    for (long step = forwards.steps() - 1; step >= 0; step--) {
      assertSame(backwards.batch(step), batches(sets).batch(step));
    }
    for (long step = 0; step < forwards.steps(); step++) {
      assertSame(forwards.batch(step), backwards.batch(step));
    }
  }

  @Test
  void epochsDiffer() {
    GlobalBatches batches = batches("training.global_batch_size=300");
    assertTrue(!batches.batch(0).sampleIds().equals(batches.batch(1).sampleIds()));
  }

  @Test
  void tellsHowMuchOfTheEpochsIsDone() {
    GlobalBatches batches = batches("training.global_batch_size=100");
    assertArrayEquals(
        new double[] {1 / 3.0, 2 / 3.0, 1, 4 / 3.0},
        LongStream.range(0, 4).mapToDouble(step -> batches.batch(step).epoch()).toArray(),
        1e-12);
  }

  @Test
  void evaluationGoesThroughTheDataInOrderWithinItsBudget() {
    EvalBatches batches = new EvalBatches(data, 1000);
    int[] tokens =
        IntStream.range(0, batches.size())
            .mapToObj(batches::batch)
            .peek(batch -> assertTrue(batch.tokenCount() <= 1000))
            .flatMapToInt(batch -> Arrays.stream(batch.tokens()))
            .toArray();
    assertArrayEquals(data.batch(IntStream.range(0, data.size()).toArray()).tokens(), tokens);
    assertEquals(data.size(), new EvalBatches(data, 1).size());
  }

  private static List<Integer> rows(GlobalBatch batch) {
    return batch.microBatches().stream().map(row -> row.sampleIds().size()).toList();
  }

  private static void assertSame(GlobalBatch one, GlobalBatch other) {
    assertEquals(one.sampleIds(), other.sampleIds());
    assertEquals(one.epoch(), other.epoch());
    assertEquals(rows(one), rows(other));
  }

  private static GlobalBatches batches(String... sets) {
    List<String> all = new ArrayList<>(List.of("training.micro_batch_size=1"));
    all.addAll(Arrays.asList(sets));
    JobSpec spec = SampleJob.spec(all.toArray(String[]::new));
    return new GlobalBatches(data, spec);
  }
}
