package org.ftcluster.protocol.cluster;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.typesafe.config.ConfigFactory;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import org.junit.jupiter.api.Test;

/** A node whose heartbeats don't come any more, long before that alone says much. */
class ProbingFailureDetectorTest {
  private static final long LATE_MS = 2_000;
  private static final long PATIENCE_MS = 20_000;

  private final ProbingFailureDetector detector =
      new ProbingFailureDetector(
          ConfigFactory.parseString("acceptable-heartbeat-pause = 1 hour")
              .withFallback(ConfigFactory.load().getConfig("pekko.cluster.failure-detector")),
          null);

  @Test
  void oneThatNobodyListensForHasEndedUntilItIsHeardAgain() throws Exception {
    int port;
    try (ServerSocket socket = listen()) {
      port = socket.getLocalPort();
    }
    detector.setAddress("pekko://ftcluster@127.0.0.1:" + port);
    assertTrue(detector.isAvailable(), "nothing was heard of it yet");
    detector.heartbeat();
    assertTrue(detector.isAvailable());

    long deadline = System.nanoTime() + PATIENCE_MS * 1_000_000;
    while (detector.isAvailable()) {
      assertTrue(System.nanoTime() < deadline);
      Thread.sleep(50);
    }
    detector.heartbeat();
    assertTrue(detector.isAvailable());
  }

  @Test
  void oneThatStandsStillIsWaitedFor() throws Exception {
    try (ServerSocket socket = listen()) {
      detector.setAddress("pekko://ftcluster@127.0.0.1:" + socket.getLocalPort());
      detector.heartbeat();
      Thread.sleep(LATE_MS);
      assertTrue(detector.isAvailable());
      Thread.sleep(200);
      assertTrue(detector.isAvailable(), "it can be connected to");
    }
  }

  private static ServerSocket listen() throws IOException {
    return new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
  }
}
