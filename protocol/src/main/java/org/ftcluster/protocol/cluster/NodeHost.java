package org.ftcluster.protocol.cluster;

import java.net.InetAddress;
import org.ftcluster.protocol.security.Protection;

/**
 * Where a node is.
 *
 * @param bind a host name or address of this machine, where it listens
 * @param advertised what others connect to, where address translation lies between; else empty
 * @param protection of all its connections
 */
public record NodeHost(String bind, String advertised, Protection protection) {
  /** An address that no other machine can connect to. */
  public static NodeHost loopback() {
    return new NodeHost("127.0.0.1", "", new Protection.LoopbackOnly());
  }

  /**
   * Where it listens.
   *
   * @throws NodeStartException when the name is unknown, or the address not allowed
   */
  public InetAddress address() {
    return BindAddress.resolve(bind, protection);
  }

  /**
   * What others connect to.
   *
   * @throws NodeStartException as {@link #address}
   */
  public String reachable() {
    return advertised.isEmpty() ? BindAddress.reachable(address()) : advertised;
  }
}
