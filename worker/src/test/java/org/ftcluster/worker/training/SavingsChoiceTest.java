package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.List;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.protocol.job.JobSpecReader;
import org.ftcluster.worker.model.MemorySavings;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class SavingsChoiceTest {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile/job.yaml");
  private static final Path DISK = Path.of("/disk");
  private static final int LAYERS = 10;

  /** 20 without savings; each layer that is computed again saves 1, and weights on a disk 5. */
  private static long needs(MemorySavings savings) {
    return 20 - savings.recomputedLayers() - (savings.isOffloaded() ? 5 : 0);
  }

  private static MemorySavings choose(double memory, @Nullable Path scratch, String... sets) {
    JobSpec spec = JobSpecReader.read(SAMPLE, List.of(sets));
    // Nine tenths are used.
    long bytes = Math.round((memory + 0.01) / 0.9 * 1000);
    return SavingsChoice.of(spec, LAYERS, scratch, bytes, savings -> 1000 * needs(savings));
  }

  private static MemorySavings savings(int recomputedLayers, @Nullable Path folder) {
    return new MemorySavings(recomputedLayers, folder);
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
  void whereNothingFitsItIsTheMostThatTheJobAllows() {
    assertEquals(savings(10, DISK), choose(4, DISK));
    assertEquals(savings(10, null), choose(4, null));
    assertEquals(savings(10, null), choose(4, DISK, "offload.parameters=none"));
    assertEquals(MemorySavings.NONE, choose(4, null, "training.gradient_checkpointing=false"));
  }

  @Test
  void whatTheJobSaysIsDone() {
    assertEquals(savings(10, null), choose(99, DISK, "training.gradient_checkpointing=true"));
    assertEquals(savings(0, DISK), choose(99, DISK, "offload.parameters=disk"));
    assertEquals(savings(0, DISK), choose(15, DISK, "training.gradient_checkpointing=false"));
    assertEquals(savings(3, DISK), choose(12, DISK, "offload.parameters=disk"));
  }

  @Test
  void slicesOfALayerMustDoTheSameSoTheirMemoryDoesNotDecide() {
    assertEquals(savings(0, DISK), choose(16, DISK, "parallel.tensor=2"));
  }
}
