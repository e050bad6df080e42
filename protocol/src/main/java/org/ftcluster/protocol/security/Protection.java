package org.ftcluster.protocol.security;

import java.util.Optional;

/** What stands between a node's connections and whoever else reaches its network. */
public sealed interface Protection {
  /** Nothing, which is why no other machine may connect. */
  record LoopbackOnly() implements Protection {}

  /** Nothing: whoever reaches the node can take part in all that it does. */
  record Insecure() implements Protection {}

  /** TLS, by which both ends of a connection prove that they are members. */
  record Tls(Credentials own) implements Protection {}

  /** What this end shows; empty where connections aren't encrypted. */
  default Optional<Credentials> credentials() {
    return switch (this) {
      case LoopbackOnly _, Insecure _ -> Optional.empty();
      case Tls tls -> Optional.of(tls.own());
    };
  }
}
