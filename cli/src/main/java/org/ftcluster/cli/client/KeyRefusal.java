package org.ftcluster.cli.client;

import io.grpc.netty.shaded.io.netty.handler.ssl.NotSslRecordException;
import java.security.cert.CertificateException;
import java.util.Optional;
import javax.net.ssl.SSLException;

/** Tells ends that will never agree on a TLS connection from one that merely broke. */
final class KeyRefusal {
  /** Begins what the JDK says when the other end has refused. */
  private static final String ALERT = "Received fatal alert";

  private KeyRefusal() {}

  /** A clause that says why; nothing where trying again may help. */
  static Optional<String> in(Throwable failure) {
    for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
      switch (cause) {
        case CertificateException e -> {
          return Optional.of(String.valueOf(e.getMessage()));
        }
        case NotSslRecordException _ -> {
          return Optional.of("it doesn't encrypt");
        }
        case SSLException e when String.valueOf(e.getMessage()).contains(ALERT) -> {
          return Optional.of(String.valueOf(e.getMessage()));
        }
        default -> {}
      }
    }
    return Optional.empty();
  }
}
