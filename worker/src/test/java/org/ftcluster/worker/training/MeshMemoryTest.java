package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpecWriter;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshCosts;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a job in parts needs of each worker. */
class MeshMemoryTest {
  @TempDir static Path models;
  private static Path llama;

  @BeforeAll
  static void writeModel() throws IOException {
    llama = TinyModel.llama(models.resolve("llama"));
  }

  @Test
  void weightsAreSharedOut() {
    MemoryEstimate whole = estimate();
    long table = 4L * 1024 * 64;
    long layers = whole.weights() - 2 * table;

    assertEquals(whole.weights() / 2.0, estimate("parallel.tensor=2").weights(), 0.03 * layers);
    // Key/value heads are there twice, and that is all.
    long keysAndValues = 4L * 4 * 2 * 32 * 64;
    assertEquals(
        (whole.weights() + keysAndValues) / 4.0,
        estimate("parallel.tensor=4").weights(),
        0.03 * layers);
    // Three of four layers and the embedding; one layer and the head are less.
    assertEquals(layers * 0.75 + table, estimate("parallel.pipeline=2").weights(), 1);
    assertEquals(whole.trained(), estimate("parallel.pipeline=2").trained());
  }

  @Test
  void frozenLayersAreSharedOutAmongCopies() {
    long layer = 4L * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 192 * 64);
    long tables = 2 * 4L * 1024 * 64;
    MemoryEstimate shared = estimate("parallel.sharding=zero3", "parallel.data=4");
    assertEquals(tables + 4 * layer / 4 + 2 * layer, shared.weights());
    assertEquals(estimate().activations(), shared.activations());
    // Of NF4 a copy keeps its share of the codes, and all scales.
    String nf4 = "model.quantization.type=nf4";
    double whole = estimate(nf4).weights() - tables;
    double share = estimate(nf4, "parallel.sharding=zero3", "parallel.data=4").weights() - tables;
    assertEquals((0.5 / 4 + 2 * 0.5 / 4 + 0.0166) / 0.5166, share / whole, 0.01);
  }

  @Test
  void whatIsTrainedIsSharedOut() {
    String[] four = {"elastic.min_workers=4", "parallel.mirror=false"};
    double whole = estimate().trained();
    assertEquals((16 + 12 / 4.0) / 24, trained("zero1", four) / whole, 1e-3);
    assertEquals((8 + 20 / 4.0) / 24, trained("zero2", four) / whole, 1e-3);
    assertEquals((8 + 20 / 4.0) / 24, trained("zero3", four) / whole, 1e-3);
    assertEquals((16 + 24 / 4.0) / 24, trained("zero1", "elastic.min_workers=4") / whole, 1e-3);
    assertEquals(whole, trained("zero2"), "alone");
    // The first of two stages has three of four layers, and two workers to sum their gradients.
    String[] stages = {"parallel.pipeline=2", four[0], four[1]};
    assertEquals((8 + 12 / 4.0 + 8 * 0.75 / 2) / 24, trained("zero2", stages) / whole, 1e-3);
  }

  /** Shares of the optimizer's memory are the hosts'; gradients on their way have room besides. */
  @Test
  void ofGpusValuesGradientsAndSumsAreThere() {
    String cuda = "resources.device=cuda";
    String four = "elastic.min_workers=4";
    double whole = estimate().trained();
    assertEquals(1, trained("none", cuda) / whole, 1e-3);
    assertEquals(16.0 / 24, trained("none", cuda, "offload.optimizer=cpu") / whole, 1e-3);
    assertEquals(16.0 / 24, trained("zero1", cuda, four) / whole, 1e-3);
    assertEquals((8 + 8 / 4.0 + 8) / 24, trained("zero2", cuda, four) / whole, 1e-3);
    assertEquals(16.0 / 24, trained("zero2", cuda) / whole, 1e-3, "alone");
  }

  @Test
  void valuesAreSharedOutWhereAllWeightsAreTrained() {
    String[] full = {"adapter.type=none", "training.reduction=fast"};
    String[] four = {full[0], full[1], "elastic.min_workers=4", "parallel.mirror=false"};
    long table = 1024 * 64;
    long layer = 13 * 4096; // in whole blocks
    double parameters = 2 * table + 4 * layer;
    assertEquals((16 + 4) * parameters, estimate(full).trained(), 0.01 * 20 * parameters);
    // A share of values, moments, gradients and sums; rooms for two layers, and the embedding or
    // the head, and what of them is on its way; for gradients of as many.
    double rooms = 4 * (1.25 * (2 * layer + table) + 2 * layer + table);
    double shared = trained("zero3", four);
    assertEquals(20 * parameters / 4 + rooms, shared, 0.06 * shared);
    assertTrue(shared < trained("zero2", four));
    // Rooms are the same for more workers, and much of so small a model.
    String[] eight = {full[0], full[1], "elastic.min_workers=8", "parallel.mirror=false"};
    assertTrue(trained("zero3", eight) < 0.8 * trained("zero2", eight));
    // Of two stages one has the embedding and most layers, and two workers that share them out.
    String[] stages = {full[0], full[1], "elastic.min_workers=4", "parallel.pipeline=2", four[3]};
    double first = 3 * layer + table;
    double staged = 20 * first / 2 + 4 * (1.5 * (2 * layer + table) + 2 * layer + table);
    assertEquals(staged, trained("zero3", stages), 0.06 * staged);
    // In groups of two a rank has half, and nothing is mirrored.
    String[] pairs = {full[0], full[1], "elastic.min_workers=4", "parallel.sharding_group=2"};
    double halves = trained("zero3", pairs);
    assertEquals((20 * parameters) / 2 + rooms, halves, 0.1 * halves);
  }

  @Test
  void groupsHoldEverythingBetweenThem() {
    String[] two = {"parallel.data=2", "parallel.mirror=false"};
    String[] pairs = {"parallel.data=4", "parallel.sharding_group=2"};
    for (String sharding : List.of("zero1", "zero2", "zero3")) {
      assertEquals(trained(sharding, two), trained(sharding, pairs), 1);
    }
    assertEquals(
        estimate("parallel.sharding=zero3", two[0]).weights(),
        estimate("parallel.sharding=zero3", pairs[0], pairs[1]).weights());
  }

  private static double trained(String sharding, String... more) {
    List<String> sets = new ArrayList<>(Arrays.asList(more));
    sets.add("parallel.sharding=" + sharding);
    return estimate(sets.toArray(String[]::new)).trained();
  }

  @Test
  void activationsOfAStageAreOfItsLayersForAsManyMicroBatchesAsAreInFlight() {
    MemoryEstimate whole = estimate();
    MemoryEstimate sliced = estimate("parallel.tensor=2");
    assertTrue(sliced.activations() < 0.75 * whole.activations());
    MemoryEstimate staged = estimate("parallel.pipeline=2");
    assertTrue(staged.activations() < 2 * whole.activations());
    assertTrue(staged.activations() > whole.activations());
  }

  @Test
  void whatRanksSendEachOtherIsForetold() {
    long trained = 4 * 16L * (6 * 64 + 192 + 3 * 64 + 2 * 32 + 2 * 192);
    assertEquals(0, plan().costs().bytes());
    MeshCosts slices = plan("parallel.tensor=2").costs();
    assertEquals(new Mesh(1, 1, 2), slices.mesh());
    assertEquals(8.0 * trained, slices.gradientBytes(), 1);
    assertEquals(0, slices.stageBytes() + slices.shareBytes() + slices.bubble());
    MeshCosts stages = plan("parallel.pipeline=2", "parallel.data=2").costs();
    assertEquals(1.5 * 8 * trained, stages.gradientBytes(), 1);
    // Of two slices each sends half of what a message between stages is, to sum as to gather: 17
    // sums
    // and 25 times the rows of slices.
    MeshCosts alone = plan("parallel.pipeline=2").costs();
    assertEquals((17 + 25) / 2.0 * alone.stageBytes(), slices.sliceBytes(), 1);
    // Three layers before one and the head: the first stage's 8 turns take 3 each; it waits for its
    // first backward and for its last one, which the second needs 2 x 2.33 for, 3 of them
    // meanwhile.
    double second = 1 + 65536 / 49152.0;
    double waits = 2 * (2 * second - 3);
    assertEquals(1 - 8 * (3 + second) / (2 * (8 * 3 + waits)), alone.bubble(), 1e-9);
    assertEquals(0, alone.sliceBytes());
    // A pair sums its gradients after each micro-batch, half of which go over to the other pair.
    MeshCosts pairs =
        plan("parallel.sharding=zero2", "parallel.data=4", "parallel.sharding_group=2").costs();
    assertEquals((0.5 * 8 + 0.5 * 4 + 8 / 2.0) * trained, pairs.gradientBytes(), 1);
    MeshCosts shares = plan("parallel.sharding=zero3", "parallel.data=2").costs();
    assertEquals(2 * 2 * 0.5 * 4 * 4 * 49152.0, shares.shareBytes(), 1);
  }

  @Test
  void whatCantBeCutLikeThatIsRefused() {
    assertRefused(
        "parallel.tensor=3", "3, but the model's 4 heads and 2 key/value heads", "2 would work");
    assertRefused(
        "parallel.pipeline=5",
        "parallel.pipeline is 5, but the model has 4 layers",
        "4 would work");
  }

  private static void assertRefused(String set, String... words) {
    BadJobException e = assertThrows(BadJobException.class, () -> estimate(set));
    for (String word : words) {
      assertTrue(e.getMessage().contains(word), e.getMessage());
    }
  }

  private static MemoryEstimate estimate(String... more) {
    return plan(more).estimate();
  }

  private static MemoryPlan plan(String... more) {
    String yaml = JobSpecWriter.toYaml(PlannedJob.of(llama, more));
    return new TrainingTaskFactory().plan(yaml, 1L << 40);
  }
}
