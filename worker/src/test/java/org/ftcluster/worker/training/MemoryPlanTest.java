package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec.Sharding;
import org.ftcluster.worker.model.DiskUse;
import org.ftcluster.worker.model.MemoryEstimate;
import org.ftcluster.worker.model.MemoryEstimate.MicroBatchShape;
import org.ftcluster.worker.model.MemorySavings;
import org.ftcluster.worker.model.Tier;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.MeshCosts;
import org.ftcluster.worker.parallel.StepTime.Layout;
import org.ftcluster.worker.parallel.Workload;
import org.junit.jupiter.api.Test;

class MemoryPlanTest {
  private static final long GB = 1_000_000_000;
  private static final Path DISK = Path.of("/disk");

  private static MemoryPlan plan(
      boolean checkpointing, double memory, int largest, int largestRecomputed) {
    MemoryEstimate kept = new MemoryEstimate(GB, GB, 5 * GB, GB, GB, DiskUse.NONE);
    MemoryEstimate recomputed = new MemoryEstimate(GB, GB, GB, GB, GB, DiskUse.NONE);
    return new MemoryPlan(
        MicroBatchShape.full(4, 512),
        checkpointing ? MemorySavings.RECOMPUTED : MemorySavings.NONE,
        checkpointing ? recomputed : kept,
        kept,
        recomputed,
        new MemoryPlan.Offloaded(
            MemorySavings.NONE.withParameters(Tier.disk(DISK)).withOptimizer(Tier.disk(DISK)),
            new MemoryEstimate(0, GB, GB, 0, GB, new DiskUse(GB, GB, 0, 1))),
        (long) (memory * GB),
        largest,
        largestRecomputed,
        new MeshCosts(
            0,
            0,
            0,
            0,
            0,
            new Workload(
                4, 1e6, 0, 1e6, 64, 64, 1e4, 4, 512, 512, 128, false, false, false, 2, 0.5, 8, 8),
            new Layout(new Mesh(1, 1, 1), 1, Sharding.NONE)));
  }

  @Test
  void aSettingSaysWhereThingsGo() {
    MemorySavings host = MemorySavings.NONE.withParameters(Tier.HOST);
    assertEquals("offload.parameters: cpu", host.offloadSetting());
    assertEquals(
        "offload: {parameters: cpu, optimizer: disk}",
        host.withOptimizer(Tier.disk(DISK)).offloadSetting());
  }

  private static String refusal(MemoryPlan plan) {
    assertFalse(plan.fits());
    return assertThrows(BadJobException.class, plan::check).getMessage();
  }

  @Test
  void whatFitsIsLetThrough() {
    MemoryPlan kept = plan(false, 9, 4, 16);
    assertTrue(kept.fits());
    kept.check();
    assertEquals(9 * GB, kept.estimate().total());
    assertEquals(5 * GB, plan(true, 5, 0, 4).estimate().total());
  }

  @Test
  void aRefusalSaysWhatWouldFit() {
    assertEquals(
        "The job needs 9.00 GB of memory on a worker, and there are 6.00 GB:"
            + " training.gradient_checkpointing: true would need 5.00 GB.",
        refusal(plan(false, 6, 2, 5)));
    assertEquals(
        "The job needs 9.00 GB of memory on a worker, and there are 4.00 GB:"
            + " training.micro_batch_size: 2 with training.gradient_checkpointing: true would fit.",
        refusal(plan(false, 4, 0, 2)));
    assertEquals(
        "The job needs 5.00 GB of memory on a worker, and there are 2.50 GB:"
            + " no micro-batch size would fit; a smaller model would, or a smaller data.max_length.",
        refusal(plan(true, 2.5, 0, 0)));
    assertEquals(
        "The job needs 5.00 GB of memory on a worker, and there are 3.50 GB: offload: {parameters:"
            + " disk, optimizer: disk} with training.gradient_checkpointing: true would need"
            + " 3.00 GB.",
        refusal(plan(true, 3.5, 0, 0)));
  }
}
