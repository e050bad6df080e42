package org.ftcluster.worker.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.ftcluster.worker.collective.CollectiveException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FenceTest {
  @TempDir private Path folder;

  @Test
  void whoClaimsLastMayWriteAndNobodyElse() {
    Fence first = Fence.claim(folder.resolve("new"), "job-a", 1);
    first.check();
    Fence second = Fence.claim(folder.resolve("new"), "job-a", 2);
    second.check();
    assertRefused("generation 2 has begun", first::check);
  }

  @Test
  void anOlderGenerationCannotClaim() {
    Fence.claim(folder, "job-a", 7);
    assertRefused("generation 7 has begun", () -> Fence.claim(folder, "job-a", 6));
    Fence.claim(folder, "job-a", 7).check();
  }

  @Test
  void generationsOfAnotherJobDoNotCount() {
    Fence earlier = Fence.claim(folder, "job-a", 7);
    Fence.claim(folder, "job-b", 1).check();
    assertRefused("job 'job-b' writes there", earlier::check);
  }

  @Test
  void aFileThatIsGoneOrSaysNothingIsNoRight() throws IOException {
    Fence fence = Fence.claim(folder, "job-a", 1);
    Files.writeString(folder.resolve("generation.json"), "{");
    assertRefused("is gone", fence::check);
    Files.delete(folder.resolve("generation.json"));
    assertRefused("is gone", fence::check);
    Fence.claim(folder, "job-a", 1).check();
  }

  /** Claims and looks in any order: at most one holder passes, and never one older than another. */
  @Test
  void neverDoTwoGenerationsHoldIt() {
    Random random = new Random(11);
    List<Fence> fences = new ArrayList<>();
    long newest = 0;
    for (int i = 0; i < 300; i++) {
      long generation = 1 + random.nextInt(i / 10 + 2);
      try {
        fences.add(Fence.claim(folder, "job-a", generation));
        assertTrue(generation >= newest);
        newest = generation;
      } catch (CollectiveException e) {
        assertTrue(generation < newest, e.getMessage());
      }
      assertEquals(
          1, fences.stream().filter(FenceTest::passes).map(Fence::generation).distinct().count());
    }
  }

  private static boolean passes(Fence fence) {
    try {
      fence.check();
      return true;
    } catch (CollectiveException e) {
      return false;
    }
  }

  private static void assertRefused(String why, Runnable action) {
    CollectiveException refused = assertThrows(CollectiveException.class, action::run);
    assertTrue(refused.getMessage().contains(why), refused.getMessage());
  }
}
