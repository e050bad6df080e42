package org.ftcluster.worker.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.collective.CollectiveException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StepLogTest {
  @TempDir private Path folder;
  private Path file;

  private record Line(long step, double gradNorm) {}

  @BeforeEach
  void givenAFile() {
    file = folder.resolve("log.jsonl");
  }

  @Test
  void linesAreThereAtOnceUnderNamesInSnakeCase() throws IOException {
    try (StepLog log = StepLog.open(file, 0)) {
      assertEquals(0, log.lastStep());
      log.append(1, new Line(1, 0.5));
      assertEquals("{\"step\":1,\"grad_norm\":0.5}\n", Files.readString(file));
      assertEquals(1, log.lastStep());
    }
  }

  @Test
  void linesWaitWhileTheDiskIsFull() throws IOException {
    AtomicBoolean full = new AtomicBoolean();
    StepLog.LineWriter disk =
        (channel, line) -> {
          if (full.get()) {
            DurableFiles.writeFully(channel, Arrays.copyOf(line, 5));
            throw new IOException("No space left on device");
          }
          DurableFiles.writeFully(channel, line);
        };
    try (StepLog log = StepLog.open(file, 0, disk)) {
      log.append(1, new Line(1, 0.5));
      full.set(true);
      log.append(2, new Line(2, 0.5));
      log.append(3, new Line(3, 0.5));
      assertEquals(3, log.lastStep());
      assertEquals("{\"step\":1,\"grad_norm\":0.5}\n", Files.readString(file));
      assertThrows(OutputException.class, log::written);

      full.set(false);
      log.append(4, new Line(4, 0.5));
      assertEquals(4, Files.readAllLines(file).size());
      assertEquals(Files.size(file), log.written().bytes());
    }
  }

  @Test
  void whoHadItOpenBeforeReachesItNoLonger() throws IOException {
    try (StepLog paused = StepLog.open(file, 0)) {
      paused.append(1, new Line(1, 0.5));
      try (StepLog next = StepLog.open(file, 1)) {
        next.append(2, new Line(2, 0.25));
        assertThrows(CollectiveException.class, () -> paused.append(2, new Line(2, 0.125)));
        next.append(3, new Line(3, 0.25));
      }
    }
    assertEquals(3, Files.readAllLines(file).size());
    assertFalse(Files.readString(file).contains("0.125"));
  }

  @Test
  void goingOnCutsLinesOfLaterSteps() throws IOException {
    Files.writeString(file, "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"step\":4}\n");
    try (StepLog log = StepLog.open(file, 2)) {
      assertEquals(2, log.lastStep());
      log.append(3, new Line(3, 1));
    }
    assertEquals(
        "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"grad_norm\":1.0}\n", Files.readString(file));
  }

  @Test
  void aLineThatACrashToreIsCut() throws IOException {
    for (String torn :
        new String[] {"{\"step\":2", "{\"step\":2}", "{\"st\n{\"step\":3}\n", "\0\0\n"}) {
      Files.writeString(file, "{\"step\":1}\n" + torn);
      try (StepLog log = StepLog.open(file, 9)) {
        assertEquals(1, log.lastStep());
      }
      assertEquals("{\"step\":1}\n", Files.readString(file));
    }
  }

  @Test
  void beginningAnewEmptiesTheFile() throws IOException {
    Files.writeString(file, "{\"step\":1}\n");
    StepLog.open(file, 0).close();
    assertEquals("", Files.readString(file));
  }
}
