package org.ftcluster.protocol.cluster;

import java.net.InetAddress;

/**
 * Where a node is.
 *
 * @param bind a host name or address of this machine, where it listens
 * @param advertised what others connect to, where address translation lies between; else empty
 * @param insecure whether to bind, without encryption, where other machines can connect
 */
public record NodeHost(String bind, String advertised, boolean insecure) {
  /** An address that no other machine can connect to. */
  public static NodeHost loopback() {
    return new NodeHost("127.0.0.1", "", false);
  }

  /**
   * Where it listens.
   *
   * @throws NodeStartException when the name is unknown, or the address not allowed
   */
  public InetAddress address() {
    return BindAddress.resolve(bind, insecure);
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
