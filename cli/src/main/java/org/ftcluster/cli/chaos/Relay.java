package org.ftcluster.cli.chaos;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import org.ftcluster.cli.chaos.Cut.Direction;
import org.ftcluster.cli.console.CommandException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A port of a node, where other nodes find it: hands connections on to where the node listens. */
final class Relay implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Relay.class);
  private static final int BACKLOG = 256;
  private static final Duration CLOSES = Duration.ofSeconds(10);

  private final ServerSocketChannel server;
  private final InetSocketAddress target;
  private final int node;
  private final Callers callers;
  private final Cuts cuts;
  private final Thread listening;

  /** Knows which node has a connection's other end. */
  @FunctionalInterface
  interface Callers {
    int node(InetSocketAddress caller, InetSocketAddress called);
  }

  private Relay(
      ServerSocketChannel server, InetSocketAddress target, int node, Callers callers, Cuts cuts) {
    this.server = server;
    this.target = target;
    this.node = node;
    this.callers = callers;
    this.cuts = cuts;
    listening = Thread.ofVirtual().name("relay").unstarted(this::listen);
  }

  /**
   * Listens from now on.
   *
   * @param target where {@code node} itself does, now or soon
   */
  static Relay open(
      InetSocketAddress address, InetSocketAddress target, int node, Callers callers, Cuts cuts) {
    try {
      Relay relay =
          new Relay(ServerSocketChannel.open().bind(address, BACKLOG), target, node, callers, cuts);
      relay.listening.start();
      return relay;
    } catch (IOException e) {
      throw CommandException.failed("no relay can listen on %s: %s".formatted(address, e))
          .because(e);
    }
  }

  private void listen() {
    try {
      while (true) {
        SocketChannel caller = server.accept();
        Thread.ofVirtual().name("relayed").start(() -> handOn(caller));
      }
    } catch (IOException e) {
      LOG.debug("the relay of node {} has ended: {}", node, e.toString());
    }
  }

  private void handOn(SocketChannel caller) {
    try (caller) {
      int from =
          callers.node(
              (InetSocketAddress) caller.getRemoteAddress(),
              (InetSocketAddress) caller.getLocalAddress());
      Direction there = new Direction(from, node);
      Direction back = new Direction(node, from);
      cuts.awaitOpen(there);
      cuts.awaitOpen(back);
      try (SocketChannel callee = SocketChannel.open(target)) {
        RelayedBytes answers = new RelayedBytes(callee, caller, back, there, cuts);
        Thread answering = Thread.ofVirtual().name("relayed back").start(answers::run);
        new RelayedBytes(caller, callee, there, back, cuts).run();
        answering.join();
      }
    } catch (IOException | InterruptedException e) {
      LOG.debug("a connection to node {} came to nothing: {}", node, e.toString());
    }
  }

  /** Nobody listens any more; what is connected stays so. */
  @Override
  public void close() {
    try {
      server.close();
      // The system's socket is open until the thread has left it.
      listening.join(CLOSES);
    } catch (IOException e) {
      LOG.debug("not closed: {}", e.toString());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
