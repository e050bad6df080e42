package org.ftcluster.worker.checkpoint;

import java.nio.file.Path;
import org.ftcluster.worker.checkpoint.storage.Storage;
import org.ftcluster.worker.safetensors.SafetensorsWriter;

/** Stores of checkpoints that tests ask for. */
final class TestCheckpoints {
  private TestCheckpoints() {}

  static CheckpointStore in(Path root, JobIdentity job, int keep, boolean overwrite) {
    return in(root, job, keep, overwrite, SafetensorsWriter::write);
  }

  static CheckpointStore in(
      Path root, JobIdentity job, int keep, boolean overwrite, Checkpoint.TensorWriter writer) {
    return new CheckpointStore(
        job,
        overwrite,
        new LocalCheckpoints(root, job, new Retention(keep, false), overwrite, writer),
        null);
  }

  /** With a copy off the node. */
  static CheckpointStore in(Path root, JobIdentity job, int keep, Storage storage) {
    return in(root, job, new Retention(keep, false), storage);
  }

  static CheckpointStore in(Path root, JobIdentity job, Retention retention, Storage storage) {
    return new CheckpointStore(
        job,
        false,
        new LocalCheckpoints(root, job, retention, false, SafetensorsWriter::write),
        new RemoteCheckpoints(storage, job, retention, false));
  }
}
