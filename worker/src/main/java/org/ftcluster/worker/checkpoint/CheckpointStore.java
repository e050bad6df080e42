package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
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
  private static final Pattern LEFTOVER = Pattern.compile("step-\\d{1,18}\\.replaced");
  private static final Pattern PARTIAL = Pattern.compile("step-\\d{1,18}\\.partial");

  private final Path root;
  private final JobIdentity job;
  private final int keep;
  private final boolean overwrite;
  private final Checkpoint.TensorWriter writer;
  private volatile Fence fence = Fence.NONE;

  /**
   * For a job, whose files are read to tell it from others.
   *
   * @throws BadJobException when one can't be read
   */
  public CheckpointStore(JobSpec spec) {
    this(
        spec.checkpoint().path(),
        JobIdentity.of(spec),
        spec.checkpoint().keep(),
        spec.checkpoint().overwrite(),
        SafetensorsWriter::write);
  }

  CheckpointStore(
      Path root, JobIdentity job, int keep, boolean overwrite, Checkpoint.TensorWriter writer) {
    if (keep < 1) {
      throw new IllegalArgumentException("keep " + keep + " checkpoints");
    }
    this.root = root;
    this.job = job;
    this.keep = keep;
    this.overwrite = overwrite;
    this.writer = writer;
  }

  /** From now on a save needs this right, also one that has begun. */
  public void guardedBy(Fence fence) {
    this.fence = fence;
  }

  /** What the job is, as a number: ranks compare it to see that they work on the same. */
  public long identityHash() {
    return job.hash();
  }

  /**
   * Saves durably, then removes what is no longer to be kept, leftovers of crashes, and, where the
   * job may, checkpoints of another.
   *
   * @param logs copied into the checkpoint, too
   * @return the folder
   * @throws CheckpointException when it can't be saved: earlier ones are untouched
   * @throws org.ftcluster.worker.collective.CollectiveException when others have gone on
   */
  Path save(Snapshot state, List<LogFile> logs) {
    long step = state.progress().step();
    Path target = root.resolve("step-" + step);
    try {
      Path partial = Folders.createPartial(target);
      try {
        Checkpoint.write(partial, state, logs, job, writer);
        fence.check();
        Folders.publish(partial, target);
      } finally {
        Folders.delete(partial);
      }
      fence.check();
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
   * Reads the newest whole checkpoint of this job; broken ones are passed over.
   *
   * @param warnings a sentence for each that is passed over
   * @return its folder, or nothing where there is none
   * @throws BadJobException when there are checkpoints of another job, see {@link #requireOurs}
   */
  public Optional<Path> readNewest(TrainingState state, Consumer<String> warnings) {
    requireOurs();
    for (Path folder : newestFirst()) {
      try {
        Manifest manifest = Manifest.read(folder);
        if (manifest.identity().equals(job)) {
          Checkpoint.open(folder, manifest).readInto(state);
          return Optional.of(folder);
        }
        warnings.accept("%s is of another job, and will be replaced.".formatted(folder));
      } catch (CheckpointException e) {
        log.warn("A broken checkpoint is passed over: {}", e.getMessage());
        warnings.accept("A broken checkpoint is passed over: " + e.getMessage());
      }
    }
    return Optional.empty();
  }

  /**
   * Looks whether another job has left checkpoints here that this one may not replace.
   *
   * @throws BadJobException when there are: which, and how that job differs
   */
  public void requireOurs() {
    if (overwrite) {
      return;
    }
    for (Path folder : newestFirst()) {
      JobIdentity theirs = identity(folder).orElse(job);
      if (!theirs.equals(job)) {
        throw new BadJobException(
            "checkpoint.path: %s is a checkpoint of another job (%s); give this job a folder of its own, or checkpoint.overwrite: true, which begins anew and replaces what is there."
                .formatted(folder, job.differencesFrom(theirs)));
      }
    }
  }

  private static Optional<JobIdentity> identity(Path folder) {
    try {
      return Optional.of(Manifest.read(folder).identity());
    } catch (CheckpointException e) {
      return Optional.empty();
    }
  }

  /**
   * Removes what the job may. Checkpoints beyond {@code newest} are of a past that was given up;
   * one that can't be understood may be anybody's.
   */
  private void prune(long newest) throws IOException {
    int kept = 0;
    for (Path folder : newestFirst()) {
      boolean ours = identity(folder).equals(Optional.of(job));
      boolean leftover = LEFTOVER.matcher(folder.getFileName().toString()).matches();
      if (ours && !leftover && kept < keep && stepOf(folder) <= newest) {
        kept++;
      } else if (ours || overwrite) {
        remove(folder);
      }
    }
    for (Path path : Folders.list(root)) {
      if (PARTIAL.matcher(path.getFileName().toString()).matches()) {
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
