package org.ftcluster.worker.training;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.checkpoint.CheckpointWriter;
import org.jspecify.annotations.Nullable;

/**
 * Opens the logs of a run that goes on, on whatever machine. Lines that the job's folder lacks come
 * from the checkpoint that was read, or else from the copy off the node.
 *
 * @param step the last one completed
 * @param checkpoint {@code null} where the state comes from memory
 */
record LogOpener(Path folder, long step, @Nullable Path checkpoint, CheckpointWriter checkpoints) {
  /**
   * Opens a log.
   *
   * @param known what can be filled in: the steps that this rank remembers
   */
  StepLog open(String name, StepHistory known) {
    Path file = folder.resolve(name);
    StepLog own = StepLog.open(file, step);
    if (known.covers(own.lastStep(), step)) {
      return own;
    }
    long lines = own.lastStep();
    own.close();
    Path copy = folder.resolve(name + ".copy");
    try {
      if (checkpoint != null && Files.exists(checkpoint.resolve(name))) {
        DurableFiles.write(file, Files.readString(checkpoint.resolve(name)));
      } else if (checkpoints.fetchResult(name, copy)) {
        adopt(copy, lines, file);
      }
    } catch (IOException e) {
      throw new OutputException(file, e);
    }
    return StepLog.open(file, step);
  }

  /** The copy may be older than what is here. */
  private void adopt(Path copy, long lines, Path file) throws IOException {
    long copied;
    try (StepLog log = StepLog.open(copy, step)) {
      copied = log.lastStep();
    }
    if (copied > lines) {
      DurableFiles.move(copy, file);
    } else {
      Files.delete(copy);
    }
  }
}
