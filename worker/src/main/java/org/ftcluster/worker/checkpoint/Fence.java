package org.ftcluster.worker.checkpoint;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.collective.CollectiveException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The right to write into a job's folder. A generation takes it by putting its number into a file
 * there, durably; whoever has it looks into that file right before every write that others would
 * see, so that a process that was paused and wakes up finds that others have gone on, and leaves
 * their files alone.
 *
 * <p>What remains is a pause between the look and the one system call that follows it. Nothing is
 * lost then: a checkpoint has the same content whichever generation writes it, and a log that
 * others have taken over is another file, which the late line doesn't reach.
 *
 * <p>Any thread may use one.
 */
public final class Fence {
  /** Free for all: where nothing but one process can write. */
  public static final Fence NONE = new Fence(Path.of("generation.json"), new Holder("", 0));

  private static final Logger log = LoggerFactory.getLogger(Fence.class);
  private static final String FILE = "generation.json";
  private static final JsonMapper JSON = new JsonMapper();

  private final Path file;
  private final Holder own;

  /** What the file holds. */
  private record Holder(String job, long generation) {}

  private Fence(Path file, Holder own) {
    this.file = file;
    this.own = own;
  }

  /**
   * Takes the right for a generation; whoever had it finds out.
   *
   * @param job an id that no other job ever had
   * @throws CollectiveException when a newer generation of the job has it
   * @throws CheckpointException when the file can't be written
   */
  public static Fence claim(Path folder, String job, long generation) {
    Fence fence = new Fence(folder.resolve(FILE), new Holder(job, generation));
    try {
      Files.createDirectories(folder);
      Optional<Holder> before = fence.read();
      if (before.isPresent()
          && before.get().job().equals(job)
          && before.get().generation() > generation) {
        throw fence.lost(before);
      }
      DurableFiles.write(fence.file, JSON.writeValueAsString(fence.own) + "\n");
    } catch (IOException e) {
      throw new CheckpointException("%s: can't be written: %s.".formatted(fence.file, e), e);
    }
    fence.check();
    return fence;
  }

  /**
   * To be called right before a write.
   *
   * @throws CollectiveException when the right was lost
   */
  public void check() {
    if (this == NONE) {
      return;
    }
    Optional<Holder> holder;
    try {
      holder = read();
    } catch (IOException e) {
      throw new CheckpointException("%s: can't be read: %s.".formatted(file, e), e);
    }
    if (!holder.equals(Optional.of(own))) {
      throw lost(holder);
    }
  }

  long generation() {
    return own.generation();
  }

  /** Nothing where there is no file, or none that says anything. */
  private Optional<Holder> read() throws IOException {
    try {
      return Optional.of(JSON.readValue(Files.readAllBytes(file), Holder.class));
    } catch (NoSuchFileException e) {
      return Optional.empty();
    } catch (JacksonException e) {
      log.warn("{} is no longer what was written: {}", file, e.getOriginalMessage());
      return Optional.empty();
    }
  }

  private CollectiveException lost(Optional<Holder> holder) {
    return new CollectiveException(
        "generation %d may no longer write into %s: %s"
            .formatted(
                own.generation(),
                file.getParent(),
                holder
                    .map(
                        other ->
                            other.job().equals(own.job())
                                ? "generation %d has begun".formatted(other.generation())
                                : "job '%s' writes there".formatted(other.job()))
                    .orElse(file + " is gone")));
  }
}
