package org.ftcluster.worker.tensor;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** What oneDNN may have this machine's processor do, by Linux's names of it. */
final class Processor {
  /** Environment variables that have oneDNN keep off newer instructions. */
  private static final List<String> LIMITS = List.of("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA");

  private static final Path LISTED = Path.of("/proc/cpuinfo");
  private static final Set<String> FLAGS = flags();

  private Processor() {}

  /** Whether it has a feature, such as {@code avx512_bf16}, and nobody has limited it. */
  static boolean has(String flag) {
    return FLAGS.contains(flag);
  }

  private static Set<String> flags() {
    if (!Files.exists(LISTED) || LIMITS.stream().anyMatch(System.getenv()::containsKey)) {
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
