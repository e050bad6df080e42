package org.ftcluster.cli.chaos;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import org.ftcluster.cli.console.Json;
import org.jspecify.annotations.Nullable;

/**
 * Reads the lines of {@code metrics.jsonl} as they come. Each generation makes a new file of it.
 */
final class MetricsTail {
  private final Path file;
  private final Sightings sightings;
  private @Nullable Object key;
  private long read;

  MetricsTail(Path file, Sightings sightings) {
    this.file = file;
    this.sightings = sightings;
  }

  /** Hands over whole lines that are new. */
  void poll() throws IOException {
    try {
      BasicFileAttributes now = Files.readAttributes(file, BasicFileAttributes.class);
      if (!now.fileKey().equals(key)) {
        key = now.fileKey();
        read = 0;
      }
      if (now.size() > read) {
        readOn();
      }
    } catch (NoSuchFileException e) {
      read = 0; // Not there yet.
    }
  }

  private void readOn() throws IOException {
    byte[] bytes;
    try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "r")) {
      open.seek(read);
      bytes = new byte[(int) Math.max(0, open.length() - read)];
      open.readFully(bytes);
    }
    String text = new String(bytes, StandardCharsets.UTF_8);
    int end = text.lastIndexOf('\n') + 1;
    for (String line : text.substring(0, end).lines().toList()) {
      JsonNode json = Json.parse(line);
      sightings.step(
          json.path("step").asLong(),
          json.path("generation").asLong(),
          json.path("workers").asInt());
    }
    read += end; // Lines are ASCII.
  }
}
