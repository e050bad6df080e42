package org.ftcluster.worker.training;

import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.List;
import java.util.function.Function;
import org.ftcluster.protocol.message.WorkerCommand.PeerAddress;
import org.ftcluster.worker.collective.CollectiveException;
import org.ftcluster.worker.collective.CollectiveListener;
import org.ftcluster.worker.collective.Communicator;
import org.ftcluster.worker.parallel.Mesh;
import org.ftcluster.worker.parallel.RankLinks;
import org.jspecify.annotations.Nullable;

/**
 * What a rank has open of the generation at hand. Of the rank's thread, but for {@link #abort},
 * which any thread may call at any time.
 */
final class OpenGeneration implements AutoCloseable {
  private final int rank;
  private final long number;
  private final byte[] secret;
  private final Mesh mesh;
  private final CollectiveListener listener;

  // Guarded by this.
  private @Nullable Communicator hosts;
  private @Nullable RankLinks links;
  private @Nullable String aborted;

  OpenGeneration(int rank, long number, byte[] secret, Mesh mesh, CollectiveListener listener) {
    this.rank = rank;
    this.number = number;
    this.secret = secret.clone();
    this.mesh = mesh;
    this.listener = listener;
  }

  int rank() {
    return rank;
  }

  long number() {
    return number;
  }

  Mesh mesh() {
    return mesh;
  }

  int port() {
    return listener.port();
  }

  /**
   * Connects all ranks.
   *
   * @param peers by rank
   * @param sockets between two ranks
   * @param link what makes links of the hosts', see {@link JobModel#link}
   * @throws CollectiveException when they don't come together, or once this is aborted
   */
  RankLinks connect(
      List<PeerAddress> peers,
      int sockets,
      Function<Communicator, RankLinks> link,
      Duration deadline) {
    List<InetSocketAddress> addresses =
        peers.stream().map(peer -> new InetSocketAddress(peer.host(), peer.port())).toList();
    Communicator connected = listener.connect(rank, addresses, number, secret, sockets, deadline);
    synchronized (this) {
      hosts = connected;
      check();
    }
    RankLinks linked = link.apply(connected);
    synchronized (this) {
      links = linked;
      check();
    }
    return linked;
  }

  private void check() {
    if (aborted != null) {
      throw new CollectiveException(aborted);
    }
  }

  /** Ends it on all ranks. */
  synchronized void abort(String reason) {
    aborted = reason;
    listener.close();
    if (links != null) {
      links.abort(reason);
    } else if (hosts != null) {
      hosts.abort(reason);
    }
  }

  @Override
  public void close() {
    listener.close();
    RankLinks linked;
    Communicator connected;
    synchronized (this) {
      linked = links;
      connected = hosts;
    }
    if (linked != null) {
      linked.close();
    } else if (connected != null) {
      connected.close();
    }
  }
}
