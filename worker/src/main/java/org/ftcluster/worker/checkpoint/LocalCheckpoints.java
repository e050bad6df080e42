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
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The {@code step-N} folders of a job. A folder has that name only when everything in it is on
 * disk, so a crash or a full disk while saving leaves the ones before it as they were.
 */
final class LocalCheckpoints {
  private static final Logger log = LoggerFactory.getLogger(LocalCheckpoints.class);
  private static final Pattern NAME = Pattern.compile("step-(\\d{1,18})(\\.replaced)?");
  private static final Pattern LEFTOVER = Pattern.compile("step-\\d{1,18}\\.replaced");

  /** Earlier versions had no generation in it. */
  private static final Pattern PARTIAL =
      Pattern.compile("step-\\d{1,18}(\\.g(\\d{1,18}))?\\.partial");

  private final Path root;
  private final JobIdentity job;
  private final Retention retention;
  private final boolean overwrite;
  private final Checkpoint.TensorWriter writer;
  private volatile Fence fence = Fence.NONE;

  /**
   * @param overwrite whether those of another job may be removed
   */
  LocalCheckpoints(
      Path root,
      JobIdentity job,
      Retention retention,
      boolean overwrite,
      Checkpoint.TensorWriter writer) {
    this.root = root;
    this.job = job;
    this.retention = retention;
    this.overwrite = overwrite;
    this.writer = writer;
  }

  /** From now on a save needs this right, also one that has begun. */
  void guardedBy(Fence fence) {
    this.fence = fence;
  }

  /** To be called before what others see is written. */
  void checkFence() {
    fence.check();
  }

  /** Where everything is. */
  Path root() {
    return root;
  }

  /** Where the checkpoint of a step is, or would be. */
  Path folder(long step) {
    return root.resolve("step-" + step);
  }

  /**
   * Saves durably, then removes what is no longer to be kept.
   *
   * @param logs copied into the checkpoint, too
   */
  Path save(Snapshot state, List<LogFile> logs) throws IOException {
    long step = state.progress().step();
    Path target = folder(step);
    // A writer that was paused, and wakes up behind its successor's back, has a folder of its own.
    Path partial =
        Folders.createPartial(root.resolve("step-%d.g%d".formatted(step, fence.generation())));
    try {
      Checkpoint.write(partial, state, logs, job, writer);
      checkFence();
      Folders.publish(partial, target);
    } finally {
      Folders.delete(partial);
    }
    checkFence();
    prune(state.progress());
    return target;
  }

  /** Whose a checkpoint is; nothing where that can't be understood. */
  static Optional<JobIdentity> identity(Path folder) {
    try {
      return Optional.of(Manifest.read(folder).identity());
    } catch (CheckpointException e) {
      return Optional.empty();
    }
  }

  /**
   * Removes what the job may. Checkpoints of later steps stay, since they may be those of a newer
   * writer than this one; what can't be understood may be anybody's.
   */
  private void prune(Progress progress) throws IOException {
    int kept = 0;
    for (Path folder : newestFirst()) {
      boolean ours = identity(folder).equals(Optional.of(job));
      boolean leftover = LEFTOVER.matcher(folder.getFileName().toString()).matches();
      long step = stepOf(folder);
      if (ours && !leftover && step > progress.step()) {
        continue;
      }
      if (ours && !leftover && retention.keeps(step, kept, progress)) {
        kept++;
      } else if (ours || overwrite) {
        remove(folder);
      }
    }
    for (Path path : Folders.list(root)) {
      Matcher partial = PARTIAL.matcher(path.getFileName().toString());
      if (partial.matches() && generationOf(partial) <= fence.generation()) {
        remove(path);
      }
    }
  }

  private static long generationOf(Matcher partial) {
    return partial.group(2) == null ? 0 : Long.parseLong(partial.group(2));
  }

  /** What can't be removed takes room, and harms no checkpoint. */
  private static void remove(Path folder) {
    try {
      Folders.delete(folder);
    } catch (IOException e) {
      log.warn("{} can't be removed: {}", folder, e.toString());
    }
  }

  List<Path> newestFirst() throws IOException {
    List<Path> folders = new ArrayList<>();
    for (Path path : Folders.list(root)) {
      if (NAME.matcher(path.getFileName().toString()).matches() && Files.isDirectory(path)) {
        folders.add(path);
      }
    }
    folders.sort(Comparator.comparingLong(LocalCheckpoints::stepOf).reversed());
    return folders;
  }

  static long stepOf(Path folder) {
    Matcher matcher = NAME.matcher(folder.getFileName().toString());
    if (!matcher.matches()) {
      throw new IllegalArgumentException(folder + " is no checkpoint");
    }
    return Long.parseLong(matcher.group(1));
  }
}
