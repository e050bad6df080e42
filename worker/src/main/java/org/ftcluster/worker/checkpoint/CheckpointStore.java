package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Consumer;
import org.ftcluster.protocol.job.BadJobException;
import org.ftcluster.protocol.job.JobSpec;
import org.ftcluster.worker.checkpoint.storage.Storage;
import org.ftcluster.worker.checkpoint.storage.StorageException;
import org.ftcluster.worker.checkpoint.storage.StorageException.Kind;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.SafetensorsWriter;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All checkpoints of a job: in its folder, and off the node where the job says so.
 *
 * <p>For one process at a time, rank 0's: one thread of it saves, see {@link CheckpointWriter}, and
 * any may read.
 */
public final class CheckpointStore implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(CheckpointStore.class);

  private final LocalCheckpoints local;
  private final JobIdentity job;
  private final boolean overwrite;
  private final @Nullable RemoteCheckpoints remote;

  /**
   * A checkpoint that is whole.
   *
   * @param state to be read where it lies
   */
  public record Found(Path folder, Snapshot state) implements AutoCloseable {
    @Override
    public void close() {
      state.close();
    }
  }

  /**
   * A checkpoint that might be read.
   *
   * @param folder {@code null} for one that is off the node
   */
  private record Candidate(long step, @Nullable Path folder) {}

  /**
   * For a job, whose files are read to tell it from others.
   *
   * @throws BadJobException when one can't be read
   */
  public static CheckpointStore of(JobSpec spec) {
    JobSpec.Checkpoint settings = spec.checkpoint();
    JobIdentity job = JobIdentity.of(spec);
    boolean overwrite = settings.overwrite();
    Retention retention = new Retention(settings.keep(), spec.evaluation().keepBest());
    String remote = settings.remote();
    return new CheckpointStore(
        job,
        overwrite,
        new LocalCheckpoints(settings.path(), job, retention, overwrite, SafetensorsWriter::write),
        remote == null
            ? null
            : new RemoteCheckpoints(Storage.of(remote, settings), job, retention, overwrite));
  }

  CheckpointStore(
      JobIdentity job,
      boolean overwrite,
      LocalCheckpoints local,
      @Nullable RemoteCheckpoints remote) {
    this.job = job;
    this.overwrite = overwrite;
    this.local = local;
    this.remote = remote;
  }

  /** From now on a save needs this right, also one that has begun. */
  public void guardedBy(Fence fence) {
    local.guardedBy(fence);
  }

  /** What the job is, as a number: ranks compare it to see that they work on the same. */
  public long identityHash() {
    return job.hash();
  }

  /**
   * Saves durably, then removes what is no longer to be kept, leftovers of crashes, and, where the
   * job may, checkpoints of another; all of it first in the folder, then off the node.
   *
   * @param logs copied into the checkpoint, too
   * @return the folder
   * @throws CheckpointException when it can't be saved: earlier ones are untouched
   * @throws org.ftcluster.worker.collective.CollectiveException when others have gone on
   */
  Path save(Snapshot state, List<LogFile> logs) {
    long step = state.progress().step();
    Path folder;
    try {
      folder = local.save(state, logs);
    } catch (IOException e) {
      throw new CheckpointException(
          "%s: can't be saved: %s; the checkpoints before it are untouched."
              .formatted(local.folder(step), reason(e)),
          e);
    }
    if (remote != null) {
      saveRemotely(remote, folder, step, logs);
    }
    return folder;
  }

  private void saveRemotely(RemoteCheckpoints remote, Path folder, long step, List<LogFile> logs) {
    try {
      remote.save(folder, step, local::checkFence);
      for (LogFile log : logs) {
        remote.put(local.root(), log.file(), log.bytes());
      }
    } catch (IOException e) {
      throw new CheckpointException(
          "%s: can't be saved: %s; %s is whole, and the checkpoints before it are untouched."
              .formatted(remote.describe(step), reason(e), folder),
          e);
    }
  }

  /** Whether the folder has a checkpoint of this job after a step, which is whole. */
  public boolean holds(long step) {
    try {
      Manifest manifest = Manifest.read(local.folder(step));
      manifest.check(local.folder(step));
      return manifest.identity().equals(job);
    } catch (CheckpointException e) {
      return false;
    }
  }

  /**
   * Copies results off the node, where the job says so; files stand in the job's folder, or in
   * folders there.
   *
   * @return where to; nothing where there is no such place
   * @throws CheckpointException when they can't be copied
   */
  public Optional<String> copyResults(List<Path> files) {
    if (remote == null) {
      return Optional.empty();
    }
    try {
      local.checkFence();
      for (Path file : files) {
        remote.put(local.root(), file, Files.size(file));
      }
      return Optional.of(remote.describe());
    } catch (IOException e) {
      throw new CheckpointException(
          "%s: the results can't be copied there: %s; they are whole in %s."
              .formatted(remote.describe(), reason(e), local.root()),
          e);
    }
  }

  /**
   * Fetches what {@link #copyResults} or a checkpoint has copied.
   *
   * @param name as in the job's folder
   * @return false where there is none, or it can't be had now, which is only worth a warning
   */
  public boolean fetchResult(String name, Path target) {
    if (remote == null) {
      return false;
    }
    try {
      remote.get(name, target);
      return true;
    } catch (CheckpointException | IOException e) {
      log.warn("{} can't be fetched: {}", name, e.getMessage());
      return false;
    }
  }

  /**
   * Reads the newest whole checkpoint of this job, see {@link #openNewest}.
   *
   * @param state here as a whole
   * @return its folder, or nothing where there is none
   */
  public Optional<Path> readNewest(TrainingState state, Consumer<String> warnings) {
    Optional<Found> newest = openNewest(state.parameters().slices(), warnings);
    newest.ifPresent(
        found -> {
          try (found) {
            state.invalidate();
            for (StateContent content : StateContent.values()) {
              MemorySegment buffer = state.buffers().get(content.ordinal());
              found.state().content(content).copy(0, buffer);
            }
            state.completed(found.state().progress());
          }
        });
    return newest.map(Found::folder);
  }

  /**
   * Opens the newest whole checkpoint of this job, in its folder or from off the node; broken ones
   * are passed over.
   *
   * @param slices what it is to hold
   * @param warnings a sentence for each that is passed over
   * @return to be closed; nothing where there is none
   * @throws BadJobException when there are checkpoints of another job, see {@link #requireOurs}, or
   *     the place off the node is none
   * @throws CheckpointException when the place off the node doesn't answer
   */
  public Optional<Found> openNewest(List<ParameterBuffer.Slice> slices, Consumer<String> warnings) {
    requireOurs();
    return open(candidates(), slices, warnings);
  }

  /**
   * Opens the checkpoint of a step as {@link #openNewest} does.
   *
   * @return to be closed; nothing where there is none that is whole
   */
  public Optional<Found> open(
      long step, List<ParameterBuffer.Slice> slices, Consumer<String> warnings) {
    List<Candidate> candidates =
        candidates().stream().filter(candidate -> candidate.step() == step).toList();
    return open(candidates, slices, warnings);
  }

  private Optional<Found> open(
      List<Candidate> candidates, List<ParameterBuffer.Slice> slices, Consumer<String> warnings) {
    for (Candidate candidate : candidates) {
      try {
        Manifest manifest = manifest(candidate);
        if (manifest.identity().equals(job)) {
          Path folder = fetched(candidate, manifest);
          return Optional.of(new Found(folder, Checkpoint.open(folder, manifest, slices)));
        }
        requireOurs(describe(candidate), manifest.identity(), "checkpoint.remote");
        warnings.accept(
            "%s is of another job, and will be replaced.".formatted(describe(candidate)));
      } catch (CheckpointException e) {
        log.warn("A broken checkpoint is passed over: {}", e.getMessage());
        warnings.accept("A broken checkpoint is passed over: " + e.getMessage());
      } catch (IOException e) {
        throw unreadable(e);
      }
    }
    return Optional.empty();
  }

  /** Newest first; of the same step, the one at hand before the one that is far away. */
  private List<Candidate> candidates() {
    List<Candidate> candidates = new ArrayList<>();
    for (Path folder : folders()) {
      candidates.add(new Candidate(LocalCheckpoints.stepOf(folder), folder));
    }
    if (remote != null) {
      try {
        remote.steps().forEach(step -> candidates.add(new Candidate(step, null)));
      } catch (IOException e) {
        throw unreadable(e);
      }
    }
    candidates.sort(Comparator.comparingLong(Candidate::step).reversed());
    return candidates;
  }

  private Manifest manifest(Candidate candidate) throws IOException {
    return candidate.folder() == null
        ? Objects.requireNonNull(remote).manifest(candidate.step())
        : Manifest.read(candidate.folder());
  }

  private Path fetched(Candidate candidate, Manifest manifest) throws IOException {
    if (candidate.folder() != null) {
      return candidate.folder();
    }
    Path folder = local.folder(candidate.step());
    Objects.requireNonNull(remote).fetch(candidate.step(), manifest, folder);
    return folder;
  }

  private String describe(Candidate candidate) {
    return candidate.folder() == null
        ? Objects.requireNonNull(remote).describe(candidate.step())
        : candidate.folder().toString();
  }

  private RuntimeException unreadable(IOException e) {
    String place = Objects.requireNonNull(remote).describe();
    String sentence = "checkpoint.remote: %s: %s.".formatted(place, reason(e));
    return e instanceof StorageException storage && storage.kind() == Kind.REFUSED
        ? new BadJobException(sentence, e)
        : new CheckpointException(sentence, e);
  }

  /**
   * Looks whether another job has left checkpoints here that this one may not replace.
   *
   * @throws BadJobException when there are: which, and how that job differs
   */
  public void requireOurs() {
    for (Path folder : folders()) {
      requireOurs(
          folder.toString(), LocalCheckpoints.identity(folder).orElse(job), "checkpoint.path");
    }
  }

  private void requireOurs(String checkpoint, JobIdentity theirs, String key) {
    if (!overwrite && !theirs.equals(job)) {
      throw new BadJobException(
          "%s: %s is a checkpoint of another job (%s); give this job a place of its own, or checkpoint.overwrite: true, which begins anew and replaces what is there."
              .formatted(key, checkpoint, job.differencesFrom(theirs)));
    }
  }

  private List<Path> folders() {
    try {
      return local.newestFirst();
    } catch (IOException e) {
      throw new CheckpointException("%s: can't be read: %s.".formatted(local.root(), reason(e)), e);
    }
  }

  private static String reason(IOException e) {
    return e.getMessage() == null ? e.toString() : e.getMessage();
  }

  @Override
  public void close() {
    if (remote != null) {
      remote.close();
    }
  }
}
