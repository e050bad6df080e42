package org.ftcluster.worker.optimizer;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Optional;
import org.ftcluster.protocol.job.JobSpec.Reduction;
import org.junit.jupiter.api.Test;

/** Gradients so small that fixed point has few bits left for them. */
class SumPrecisionTest {
  private static final long SIZE = 1_000_000;

  @Test
  void whatExactSumsLoseIsSaid() {
    String lost = SumPrecision.loss(Reduction.EXACT, 1e-9, SIZE).orElseThrow();

    assertTrue(lost.contains("about 1.0e-12"), lost);
    assertTrue(lost.contains("no less than 5.7e-14"), lost);
    assertTrue(SumPrecision.loss(Reduction.EXACT, 0, SIZE).isPresent(), "all may be lost");
  }

  @Test
  void ordinaryGradientsLoseNothing() {
    assertEquals(Optional.empty(), SumPrecision.loss(Reduction.EXACT, 1e-6, SIZE));
    assertEquals(Optional.empty(), SumPrecision.loss(Reduction.FAST, 1e-9, SIZE));
  }
}
