package org.ftcluster.worker.collective;

import java.io.IOException;
import java.nio.channels.Channel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the classes of this package do with sockets alike. */
final class Sockets {
  private static final Logger log = LoggerFactory.getLogger(Sockets.class);

  private Sockets() {}

  /** Closes what is no longer of use: that this fails changes nothing for anyone. */
  static void close(Channel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      log.debug("closing {}: {}", channel, e.getMessage());
    }
  }
}
