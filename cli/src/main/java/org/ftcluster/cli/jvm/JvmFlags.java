package org.ftcluster.cli.jvm;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;

/** Flags that our JVMs need, as the root pom lists them. */
public final class JvmFlags {
  private JvmFlags() {}

  /** For a JVM that touches tensors. */
  public static List<String> tensor() {
    return read("/org/ftcluster/cli/tensor.flags");
  }

  /** For a JVM that doesn't. */
  public static List<String> network() {
    return read("/org/ftcluster/cli/network.flags");
  }

  private static List<String> read(String resource) {
    try (InputStream stream =
        Objects.requireNonNull(JvmFlags.class.getResourceAsStream(resource), resource)) {
      String flags = new String(stream.readAllBytes(), StandardCharsets.UTF_8);
      return List.of(flags.strip().split("\\s+"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
