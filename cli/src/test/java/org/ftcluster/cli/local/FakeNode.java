package org.ftcluster.cli.local;

import java.io.IOException;
import java.time.Duration;

/** A process that behaves as its argument says. */
final class FakeNode {
  private FakeNode() {}

  public static void main(String[] args) throws IOException, InterruptedException {
    switch (args[0]) {
      case "ready" -> {
        System.out.println("{\"event\":\"ready\",\"grpc\":\"127.0.0.1:7\"}");
        while (System.in.read() >= 0) {
          // Lives as long as its parent.
        }
      }
      case "refuse" -> {
        System.out.println("{\"error\":\"port 7 is in use\",\"exit_code\":2}");
        System.exit(2);
      }
      case "crash" -> throw new IllegalStateException("out of luck");
      case "deaf" -> {
        System.out.println("{\"event\":\"ready\"}");
        Thread.sleep(Duration.ofMinutes(10));
      }
      default -> throw new IllegalArgumentException(args[0]);
    }
  }
}
