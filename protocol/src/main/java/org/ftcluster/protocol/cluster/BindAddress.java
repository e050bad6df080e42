package org.ftcluster.protocol.cluster;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import org.ftcluster.protocol.security.Protection;

/** Where servers of a node listen, and whether that is safe. */
public final class BindAddress {
  private BindAddress() {}

  /**
   * Looks up {@code host}, and refuses one that other machines can connect to where nothing
   * protects the connections.
   *
   * @throws NodeStartException when the name is unknown, or the address not allowed
   */
  public static InetAddress resolve(String host, Protection protection) {
    InetAddress address;
    try {
      address = InetAddress.getByName(host);
    } catch (UnknownHostException e) {
      throw new NodeStartException(
          "The host '%s' can't be found; give a name or an address of this machine."
              .formatted(host),
          e);
    }
    if (!address.isLoopbackAddress() && protection instanceof Protection.LoopbackOnly) {
      throw new NodeStartException(
          ("Binding to %s without TLS lets anyone who can reach that address read the training"
                  + " data and run jobs; give a folder of keys by --tls (`ftcluster keys` makes one),"
                  + " use 127.0.0.1, or add --insecure if the network is trusted.")
              .formatted(host));
    }
    return address;
  }

  /**
   * Fails early, and before half a node has started, where {@code port} is in use.
   *
   * @throws NodeStartException that names the port
   */
  public static void requireFree(InetAddress address, int port) {
    try (ServerSocket socket = new ServerSocket()) {
      socket.bind(new InetSocketAddress(address, port));
    } catch (IOException e) {
      throw taken(address.getHostAddress(), port, e);
    }
  }

  /** What to throw when a server could not be bound. */
  public static NodeStartException taken(String host, int port, Throwable cause) {
    return new NodeStartException(
        ("Port %d on %s can't be opened, most likely because another process uses it;"
                + " choose another one, or 0 for any that is free.")
            .formatted(port, host),
        cause);
  }

  /**
   * The address that other nodes connect to: {@code bound}, or this machine's own where that is the
   * wildcard.
   */
  public static String reachable(InetAddress bound) {
    if (!bound.isAnyLocalAddress()) {
      return bound.getHostAddress();
    }
    try {
      return InetAddress.getLocalHost().getHostAddress();
    } catch (UnknownHostException e) {
      throw new NodeStartException(
          "This machine's own name can't be looked up; bind to one of its addresses instead of %s."
              .formatted(bound.getHostAddress()),
          e);
    }
  }
}
