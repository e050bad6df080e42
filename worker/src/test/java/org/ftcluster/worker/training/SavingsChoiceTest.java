package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.Tier;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class SavingsChoiceTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile/job.yaml");
  private static final Path DISK = Path.of("/disk");
  private static final int LAYERS = 10;

  /**
   * 20 without savings; each layer that is computed again saves 1, weights on a disk 5, what the
   * optimizer remembers 2, and what four layers keep 1.
   */
  private static long needs(MemorySavings savings) {
    return 20
        - savings.recomputedLayers()
        - (savings.parameters() != Tier.MEMORY ? 5 : 0)
        - (savings.optimizesOnDevice() ? 0 : 2)
        - savings.offloadedLayers() / 4;
  }

  private static MemorySavings choose(double memory, @Nullable Path scratch, String... sets) {
    JobSpec spec = JobSpecReader.read(SAMPLE, List.of(sets));
    // Nine tenths are used.
    long bytes = Math.round((memory + 0.01) / 0.9 * 1000);
    return SavingsChoice.of(spec, LAYERS, scratch, bytes, savings -> 1000 * needs(savings));
  }

  /**
   * @param folder where frozen weights are
   */
  private static MemorySavings savings(int recomputedLayers, @Nullable Path folder) {
    return MemorySavings.NONE.recomputing(recomputedLayers).withParameters(Tier.disk(folder));
  }

  /** With the optimizer's memory on the disk, too. */
  private static MemorySavings savings(int recomputedLayers) {
    return savings(recomputedLayers, DISK).withOptimizer(Tier.disk(DISK));
  }

  @Test
  void nothingIsSavedWhereAllFits() {
    assertEquals(MemorySavings.NONE, choose(20, DISK));
  }

  @Test
  void noMoreLayersRunAgainThanItTakes() {
    assertEquals(savings(1, null), choose(19.5, DISK));
    assertEquals(savings(7, null), choose(13, DISK));
    assertEquals(savings(10, null), choose(10, DISK));
  }

  @Test
  void weightsGoToADiskWhereThatIsNotEnough() {
    assertEquals(savings(6, DISK), choose(9, DISK));
    assertEquals(savings(10, DISK), choose(5, DISK));
  }

  @Test
  void whatTheOptimizerRemembersGoesThereNext() {
    assertEquals(savings(9), choose(4, DISK));
    assertEquals(savings(10), choose(3, DISK));
    assertEquals(
        MemorySavings.NONE.recomputing(10).withOptimizer(Tier.disk(DISK)),
        choose(8, DISK, "adapter.type=none", "model.quantization.type=none"));
  }

  @Test
  void whatLayersKeepGoesThereLast() {
    assertEquals(savings(10).withActivations(Tier.disk(DISK), 4), choose(2, DISK));
    assertEquals(savings(10).withActivations(Tier.disk(DISK), 8), choose(1, DISK));
    assertEquals(
        savings(0).withActivations(Tier.disk(DISK), 4), choose(12, DISK, "parallel.tensor=2"));
  }

  @Test
  void whereNothingFitsItIsTheMostThatTheJobAllows() {
    assertEquals(savings(10).withActivations(Tier.disk(DISK), LAYERS - 2), choose(0.5, DISK));
    assertEquals(
        savings(10).withActivations(Tier.disk(DISK), LAYERS),
        choose(0, DISK, "parallel.pipeline=2"));
    assertEquals(savings(10, null), choose(1, null));
    String activations = "offload.activations=none";
    assertEquals(savings(10), choose(1, DISK, activations));
    String optimizer = "offload.optimizer=none";
    assertEquals(savings(10, DISK), choose(1, DISK, activations, optimizer));
    assertEquals(
        savings(10, null), choose(4, DISK, activations, optimizer, "offload.parameters=none"));
    assertEquals(MemorySavings.NONE, choose(4, null, "training.gradient_checkpointing=false"));
  }

  @Test
  void theMostIsWhatAnySettingsWouldAllow() {
    assertEquals(
        Optional.of(savings(LAYERS).withActivations(Tier.disk(DISK), LAYERS - 2)),
        most("offload.parameters=none"));
    assertEquals(
        Optional.of(
            MemorySavings.NONE
                .recomputing(LAYERS)
                .withOptimizer(Tier.disk(DISK))
                .withActivations(Tier.disk(DISK), LAYERS - 2)),
        most("parallel.sharding=zero3"));
    assertEquals(
        Optional.of(
            MemorySavings.NONE
                .recomputing(LAYERS)
                .withParameters(Tier.HOST)
                .withOptimizer(Tier.HOST)
                .withActivations(Tier.HOST, LAYERS - 2)),
        most("resources.device=cuda"));
  }

  private static Optional<MemorySavings> most(String set) {
    return SavingsChoice.most(JobSpecReader.read(SAMPLE, List.of(set)), LAYERS, DISK);
  }

  @Test
  void aGpusWeightsGoToTheHostsMemoryAndToNoDisk() {
    String gpu = "resources.device=cuda";
    MemorySavings onHost = MemorySavings.NONE.withParameters(Tier.HOST);
    assertEquals(savings(10, null), choose(10, DISK, gpu));
    assertEquals(onHost.recomputing(8), choose(7, DISK, gpu));
    assertEquals(onHost.recomputing(10), choose(5, DISK, gpu));
    assertEquals(onHost, choose(99, null, gpu, "offload.parameters=cpu"));
    String weights = "offload.parameters=none";
    String optimizer = "offload.optimizer=none";
    String activations = "offload.activations=none";
    assertEquals(savings(10, null), choose(1, DISK, gpu, weights, optimizer, activations));
  }

  @Test
  void aGpusOptimizerGoesToTheHostNext() {
    String gpu = "resources.device=cuda";
    MemorySavings weights = MemorySavings.NONE.withParameters(Tier.HOST);
    assertEquals(weights.withOptimizer(Tier.HOST).recomputing(9), choose(4, DISK, gpu));
    assertEquals(weights.withOptimizer(Tier.HOST).recomputing(10), choose(3, null, gpu));
    String[] kept = {gpu, "offload.optimizer=none", "offload.activations=none"};
    assertEquals(weights.recomputing(10), choose(1, DISK, kept));
    MemorySavings optimizer = MemorySavings.NONE.withOptimizer(Tier.HOST);
    assertEquals(optimizer, choose(99, DISK, gpu, "offload.optimizer=cpu"));
    assertEquals(optimizer, choose(99, DISK, gpu, "parallel.sharding=zero1"));
  }

  @Test
  void whatAGpusLayersKeepGoesToTheHostLast() {
    String gpu = "resources.device=cuda";
    MemorySavings least =
        MemorySavings.NONE.recomputing(10).withParameters(Tier.HOST).withOptimizer(Tier.HOST);
    assertEquals(least.withActivations(Tier.HOST, 4), choose(2, null, gpu));
    assertEquals(
        MemorySavings.NONE.withActivations(Tier.HOST, LAYERS - 2),
        choose(99, null, gpu, "offload.activations=cpu"));
  }

  @Test
  void whatTheJobSaysIsDone() {
    assertEquals(savings(10, null), choose(99, DISK, "training.gradient_checkpointing=true"));
    assertEquals(savings(0, DISK), choose(99, DISK, "offload.parameters=disk"));
    assertEquals(savings(0, DISK), choose(15, DISK, "training.gradient_checkpointing=false"));
    assertEquals(savings(3, DISK), choose(12, DISK, "offload.parameters=disk"));
    assertEquals(
        MemorySavings.NONE.withOptimizer(Tier.disk(DISK)),
        choose(99, DISK, "offload.optimizer=disk"));
    assertEquals(
        MemorySavings.NONE.withActivations(Tier.disk(DISK), LAYERS - 2),
        choose(99, DISK, "offload.activations=disk"));
  }

  @Test
  void slicesOfALayerMustDoTheSameSoTheirMemoryDoesNotDecide() {
    assertEquals(savings(0, DISK), choose(16, DISK, "parallel.tensor=2"));
  }
}
