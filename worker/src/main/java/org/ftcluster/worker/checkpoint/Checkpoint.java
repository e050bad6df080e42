package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.SafetensorsException;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.safetensors.TensorView;

/**
 * A folder {@code step-N}: {@code state.safetensors} with the tensors, the logs up to that step,
 * and the {@link Manifest}.
 */
final class Checkpoint {
  private static final String STATE = "state.safetensors";
  private static final List<String> PREFIXES =
      List.of("parameter.", "first_moment.", "second_moment.");

  private final Path folder;
  private final Manifest manifest;

  private Checkpoint(Path folder, Manifest manifest) {
    this.folder = folder;
    this.manifest = manifest;
  }

  /** How a file of tensors is written: the seam where tests fill the disk. */
  interface TensorWriter {
    void write(Path target, List<TensorView> tensors, Map<String, String> metadata)
        throws IOException;
  }

  /** Writes and syncs the files into an empty folder. */
  static void write(
      Path folder, Snapshot state, List<LogFile> logs, JobIdentity job, TensorWriter writer)
      throws IOException {
    List<TensorView> tensors = new ArrayList<>();
    for (int b = 0; b < PREFIXES.size(); b++) {
      for (ParameterBuffer.Slice slice : state.slices()) {
        tensors.add(
            new TensorView(
                PREFIXES.get(b) + slice.name(),
                DType.F32,
                slice.shape(),
                slice.of(state.buffers().get(b))));
      }
    }
    writer.write(folder.resolve(STATE), tensors, Map.of());
    for (LogFile log : logs) {
      log.copyTo(folder);
    }
    DurableFiles.write(
        folder.resolve(Manifest.FILE), Manifest.of(folder, job, state.progress()).toJson());
  }

  /**
   * Opens a checkpoint that is whole.
   *
   * @throws CheckpointException when it isn't
   */
  static Checkpoint open(Path folder, Manifest manifest) {
    manifest.check(folder);
    return new Checkpoint(folder, manifest);
  }

  /**
   * Reads everything into {@code state}.
   *
   * @throws CheckpointException when a tensor is missing, or of another shape; {@code state} then
   *     holds nothing
   */
  void readInto(TrainingState state) {
    state.invalidate();
    try (SafetensorsFile file = SafetensorsFile.open(folder.resolve(STATE))) {
      for (int b = 0; b < PREFIXES.size(); b++) {
        for (ParameterBuffer.Slice slice : state.parameters().slices()) {
          TensorView tensor = file.get(PREFIXES.get(b) + slice.name());
          Tensors.checkShape(file.path(), tensor, slice);
          slice.of(state.buffers().get(b)).copyFrom(tensor.data());
        }
      }
    } catch (SafetensorsException e) {
      throw new CheckpointException(String.valueOf(e.getMessage()), e);
    }
    state.completed(manifest.progress());
  }
}
