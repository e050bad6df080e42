package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.ftcluster.cli.jvm.ChildJvm;
import org.ftcluster.cli.jvm.Launch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A process that may not write for a while. */
class WriteLimitsTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final long LOOK_MS = 20;

  @TempDir private Path folder;

  @Test
  void nothingCanBeWrittenUntilThereIsRoomAgain() throws Exception {
    assumeTrue(WriteLimits.isPossible(), "this system has no prlimit");
    Launch launch =
        new Launch(
            "writer",
            Writer.class.getName(),
            List.of(),
            List.of(folder.toString()),
            Map.of(),
            folder,
            List.of());
    try (ChildJvm writer = ChildJvm.start(launch)) {
      WriteLimits disk = new WriteLimits();
      disk.joined(writer);
      await("written");
      disk.fill();
      await("refused");
      Files.delete(folder.resolve("written"));
      disk.free();
      await("written");
      assertTrue(writer.alive());
    }
  }

  private void await(String file) throws InterruptedException {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!Files.exists(folder.resolve(file))) {
      assertTrue(System.nanoTime() < deadline, file);
      Thread.sleep(LOOK_MS);
    }
  }

  /** Writes again and again, and leaves an empty file to say how it went. */
  static final class Writer {
    private Writer() {}

    public static void main(String[] args) throws Exception {
      Thread.ofPlatform().daemon().start(Writer::endWithParent);
      Path folder = Path.of(args[0]);
      while (true) {
        String went = wrote(folder.resolve("data")) ? "written" : "refused";
        Files.write(folder.resolve(went), new byte[0]);
        Thread.sleep(LOOK_MS);
      }
    }

    private static void endWithParent() {
      try {
        Runtime.getRuntime().halt(System.in.read());
      } catch (IOException e) {
        Runtime.getRuntime().halt(1);
      }
    }

    private static boolean wrote(Path file) {
      try {
        Files.write(file, new byte[1]);
        return true;
      } catch (IOException e) {
        return false;
      }
    }
  }
}
