package org.ftcluster.coordinator.journal;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.protocol.message.Epoch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JournalTest {
  @TempDir Path folder;

  @Test
  void aJournalIsCreatedAndOpenedAgain() {
    Path data = folder.resolve("new").resolve("data");
    Journal.open(new JournalStore.H2File(data)).close();
    assertTrue(Files.exists(data.resolve("journal.mv.db")));
    Journal.open(new JournalStore.H2File(data)).close();
  }

  @Test
  void aJournalThatAnotherProcessHasOpenIsNamed() throws IOException {
    Journal.open(new JournalStore.H2File(folder)).close();
    // H2 locks the file as another process would.
    try (FileChannel file =
        FileChannel.open(
            folder.resolve("journal.mv.db"), StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      file.lock();
      NodeStartException e =
          assertThrows(
              NodeStartException.class, () -> Journal.open(new JournalStore.H2File(folder)));
      assertTrue(e.getMessage().startsWith("Another coordinator uses the data folder " + folder));
    }
  }

  @Test
  void aFolderThatCannotBeCreatedIsNamed() throws IOException {
    Path file = Files.createFile(folder.resolve("file"));
    NodeStartException e =
        assertThrows(
            NodeStartException.class,
            () -> Journal.open(new JournalStore.H2File(file.resolve("data"))));
    assertTrue(e.getMessage().contains(file.toString()), e.getMessage());
  }

  @Test
  void whoeverBeginsLastActsAndTheOthersAreRelieved() {
    Epoch second;
    try (Journal journal = Journal.open(new JournalStore.H2File(folder))) {
      Epoch first = journal.begin("127.0.0.1:1");
      assertTrue(journal.isNewest(first));
      second = journal.begin("127.0.0.1:1");
      assertFalse(journal.isNewest(first));
      assertTrue(first.isBefore(second));
    }
    try (Journal journal = Journal.open(new JournalStore.H2File(folder))) {
      assertTrue(second.isBefore(journal.begin("127.0.0.1:1")));
    }
    try (Journal other = Journal.open(new JournalStore.H2File(folder.resolve("other")))) {
      assertFalse(other.begin("127.0.0.1:1").isBefore(second), "of another journal");
    }
  }
}
