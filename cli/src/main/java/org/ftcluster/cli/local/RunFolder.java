package org.ftcluster.cli.local;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.ftcluster.cli.console.CommandException;

/** A job's checkpoint folder, while one local cluster has it for itself. */
public final class RunFolder implements AutoCloseable {
  private static final String LOCK = ".lock";
  private static final String COORDINATOR = ".coordinator";
  private static final String LOGS = "logs";

  /** What a job leaves there, besides its {@code step-N} folders. */
  private static final List<String> RESULTS =
      List.of(
          LOGS,
          COORDINATOR,
          "adapter",
          "model",
          "metrics.jsonl",
          "samples.jsonl",
          "job.yaml",
          "generation.json");

  private final Path folder;
  private final FileChannel lock;

  private RunFolder(Path folder, FileChannel lock) {
    this.folder = folder;
    this.lock = lock;
  }

  /** Makes the folder where it is missing. The system lets it go when this process ends. */
  public static RunFolder claim(Path folder) {
    try {
      Files.createDirectories(folder.resolve(LOGS));
      FileChannel channel =
          FileChannel.open(
              folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      FileLock lock = tryLock(channel);
      if (lock == null) {
        channel.close();
        throw CommandException.badRequest(
            "another job runs in %s; wait for it, or give this one a folder of its own with --set checkpoint.path=FOLDER"
                .formatted(folder));
      }
      RunFolder claimed = new RunFolder(folder, channel);
      claimed.delete(folder.resolve(COORDINATOR));
      claimed.delete(folder.resolve(LOGS));
      Files.createDirectories(folder.resolve(LOGS));
      return claimed;
    } catch (IOException e) {
      throw CommandException.badRequest(
              "checkpoint.path: %s can't be written to (%s)".formatted(folder, e))
          .because(e);
    }
  }

  private static FileLock tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException e) {
      return null;
    }
  }

  public Path path() {
    return folder;
  }

  public Path logs() {
    return folder.resolve(LOGS);
  }

  public Path coordinatorData() {
    return folder.resolve(COORDINATOR);
  }

  /** The job as it runs there. */
  public Path jobFile() {
    return folder.resolve("job.yaml");
  }

  /** Deletes what an earlier job left here, and nothing else. */
  void clear() {
    try (Stream<Path> entries = Files.list(folder)) {
      for (Path entry : entries.toList()) {
        String name = entry.getFileName().toString();
        if (RESULTS.contains(name)
            || name.matches("step-\\d+((\\.g\\d+)?\\.partial|\\.replaced)?")) {
          delete(entry);
        }
      }
      Files.createDirectories(logs());
    } catch (IOException e) {
      throw CommandException.failed(
              "what an earlier run left in %s can't be deleted: %s".formatted(folder, e))
          .because(e);
    }
  }

  private void delete(Path path) throws IOException {
    if (!Files.exists(path)) {
      return;
    }
    try (Stream<Path> tree = Files.walk(path)) {
      for (Path entry : tree.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(entry);
      }
    }
  }

  /** Lets the folder go; logs and results stay. */
  @Override
  public void close() {
    try (lock) {
      delete(coordinatorData());
    } catch (IOException e) {
      throw CommandException.failed("%s can't be tidied up: %s".formatted(folder, e)).because(e);
    }
  }
}
