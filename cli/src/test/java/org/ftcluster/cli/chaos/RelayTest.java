package org.ftcluster.cli.chaos;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.Set;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.local.Site;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A connection from node 1 to node 2, with a relay between them. */
class RelayTest {
  private static final int ARRIVES_MS = 20_000;
  private static final int HELD_MS = 200;

  private final Cuts cuts = new Cuts();
  private ServerSocket callee;
  private Relay relay;
  private InetSocketAddress address;

  @BeforeEach
  void listen() throws IOException {
    callee = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
    address = new InetSocketAddress(InetAddress.getLoopbackAddress(), Site.freePort("127.0.0.1"));
    relay =
        Relay.open(
            address, (InetSocketAddress) callee.getLocalSocketAddress(), 2, (from, to) -> 1, cuts);
  }

  @AfterEach
  void close() throws IOException {
    cuts.close();
    relay.close();
    callee.close();
  }

  @Test
  void whatIsSentArrivesAndSoDoesTheEnd() throws IOException {
    try (Socket caller = connect();
        Socket called = callee.accept()) {
      send(caller, "question");
      assertArrives(called, "question");
      send(called, "answer");
      caller.shutdownOutput();
      assertArrives(caller, "answer");
      assertEnds(called);
    }
  }

  @Test
  void aCutHoldsOneDirectionAndLosesNothing() throws IOException {
    try (Socket caller = connect();
        Socket called = callee.accept()) {
      cuts.cut(new Direction(1, 2));
      send(caller, "question");
      send(called, "answer");
      assertArrives(caller, "answer");
      assertSilent(called);

      cuts.heal(new Direction(1, 2));
      assertArrives(called, "question");
    }
  }

  @Test
  void theEndOfAProcessIsHeldToo() throws IOException {
    try (Socket caller = connect();
        Socket called = callee.accept()) {
      cuts.cut(new Direction(1, 2));
      caller.close();
      assertSilent(called);

      cuts.heal(new Direction(1, 2));
      assertEnds(called);
    }
  }

  @Test
  void aCallAcrossACutStaysUnanswered() throws IOException {
    cuts.cut(new Direction(2, 1));
    callee.setSoTimeout(HELD_MS);
    try (Socket ignored = connect()) {
      assertThrows(SocketTimeoutException.class, callee::accept);
      cuts.heal(new Direction(2, 1));
      callee.setSoTimeout(ARRIVES_MS);
      callee.accept().close();
    }
  }

  @Test
  void whereAProcessHasEndedNobodyListens() throws IOException {
    relay.close();

    assertThrows(ConnectException.class, this::connect);
  }

  @Test
  void theKernelTellsWhoCalled() throws IOException {
    try (Socket caller = connect()) {
      InetSocketAddress here = (InetSocketAddress) caller.getLocalSocketAddress();
      long self = ProcessHandle.current().pid();

      assertEquals(Optional.of(self), SocketOwners.find(here, address, Set.of(self)));
      assertEquals(Optional.empty(), SocketOwners.find(here, address, Set.of(1L)));
    }
  }

  private Socket connect() throws IOException {
    return new Socket(address.getAddress(), address.getPort());
  }

  private static void send(Socket socket, String text) throws IOException {
    socket.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
  }

  private static void assertArrives(Socket socket, String text) throws IOException {
    socket.setSoTimeout(ARRIVES_MS);
    assertArrayEquals(
        text.getBytes(StandardCharsets.UTF_8), socket.getInputStream().readNBytes(text.length()));
  }

  private static void assertEnds(Socket socket) throws IOException {
    socket.setSoTimeout(ARRIVES_MS);
    assertEquals(-1, socket.getInputStream().read());
  }

  private static void assertSilent(Socket socket) throws IOException {
    socket.setSoTimeout(HELD_MS);
    assertThrows(SocketTimeoutException.class, () -> socket.getInputStream().read());
  }
}
