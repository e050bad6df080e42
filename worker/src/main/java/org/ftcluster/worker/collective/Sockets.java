package org.ftcluster.worker.collective;

import java.io.Closeable;
import java.io.IOException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the classes of this package do with sockets alike. */
final class Sockets {
  private static final Logger log = LoggerFactory.getLogger(Sockets.class);

  private Sockets() {}

  /** Some say nothing but their names. */
  static String reason(Exception e) {
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }

  /** Closes what is no longer of use: that this fails changes nothing for anyone. */
  static void close(Closeable connection) {
    try {
      connection.close();
    } catch (IOException | RuntimeException e) { // as TLS may throw where it is about to begin
      log.debug("closing {}: {}", connection, e.getMessage());
    }
  }
}
