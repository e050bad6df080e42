package org.ftcluster.worker.collective;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A link whose peer keeps silent. */
class LinkTest {
  private static final Duration MORE = Duration.ofSeconds(1);

  private Selector selector;
  private SocketChannel peersData;
  private SocketChannel peersControl;
  private Link link;

  @BeforeEach
  void connect() throws IOException {
    selector = Selector.open();
    try (ServerSocketChannel server = ServerSocketChannel.open()) {
      server.bind(new InetSocketAddress("127.0.0.1", 0));
      peersData = SocketChannel.open(server.getLocalAddress());
      Lane data = new PlainLane(server.accept());
      peersControl = SocketChannel.open(server.getLocalAddress());
      link = new Link(3, List.of(data), new PlainLane(server.accept()));
    }
    link.register(selector);
  }

  @AfterEach
  void close() throws IOException {
    link.close(null);
    peersData.close();
    peersControl.close();
    selector.close();
  }

  @Test
  void aPeerThatWasNeverHeardMayStillBeConnecting() {
    assertDoesNotThrow(() -> link.checkHeard(after(Engine.SILENCE.plus(MORE))));
    assertLost(Engine.FIRST_SILENCE);
  }

  @Test
  void onceItHasGivenASignOfLifeItIsToGiveOthers() throws IOException {
    peersControl.write(ByteBuffer.wrap(new byte[] {Link.BEAT}));
    await(() -> link.readControl());
    assertLost(Engine.SILENCE);
  }

  @Test
  void soItIsOnceItHasSentAnything() throws IOException {
    Transfer received = Transfer.of(ByteBuffer.allocate(1));
    link.receive(received);
    peersData.write(ByteBuffer.wrap(new byte[] {7}));
    await(() -> link.progress());
    assertTrue(received.isDone());
    assertLost(Engine.SILENCE);
  }

  private interface Move {
    void run() throws IOException;
  }

  /** Moves what has arrived. */
  private void await(Move move) throws IOException {
    link.updateInterest(selector);
    assertTrue(selector.select(10_000) > 0, "nothing arrives");
    move.run();
  }

  private void assertLost(Duration silence) {
    CollectiveException e =
        assertThrows(CollectiveException.class, () -> link.checkHeard(after(silence.plus(MORE))));
    assertTrue(
        String.valueOf(e.getMessage())
            .endsWith("it gave no sign of life for %d s".formatted(silence.toSeconds())),
        e.getMessage());
  }

  private static long after(Duration time) {
    return System.nanoTime() + time.toNanos();
  }
}
