package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The {@code step-N} folders of a job. A folder has that name only when everything in it is on
 * disk, so a crash or a full disk while saving leaves the ones before it as they were.
 *
 * <p>For one process at a time, rank 0's: one thread of it saves, see {@link CheckpointWriter}, and
 * any may read.
 */
public final class CheckpointStore {
  private static final Logger log = LoggerFactory.getLogger(CheckpointStore.class);
  private static final Pattern NAME = Pattern.compile("step-(\\d{1,18})(\\.replaced)?");
  private static final Pattern LEFTOVER = Pattern.compile("step-\\d{1,18}\\.(partial|replaced)");

  private final Path root;
  private final String fingerprint;
  private final int keep;
  private final Checkpoint.TensorWriter writer;

  /**
   * @param fingerprint of the job: checkpoints of any other in the same place are not used
   * @param keep how many checkpoints stay, at least 1
   */
  public CheckpointStore(Path root, String fingerprint, int keep) {
    this(root, fingerprint, keep, SafetensorsWriter::write);
  }

  CheckpointStore(Path root, String fingerprint, int keep, Checkpoint.TensorWriter writer) {
    if (keep < 1) {
      throw new IllegalArgumentException("keep " + keep + " checkpoints");
    }
    this.root = root;
    this.fingerprint = fingerprint;
    this.keep = keep;
    this.writer = writer;
  }

  /**
   * Saves durably, then removes what is no longer to be kept, leftovers of crashes, and checkpoints
   * of another job.
   *
   * @param logs files that are made durable first
   * @return the folder
   * @throws CheckpointException when it can't be saved: earlier ones are untouched
   */
  Path save(Snapshot state, List<Path> logs) {
    long step = state.progress().step();
    Path target = root.resolve("step-" + step);
    try {
      for (Path file : logs) {
        DurableFiles.sync(file);
      }
      Path partial = Folders.createPartial(target);
      try {
        Checkpoint.write(partial, state, fingerprint, writer);
        Folders.publish(partial, target);
      } finally {
        Folders.delete(partial);
      }
      prune(step);
      return target;
    } catch (IOException e) {
      throw new CheckpointException(
          "%s: can't be saved: %s; the checkpoints before it are untouched."
              .formatted(target, reason(e)),
          e);
    }
  }

  /**
   * Reads the newest whole checkpoint of this job; broken ones are passed over with a warning.
   *
   * @return its folder, or nothing where there is none
   */
  public Optional<Path> readNewest(TrainingState state) {
    for (Path folder : newestFirst()) {
      try {
        Checkpoint checkpoint = Checkpoint.open(folder);
        if (checkpoint.fingerprint().equals(fingerprint)) {
          checkpoint.readInto(state);
          return Optional.of(folder);
        }
        log.warn("{} belongs to a job with other settings: not used", folder);
      } catch (CheckpointException e) {
        log.warn("A broken checkpoint is passed over: {}", e.getMessage());
      }
    }
    return Optional.empty();
  }

  /** Checkpoints beyond {@code newest} are of a past that was given up. */
  private void prune(long newest) throws IOException {
    int kept = 0;
    for (Path folder : newestFirst()) {
      boolean leftover = LEFTOVER.matcher(folder.getFileName().toString()).matches();
      if (!leftover && kept < keep && stepOf(folder) <= newest && isOurs(folder)) {
        kept++;
      } else {
        remove(folder);
      }
    }
    for (Path path : Folders.list(root)) {
      if (LEFTOVER.matcher(path.getFileName().toString()).matches()) {
        remove(path);
      }
    }
  }

  /** What can't be removed takes room, and harms no checkpoint. */
  private static void remove(Path folder) {
    try {
      Folders.delete(folder);
    } catch (IOException e) {
      log.warn("{} can't be removed: {}", folder, reason(e));
    }
  }

  private boolean isOurs(Path folder) {
    try {
      return Checkpoint.readFingerprint(folder).equals(fingerprint);
    } catch (IOException e) {
      log.warn("A broken checkpoint is removed: {}: {}", folder, e.toString());
      return false;
    }
  }

  private List<Path> newestFirst() {
    try {
      List<Path> folders = new ArrayList<>();
      for (Path path : Folders.list(root)) {
        if (NAME.matcher(path.getFileName().toString()).matches() && Files.isDirectory(path)) {
          folders.add(path);
        }
      }
      folders.sort(Comparator.comparingLong(CheckpointStore::stepOf).reversed());
      return folders;
    } catch (IOException e) {
      throw new CheckpointException("%s: can't be read: %s.".formatted(root, reason(e)), e);
    }
  }

  private static long stepOf(Path folder) {
    Matcher matcher = NAME.matcher(folder.getFileName().toString());
    if (!matcher.matches()) {
      throw new IllegalArgumentException(folder + " is no checkpoint");
    }
    return Long.parseLong(matcher.group(1));
  }

  private static String reason(IOException e) {
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }
}
