package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.ftcluster.worker.checkpoint.storage.Storage;
import org.ftcluster.worker.checkpoint.storage.StorageException;
import org.ftcluster.worker.checkpoint.storage.StorageException.Kind;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Checkpoints off the node, laid out as in a folder. The manifest goes last, and is removed first:
 * files without one are no checkpoint, so an upload that was cut short isn't seen.
 */
final class RemoteCheckpoints implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(RemoteCheckpoints.class);
  private static final String BEGINNING = "step-";
  private static final Pattern NAME = Pattern.compile("step-(\\d{1,18})/([^/]+)");

  private final Storage storage;
  private final JobIdentity job;
  private final Retention retention;
  private final boolean overwrite;

  RemoteCheckpoints(Storage storage, JobIdentity job, Retention retention, boolean overwrite) {
    this.storage = storage;
    this.job = job;
    this.retention = retention;
    this.overwrite = overwrite;
  }

  /**
   * Copies a whole checkpoint, and then removes those that are no longer to be kept.
   *
   * @param folder a local one
   * @param fence called before what others see is changed; throws to prevent it
   */
  void save(Path folder, long step, Runnable fence) throws IOException {
    fence.run();
    String manifest = name(step, Manifest.FILE);
    storage.delete(manifest); // of the same step, whose other files are about to be replaced
    Manifest saved = Manifest.read(folder);
    for (Manifest.Entry entry : saved.files()) {
      storage.put(name(step, entry.name()), folder.resolve(entry.name()), entry.bytes());
    }
    Path file = folder.resolve(Manifest.FILE);
    fence.run();
    storage.put(manifest, file, Files.size(file));
    fence.run();
    prune(saved.progress());
  }

  /** Steps that have a manifest, newest first. */
  List<Long> steps() throws IOException {
    return files().entrySet().stream()
        .filter(step -> step.getValue().contains(Manifest.FILE))
        .map(Map.Entry::getKey)
        .sorted(Comparator.reverseOrder())
        .toList();
  }

  /**
   * Reads a manifest.
   *
   * @throws CheckpointException when it isn't understood
   */
  Manifest manifest(long step) throws IOException {
    String name = name(step, Manifest.FILE);
    Path copy = Files.createTempFile("checkpoint", ".json");
    try {
      get(name, copy);
      return Manifest.parse(Files.readAllBytes(copy), storage.describe(name));
    } finally {
      Files.deleteIfExists(copy);
    }
  }

  /**
   * Copies a checkpoint into a local folder, and checks it.
   *
   * @param target a {@code step-N}, which is replaced
   * @throws CheckpointException when it isn't whole: {@code target} is what it was
   */
  void fetch(long step, Manifest manifest, Path target) throws IOException {
    Path partial = Folders.createPartial(target);
    try {
      for (Manifest.Entry entry : manifest.files()) {
        fetch(step, entry, partial);
      }
      Files.writeString(partial.resolve(Manifest.FILE), manifest.toJson());
      Folders.publish(partial, target);
    } finally {
      Folders.delete(partial);
    }
  }

  private void fetch(long step, Manifest.Entry entry, Path folder) throws IOException {
    String name = name(step, entry.name());
    Path file = folder.resolve(entry.name());
    if (!NAME.matcher(name).matches() || !folder.equals(file.getParent())) {
      throw new CheckpointException("%s: names a file %s.".formatted(describe(step), entry.name()));
    }
    get(name, file);
    entry.check(file, storage.describe(name));
  }

  /**
   * Copies a file to {@code target}.
   *
   * @throws CheckpointException when there is none
   */
  void get(String name, Path target) throws IOException {
    try {
      storage.get(name, target);
    } catch (StorageException e) {
      if (e.kind() == Kind.MISSING) {
        throw new CheckpointException("%s: is missing.".formatted(storage.describe(name)), e);
      }
      throw e;
    }
  }

  /** Checkpoints of later steps may be a newer writer's. */
  private void prune(Progress progress) {
    try {
      int kept = 0;
      Map<Long, List<String>> files = files();
      for (long step : files.keySet().stream().sorted(Comparator.reverseOrder()).toList()) {
        boolean complete = files.getOrDefault(step, List.of()).contains(Manifest.FILE);
        boolean ours = complete && identity(step).equals(Optional.of(job));
        boolean later = step > progress.step();
        if (ours && (later || retention.keeps(step, kept, progress))) {
          kept += later ? 0 : 1;
        } else if (ours || overwrite || (!complete && step < progress.step())) {
          delete(step, files.getOrDefault(step, List.of()));
        }
      }
    } catch (IOException e) {
      log.warn("Old checkpoints can't be removed: {}", e.getMessage());
    }
  }

  private void delete(long step, List<String> names) throws IOException {
    List<String> ordered = new ArrayList<>(names);
    if (ordered.remove(Manifest.FILE)) {
      ordered.addFirst(Manifest.FILE);
    }
    for (String name : ordered) {
      storage.delete(name(step, name));
    }
  }

  private Optional<JobIdentity> identity(long step) throws IOException {
    try {
      return Optional.of(manifest(step).identity());
    } catch (CheckpointException e) {
      return Optional.empty();
    }
  }

  /** Names below each {@code step-N/}. */
  private Map<Long, List<String>> files() throws IOException {
    Map<Long, List<String>> files = new TreeMap<>();
    for (String name : storage.list(BEGINNING)) {
      Matcher matcher = NAME.matcher(name);
      if (matcher.matches()) {
        files
            .computeIfAbsent(Long.parseLong(matcher.group(1)), step -> new ArrayList<>())
            .add(matcher.group(2));
      }
    }
    return files;
  }

  /** Stores a file that is no part of a checkpoint, under the name it has below {@code root}. */
  void put(Path root, Path file, long bytes) throws IOException {
    storage.put(root.relativize(file).toString(), file, bytes);
  }

  /** The storage itself. */
  String describe() {
    return storage.describe("");
  }

  String describe(long step) {
    return storage.describe(BEGINNING + step);
  }

  private static String name(long step, String file) {
    return BEGINNING + step + "/" + file;
  }

  @Override
  public void close() {
    storage.close();
  }
}
