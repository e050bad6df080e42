package org.ftcluster.protocol.cluster;

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.apache.pekko.actor.Address;

/** What becomes of a connection to a node: the operating system answers for a paused process. */
public enum Probe {
  REACHED,
  /** Nobody listens there any more. */
  REFUSED,
  /** The machine can't be reached, or is gone. */
  SILENT;

  private static final int PATIENCE_MS = 1_000;

  /** Takes a second at most. */
  public static Probe of(Address node) {
    return of(node.getHost().orElse(""), node.getPort().map(Integer.class::cast).orElse(0));
  }

  /**
   * As {@link #of(Address)}.
   *
   * @param address {@code host:port}
   */
  public static Probe of(String address) {
    int colon = address.lastIndexOf(':');
    return of(address.substring(0, colon), Integer.parseInt(address.substring(colon + 1)));
  }

  private static Probe of(String host, int port) {
    try (Socket socket = new Socket()) {
      socket.connect(new InetSocketAddress(host, port), PATIENCE_MS);
      return REACHED;
    } catch (ConnectException e) {
      return REFUSED;
    } catch (IOException e) {
      return SILENT;
    }
  }

  /** As {@link #of}, in a thread of its own. */
  public static CompletionStage<Probe> start(Address node) {
    return CompletableFuture.supplyAsync(
        () -> of(node), task -> Thread.ofVirtual().name("probe").start(task));
  }
}
