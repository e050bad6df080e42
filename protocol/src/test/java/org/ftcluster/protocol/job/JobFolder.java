package org.ftcluster.protocol.job;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** A folder with the files that a small job names. */
final class JobFolder {
  /** The shortest job file that is complete. */
  static final String MINIMAL =
      """
      model: {path: base}
      data:
        train: {path: train.jsonl}
      checkpoint: {path: out}
      """;

  private JobFolder() {}

  static Path fill(Path folder) throws IOException {
    Files.createDirectories(folder.resolve("base"));
    Files.writeString(folder.resolve("base/config.json"), "{}");
    Files.createDirectories(folder.resolve("adapter"));
    Files.writeString(folder.resolve("adapter/adapter_config.json"), "{}");
    Files.writeString(folder.resolve("train.jsonl"), "{}");
    Files.writeString(folder.resolve("eval.jsonl"), "{}");
    Files.writeString(folder.resolve("pairs.jsonl"), "{}");
    return folder;
  }
}
