package org.ftcluster.coordinator.journal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.ftcluster.protocol.cluster.NodeStartException;
import org.ftcluster.protocol.message.Epoch;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** A journal that several coordinators have open, in a real server. */
class PostgresJournalTest {
  private static PostgresServer server;

  @BeforeAll
  static void start() throws Exception {
    server = PostgresServer.start();
  }

  @AfterAll
  static void stop() throws Exception {
    if (server != null) {
      server.close();
    }
  }

  @Test
  void whoeverWasRelievedCanNotWrite() throws Exception {
    try (Journal first = Journal.open(server.store());
        Journal second = Journal.open(server.store());
        Connection connection = server.store().connect()) {
      Epoch old = first.begin("a:1");
      write(connection, old, 1);
      Epoch next = second.begin("b:2");
      SQLException refused = assertThrows(SQLException.class, () -> write(connection, old, 2));
      assertTrue(
          refused.getMessage().contains("must not write, since epoch " + next.number()),
          refused.getMessage());
      write(connection, next, 2);
      assertFalse(first.isNewest(old));
      assertTrue(first.isNewest(next));
      assertEquals("b:2", first.acting());
    }
  }

  @Test
  void anEpochBeginsAfterTheLastWriteOfTheOneBefore() throws Exception {
    try (Journal first = Journal.open(server.store());
        Journal second = Journal.open(server.store());
        Connection connection = server.store().connect()) {
      Epoch old = first.begin("a:1");
      connection.setAutoCommit(false);
      write(connection, old, 10);
      Thread begins = Thread.ofVirtual().start(() -> second.begin("b:2"));
      begins.join(java.time.Duration.ofMillis(300));
      assertTrue(begins.isAlive(), "it waits for the write");
      connection.commit();
      begins.join();
      assertFalse(first.isNewest(old));
    }
  }

  @Test
  void aWriterThatStandsStillInTheMiddleOfAWriteHoldsNobodyUpForLong() throws Exception {
    try (Journal first = Journal.open(server.store());
        Journal second = Journal.open(server.store());
        Connection connection = server.store().connect()) {
      Epoch old = first.begin("a:1");
      connection.setAutoCommit(false);
      write(connection, old, 20);
      assertEquals(old.number() + 1, second.begin("b:2").number());
      assertThrows(SQLException.class, connection::commit);
    }
  }

  @Test
  void coordinatorsFindEachOther() {
    try (Journal journal = Journal.open(server.store())) {
      Roster roster = journal.roster();
      long first = roster.signIn("a:1", "node-a");
      long second = roster.signIn("b:1", "node-b");
      assertEquals(List.of("b:1"), roster.others(first).stream().map(Roster.Entry::grpc).toList());
      assertTrue(roster.others(second).getFirst().seen());
      roster.signOut(first);
      assertEquals(List.of(), roster.others(second));
      roster.signOut(second);
    }
  }

  @Test
  void aJournalOutlivesItsServersRestart() throws Exception {
    try (Journal journal = Journal.open(server.store())) {
      Epoch epoch = journal.begin("a:1");
      server.interrupt();
      assertThrows(IllegalStateException.class, () -> journal.isNewest(epoch));
      server.resume();
      assertTrue(journal.isNewest(epoch));
    }
  }

  @Test
  void aDatabaseThatCanNotBeUsedIsNamedWithoutItsPassword() {
    NodeStartException e =
        assertThrows(
            NodeStartException.class,
            () ->
                Journal.open(
                    new JournalStore.Postgresql(
                        server.url().replace("/postgres", "/nothing") + "?password=abc",
                        server.user(),
                        "")));
    assertTrue(e.getMessage().contains("nothing"), e.getMessage());
    assertFalse(e.getMessage().contains("abc"), e.getMessage());
  }

  private static void write(Connection connection, Epoch epoch, int number) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.execute(
          """
          INSERT INTO event_journal (persistence_id, sequence_number, writer, adapter_manifest,
            event_ser_id, event_ser_manifest, event_payload)
          VALUES ('job|%d', %d, 'w', '%d', 1, '', '')
          """
              .formatted(epoch.number(), number, epoch.number()));
    }
  }
}
