package org.ftcluster.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** A copy of the sample job whose files tests may spoil. */
public final class SampleJob {
  private static final Path SAMPLE = Path.of("../deploy/samples/decompile").toAbsolutePath();

  private final Path folder;

  private SampleJob(Path folder) {
    this.folder = folder;
  }

  /** Copies it into {@code folder}, with fewer samples. */
  public static SampleJob in(Path folder) throws IOException {
    Files.createDirectories(folder.resolve("base"));
    try (Stream<Path> files = Files.list(SAMPLE.resolve("base"))) {
      for (Path file : files.toList()) {
        Files.copy(file, folder.resolve("base").resolve(file.getFileName()));
      }
    }
    Files.copy(SAMPLE.resolve("job.yaml"), folder.resolve("job.yaml"));
    copy(folder, "train.jsonl", 64);
    copy(folder, "eval.jsonl", 16);
    return new SampleJob(folder);
  }

  private static void copy(Path folder, String data, int samples) throws IOException {
    try (Stream<String> lines = Files.lines(SAMPLE.resolve(data))) {
      Files.write(folder.resolve(data), lines.limit(samples).toList());
    }
  }

  Path file(String name) {
    return folder.resolve(name);
  }

  public String jobFile() {
    return file("job.yaml").toString();
  }

  void write(String name, String text) throws IOException {
    Files.writeString(file(name), text);
  }

  void replace(String name, String old, String replacement) throws IOException {
    String text = Files.readString(file(name));
    if (!text.contains(old)) {
      throw new IllegalArgumentException(name + " has no " + old);
    }
    write(name, text.replace(old, replacement));
  }

  /** Replaces a line, counted from 1. */
  void replaceLine(String name, int number, String line) throws IOException {
    var lines = Files.readAllLines(file(name));
    lines.set(number - 1, line);
    Files.write(file(name), lines);
  }
}
