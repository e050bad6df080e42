package org.ftcluster.worker.collective;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import org.ftcluster.protocol.security.Protection;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings the ranks of a generation together: each calls those of lower rank, and hears those of
 * higher rank, on a virtual thread a connection. Ends with a link to everyone, or with nothing
 * open.
 */
final class Rendezvous {
  private static final Logger log = LoggerFactory.getLogger(Rendezvous.class);

  /** Strangers may not keep a connection open for longer without proving themselves. */
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  /** Connections open at a time besides those of ranks. */
  private static final int MAX_STRANGERS = 4096;

  private final ServerSocketChannel server;
  private final Protection protection;
  private final Membership self;
  private final List<InetSocketAddress> peers;
  private final long deadlineNs;
  private final Duration timeout;

  // Guarded by this.
  private final SortedMap<Integer, SortedMap<Integer, Lane>> lanes = new TreeMap<>();
  private final Set<Lane> open = new HashSet<>();
  private int missing;
  private @Nullable CollectiveException failure;
  private boolean over;

  Rendezvous(
      ServerSocketChannel server,
      Protection protection,
      Membership self,
      List<InetSocketAddress> peers,
      Duration timeout) {
    this.server = server;
    this.protection = protection;
    this.self = self;
    this.peers = peers;
    this.timeout = timeout;
    this.deadlineNs = System.nanoTime() + timeout.toNanos();
    for (int peer = 0; peer < self.size(); peer++) {
      if (peer != self.rank()) {
        lanes.put(peer, new TreeMap<>());
        missing += self.lanes();
      }
    }
  }

  /**
   * Returns {@link Membership#LINKS} lists of links to all other ranks.
   *
   * @throws CollectiveException when it can't be, with the reason
   */
  List<List<Link>> meet() throws IOException {
    try {
      if (self.rank() < self.size() - 1) {
        Thread.startVirtualThread(this::listen);
      }
      for (int peer = 0; peer < self.rank(); peer++) {
        int callee = peer;
        Thread.startVirtualThread(() -> call(callee));
      }
      awaitEveryone();
      return links();
    } finally {
      finish();
    }
  }

  private synchronized void awaitEveryone() {
    try {
      while (missing > 0 && failure == null) {
        long leftMs = (deadlineNs - System.nanoTime()) / 1_000_000;
        if (leftMs <= 0) {
          throw new CollectiveException(
              "rank %d waited %s for ranks %s of generation %d in vain"
                  .formatted(self.rank(), timeout, absent(), self.generation()));
        }
        wait(leftMs);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CollectiveException("interrupted while the ranks were connecting", e);
    }
    if (failure != null) {
      throw failure;
    }
  }

  private synchronized List<List<Link>> links() throws IOException {
    List<List<Link>> all = new ArrayList<>();
    for (int link = 0; link < Membership.LINKS; link++) {
      int first = link * self.lanesOfLink();
      List<Link> links = new ArrayList<>();
      for (Map.Entry<Integer, SortedMap<Integer, Lane>> peer : lanes.entrySet()) {
        List<Lane> own =
            List.copyOf(peer.getValue().subMap(first, first + self.lanesOfLink()).values());
        links.add(new Link(peer.getKey(), own.subList(1, own.size()), own.getFirst()));
      }
      all.add(links);
    }
    // What belongs to a link is no longer ours to close.
    all.forEach(links -> links.forEach(link -> open.removeAll(link.lanes())));
    return all;
  }

  /** Closes what no link has taken; threads that use it end with that. */
  private synchronized void finish() {
    over = true;
    Sockets.close(server);
    open.forEach(Sockets::close);
  }

  private void listen() {
    try {
      while (true) {
        Lane lane = Lane.ofCalled(server.accept(), protection);
        if (adopt(lane)) {
          Thread.startVirtualThread(() -> hear(lane));
        }
      }
    } catch (IOException e) {
      fail("rank %d no longer listens: %s".formatted(self.rank(), e), e);
    }
  }

  private void hear(Lane lane) {
    try {
      Handshake handshake = new Handshake(lane, patience());
      Handshake.Claim claim = handshake.hear(self);
      Membership.Hello hello = claim.hello();
      String objection = claim.objection();
      if (objection == null && !reserve(hello.from(), hello.lane(), lane)) {
        objection = "rank %d is already connected".formatted(hello.from());
      }
      if (objection != null) {
        log.warn(
            "refused {}, which claims to be rank {}: {}",
            lane.socket().getRemoteAddress(),
            hello.from(),
            objection);
        handshake.refuse(objection);
        drop(lane);
        return;
      }
      handshake.accept(claim);
      connected();
    } catch (IOException | RuntimeException | AssertionError e) { // strangers may send anything
      if (release(lane)) {
        log.warn("a connection to the collectives' port came to nothing: {}", e.toString());
      }
      drop(lane);
    }
  }

  private void call(int peer) {
    InetSocketAddress address = peers.get(peer);
    try {
      for (int number = 0; number < self.lanes(); number++) {
        Lane lane = Lane.ofCaller(SocketChannel.open(), protection);
        if (!adopt(lane)) {
          return;
        }
        lane.socket().socket().connect(address, Math.toIntExact(patience().toMillis()));
        new Handshake(lane, left()).call(self, peer, number);
        reserve(peer, number, lane);
        connected();
      }
    } catch (CollectiveException e) {
      fail(String.valueOf(e.getMessage()), e);
    } catch (IOException | RuntimeException e) {
      fail("can't reach rank %d at %s: %s".formatted(peer, address, Sockets.reason(e)), e);
    }
  }

  /** Takes charge of closing a lane; closes it at once where it comes too late. */
  private synchronized boolean adopt(Lane lane) throws IOException {
    if (over || open.size() >= self.size() * self.lanes() + MAX_STRANGERS) {
      lane.close();
      return false;
    }
    open.add(lane);
    return true;
  }

  private synchronized boolean reserve(int peer, int number, Lane lane) {
    return !over && lanes.get(peer).putIfAbsent(number, lane) == null;
  }

  /**
   * A peer that went away in mid-handshake may come again.
   *
   * @return whether that is still of interest
   */
  private synchronized boolean release(Lane lane) {
    lanes.values().forEach(peer -> peer.values().remove(lane));
    return !over;
  }

  private synchronized void drop(Lane lane) {
    open.remove(lane);
    Sockets.close(lane);
  }

  private synchronized void connected() {
    missing--;
    notifyAll();
  }

  private synchronized void fail(String message, Exception cause) {
    if (!over && failure == null) {
      failure = new CollectiveException(message, cause);
      notifyAll();
    }
  }

  private synchronized List<Integer> absent() {
    return lanes.keySet().stream().filter(peer -> lanes.get(peer).size() < self.lanes()).toList();
  }

  private Duration left() {
    return Duration.ofNanos(Math.max(1_000_000, deadlineNs - System.nanoTime()));
  }

  private Duration patience() {
    Duration left = left();
    return left.compareTo(PATIENCE) < 0 ? left : PATIENCE;
  }
}
