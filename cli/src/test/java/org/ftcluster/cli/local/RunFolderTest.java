package org.ftcluster.cli.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.console.ExitCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * One local cluster at a time has a checkpoint folder, and only what jobs left there is deleted.
 */
class RunFolderTest {
  @TempDir private Path temporary;

  @Test
  void oneClusterAtATime() {
    Path out = temporary.resolve("out");
    try (RunFolder first = RunFolder.claim(out)) {
      CommandException e = assertThrows(CommandException.class, () -> RunFolder.claim(out));

      assertEquals(ExitCode.BAD_REQUEST, e.exitCode());
      assertTrue(e.getMessage().startsWith("another job runs in " + first.path()), e.getMessage());
    }
    RunFolder.claim(out).close();
  }

  @Test
  void aFolderThatCannotBeMadeIsAWrongRequest() throws IOException {
    Path file = Files.writeString(temporary.resolve("file"), "");

    CommandException e =
        assertThrows(CommandException.class, () -> RunFolder.claim(file.resolve("out")));

    assertEquals(ExitCode.BAD_REQUEST, e.exitCode());
    assertTrue(e.getMessage().startsWith("checkpoint.path: "), e.getMessage());
  }

  @Test
  void clearingDeletesWhatAJobLeftAndNothingElse() throws IOException {
    for (String folder :
        List.of("adapter", "model", "step-20", "step-30.g2.partial", "step-by-step", "logs")) {
      Files.createDirectories(temporary.resolve(folder));
      Files.writeString(temporary.resolve(folder).resolve("file"), "");
    }
    Files.writeString(temporary.resolve("metrics.jsonl"), "");
    Files.writeString(temporary.resolve("notes.txt"), "");

    try (RunFolder folder = RunFolder.claim(temporary)) {
      folder.clear();
    }

    assertEquals(List.of(".lock", "logs", "notes.txt", "step-by-step"), entries());
  }

  private List<String> entries() throws IOException {
    try (Stream<Path> entries = Files.list(temporary)) {
      return entries.map(entry -> entry.getFileName().toString()).sorted().toList();
    }
  }
}
