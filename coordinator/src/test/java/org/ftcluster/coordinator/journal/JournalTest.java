package org.ftcluster.coordinator.journal;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JournalTest {
  @TempDir Path folder;

  @Test
  void aJournalIsCreatedAndOpenedAgain() {
    Path data = folder.resolve("new").resolve("data");
    Journal.open(data).close();
    assertTrue(Files.exists(data.resolve("journal.mv.db")));
    Journal.open(data).close();
  }

  @Test
  void aJournalThatAnotherProcessHasOpenIsNamed() throws IOException {
    Journal.open(folder).close();
    // H2 locks the file as another process would.
    try (FileChannel file =
        FileChannel.open(
            folder.resolve("journal.mv.db"), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      file.lock();
      NodeStartException e = assertThrows(NodeStartException.class, () -> Journal.open(folder));
      assertTrue(e.getMessage().startsWith("Another coordinator uses the data folder " + folder));
    }
  }

  @Test
  void aFolderThatCannotBeCreatedIsNamed() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    NodeStartException e =
        assertThrows(NodeStartException.class, () -> Journal.open(file.resolve("data")));
    assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
  }
}
