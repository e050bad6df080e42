package org.ftcluster.worker.tensor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** What this machine's processor can do, by Linux's names of it. */
final class Processor {
  private static final Path LISTED = Path.of("/proc/cpuinfo");
  private static final Set<String> FLAGS = flags();

  private Processor() {}

  /** Whether it has a feature, such as {@code avx512_bf16}. */
  static boolean has(String flag) {
    return FLAGS.contains(flag);
  }

  private static Set<String> flags() {
    if (!Files.exists(LISTED)) {
      return Set.of();
    }
    try (var lines = Files.lines(LISTED)) {
      return lines
          .filter(line -> line.startsWith("flags"))
          .findFirst()
          .map(line -> Set.copyOf(List.of(line.split("\\s+"))))
          .orElse(Set.of());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
