package org.ftcluster.worker.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * {@code checkpoint.json}: says what a checkpoint is, and what makes it whole.
 *
 * @param job see {@link JobIdentity}
 * @param files all others of the checkpoint
 */
record Manifest(int format, Map<String, String> job, Progress progress, List<Entry> files) {
  static final String FILE = "checkpoint.json";

  private static final int FORMAT = 2;
  private static final JsonMapper JSON =
      JsonMapper.builder().propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE).build();

  /** A file: its name has no folder in it. */
  record Entry(String name, long bytes, String sha256) {
    /**
     * Checks a file's length and checksum.
     *
     * @param source what messages call it
     * @throws CheckpointException when they are others
     */
    void check(Path file, String source) {
      try {
        long found = Files.size(file);
        if (found != bytes) {
          throw new CheckpointException(
              "%s: holds %d bytes, not %d.".formatted(source, found, bytes));
        }
        if (!Checksums.sha256(file).equals(sha256)) {
          throw new CheckpointException("%s: its checksum is wrong.".formatted(source));
        }
      } catch (IOException e) {
        throw new CheckpointException("%s: can't be read: %s.".formatted(source, e), e);
      }
    }
  }

  /** For the files that stand in {@code folder}. */
  static Manifest of(Path folder, JobIdentity job, Progress progress) throws IOException {
    List<Entry> files = new ArrayList<>();
    for (Path file : Folders.list(folder)) {
      files.add(new Entry(file.getFileName().toString(), Files.size(file), Checksums.sha256(file)));
    }
    return new Manifest(FORMAT, job.settings(), progress, files);
  }

  /**
   * Reads a folder's.
   *
   * @throws CheckpointException when there is none, or none that is understood
   */
  static Manifest read(Path folder) {
    Path file = folder.resolve(FILE);
    try {
      return parse(Files.readAllBytes(file), file.toString());
    } catch (IOException e) {
      throw new CheckpointException("%s: can't be read: %s.".formatted(file, e), e);
    }
  }

  /**
   * Reads one.
   *
   * @param source what messages call it
   * @throws CheckpointException when it isn't understood
   */
  static Manifest parse(byte[] json, String source) {
    try {
      int format = JSON.readTree(json).path("format").asInt();
      if (format != FORMAT) {
        throw new CheckpointException(
            "%s: is of format %d, not %d.".formatted(source, format, FORMAT));
      }
      return JSON.readValue(json, Manifest.class);
    } catch (JsonProcessingException e) {
      throw new CheckpointException("%s: is no valid JSON.".formatted(source), e);
    } catch (IOException e) {
      throw new CheckpointException("%s: can't be read: %s.".formatted(source, e), e);
    }
  }

  String toJson() throws JsonProcessingException {
    return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(this) + "\n";
  }

  JobIdentity identity() {
    return new JobIdentity(job);
  }

  /**
   * Checks that all files are there, whole.
   *
   * @throws CheckpointException which says which one isn't
   */
  void check(Path folder) {
    for (Entry entry : files) {
      Path file = folder.resolve(entry.name());
      entry.check(file, file.toString());
    }
  }
}
