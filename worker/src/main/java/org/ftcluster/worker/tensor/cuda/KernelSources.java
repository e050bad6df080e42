package org.ftcluster.worker.tensor.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The kernels' CUDA C. */
public final class KernelSources {
  /** All files, without their ending. */
  public static final List<String> FILES =
      List.of(
          "attention",
          "cross_entropy",
          "elements",
          "gated_unit",
          "int8",
          "nf4",
          "optimizer",
          "rms_norm",
          "rotary",
          "rows");

  private KernelSources() {}

  /** A file, with what all of them share before it. */
  public static String of(String file) {
    return read("common.cuh") + read(file + ".cu");
  }

  private static String read(String resource) {
    try (InputStream in = KernelSources.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("there is no " + resource + " beside the kernels' package");
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
