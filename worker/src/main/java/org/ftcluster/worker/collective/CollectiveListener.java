package org.ftcluster.worker.collective;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.time.Duration;
import java.util.List;
import org.ftcluster.protocol.security.Protection;

/**
 * An open port, on which the other ranks of a generation will connect. Opened before the ranks know
 * each other, so that {@link #address} can be made known; then {@link #connect} makes the {@link
 * Communicator}.
 */
public final class CollectiveListener implements AutoCloseable {
  /** Joins that may wait in the kernel until {@link #connect} is called. */
  private static final int BACKLOG = 1024;

  private final ServerSocketChannel server;
  private final InetSocketAddress address;
  private final Protection protection;

  private CollectiveListener(ServerSocketChannel server, Protection protection) throws IOException {
    this.server = server;
    this.protection = protection;
    this.address = (InetSocketAddress) server.getLocalAddress();
  }

  static CollectiveListener open(ListenAddress listen) {
    try {
      ServerSocketChannel server = ServerSocketChannel.open();
      try {
        server.bind(new InetSocketAddress(listen.host(), listen.port()), BACKLOG);
        return new CollectiveListener(server, listen.protection());
      } catch (IOException | RuntimeException e) {
        server.close();
        throw e;
      }
    } catch (IOException | RuntimeException e) {
      throw new CollectiveException(
          "can't listen on %s:%d for other ranks: %s"
              .formatted(listen.host(), listen.port(), e.getMessage()),
          e);
    }
  }

  /** Where other ranks reach this one. */
  public InetSocketAddress address() {
    return address;
  }

  public int port() {
    return address.getPort();
  }

  /**
   * Connects to all other ranks; returns when everyone is there. To be called once: the port is
   * closed afterwards.
   *
   * <p>A peer proves that it knows the secret, without showing it; who doesn't, or is of another
   * generation, world or rank, is refused and told why.
   *
   * @param peers each rank's {@link #address}, by rank, this one's included
   * @param secret what only the ranks of this generation know
   * @param sockets that carry the bytes of operations between two ranks, the same on all; several
   *     where a network holds each connection below what it can do
   * @throws CollectiveException when a peer can't be reached, refuses this rank, or has not come
   *     within {@code timeout}; or when {@link #close} was called meanwhile
   */
  public Communicator connect(
      int rank,
      List<InetSocketAddress> peers,
      long generation,
      byte[] secret,
      int sockets,
      Duration timeout) {
    if (rank < 0 || rank >= peers.size() || sockets < 1) {
      throw new IllegalArgumentException(
          "rank %d of %d, with %d sockets".formatted(rank, peers.size(), sockets));
    }
    Membership self = new Membership(rank, peers.size(), generation, sockets, secret);
    try {
      List<List<Link>> links = meet(self, peers, timeout);
      try {
        return TcpCommunicator.over(links, rank, peers.size(), generation);
      } catch (IOException e) {
        links.forEach(all -> all.forEach(link -> link.close(e.getMessage())));
        throw e;
      }
    } catch (IOException e) {
      throw new CollectiveException(
          "rank %d can't start its collectives: %s".formatted(rank, e.getMessage()), e);
    }
  }

  /** As {@link Rendezvous#meet}; the port is closed afterwards. */
  List<List<Link>> meet(Membership self, List<InetSocketAddress> peers, Duration timeout)
      throws IOException {
    return new Rendezvous(server, protection, self, peers, timeout).meet();
  }

  /** Closes the port. A {@link #connect} under way ends with a {@link CollectiveException}. */
  @Override
  public void close() {
    Sockets.close(server);
  }
}
