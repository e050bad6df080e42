package org.ftcluster.cli.jvm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.locks.LockSupport;

/** A process that behaves as its argument says. */
public final class FakeNode {
  private FakeNode() {}

  public static void main(String[] args) throws IOException {
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
      case "crash-once" -> {
        if (Files.notExists(Path.of(args[1]))) {
          Files.createFile(Path.of(args[1]));
          Runtime.getRuntime().halt(134);
        }
        System.out.println("{\"event\":\"ready\",\"try\":2}");
      }
      case "stay" -> {
        Runtime.getRuntime().addShutdownHook(new Thread(FakeNode::sleep));
        System.out.println("{\"event\":\"ready\"}");
        sleep();
      }
      case "deaf" -> {
        System.out.println("{\"event\":\"ready\"}");
        sleep();
      }
      default -> throw new IllegalArgumentException(args[0]);
    }
  }

  private static void sleep() {
    LockSupport.parkNanos(Duration.ofMinutes(10).toNanos());
  }
}
