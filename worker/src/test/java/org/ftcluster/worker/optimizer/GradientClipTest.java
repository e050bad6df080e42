package org.ftcluster.worker.optimizer;

import static org.ftcluster.worker.optimizer.Floats.floats;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class GradientClipTest {
  @Test
  void theNormIsOverAllElements() {
    assertEquals(5, GradientClip.norm(floats(3f, 0f, -4f)));
    float[] twos = new float[1003];
    Arrays.fill(twos, 2f);
    assertEquals(2 * Math.sqrt(1003), GradientClip.norm(floats(twos)), 1e-12);
    assertEquals(Double.NaN, GradientClip.norm(floats(1f, Float.NaN)));
    assertEquals(0, GradientClip.norm(floats()));
  }

  @Test
  void gradientsAreScaledDownOnlyWhereTheirNormExceedsTheLimit() {
    assertEquals(1f, GradientClip.scale(0.9, 1));
    assertEquals((float) (1 / 4.000001), GradientClip.scale(4, 1));
    assertEquals(1f, GradientClip.scale(4, 0));
  }
}
