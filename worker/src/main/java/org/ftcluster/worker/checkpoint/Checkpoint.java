package org.ftcluster.worker.checkpoint;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.ftcluster.protocol.file.DurableFiles;
import org.ftcluster.worker.model.FloatSource;
import org.ftcluster.worker.model.ParameterBuffer;
import org.ftcluster.worker.safetensors.DType;
import org.ftcluster.worker.safetensors.OutgoingTensor;
import org.ftcluster.worker.safetensors.SafetensorsException;
import org.ftcluster.worker.safetensors.SafetensorsFile;
import org.ftcluster.worker.safetensors.StreamedTensor;
import org.ftcluster.worker.safetensors.TensorView;

/**
 * A folder {@code step-N}: {@code state.safetensors} with the tensors, the logs up to that step,
 * and the {@link Manifest}.
 */
final class Checkpoint {
  private static final String STATE = "state.safetensors";

  private Checkpoint() {}

  /** How a file of tensors is written: the seam where tests fill the disk. */
  interface TensorWriter {
    void write(Path target, List<? extends OutgoingTensor> tensors, Map<String, String> metadata)
        throws IOException;
  }

  /** Writes and syncs the files into an empty folder. */
  static void write(
      Path folder, Snapshot state, List<LogFile> logs, JobIdentity job, TensorWriter writer)
      throws IOException {
    List<OutgoingTensor> tensors = new ArrayList<>();
    for (StateContent content : StateContent.values()) {
      for (ParameterBuffer.Slice slice : state.slices()) {
        tensors.add(
            new StreamedTensor(
                content.prefix() + slice.name(),
                DType.F32,
                slice.shape(),
                sink -> state.read(content, slice, sink)));
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
   * Opens a checkpoint that is whole, to be read where it lies.
   *
   * @param slices what it is to hold
   * @return to be closed
   * @throws CheckpointException when it isn't whole, or a tensor is missing, or of another shape
   */
  static Snapshot open(Path folder, Manifest manifest, List<ParameterBuffer.Slice> slices) {
    manifest.check(folder);
    try {
      SafetensorsFile file = SafetensorsFile.open(folder.resolve(STATE));
      try {
        return snapshot(file, slices, manifest.progress());
      } catch (RuntimeException e) {
        file.close();
        throw e;
      }
    } catch (SafetensorsException e) {
      throw new CheckpointException(String.valueOf(e.getMessage()), e);
    }
  }

  private static Snapshot snapshot(
      SafetensorsFile file, List<ParameterBuffer.Slice> slices, Progress progress) {
    List<FloatSource> contents = new ArrayList<>();
    for (StateContent content : StateContent.values()) {
      for (ParameterBuffer.Slice slice : slices) {
        checkShape(file.path(), file.get(content.prefix() + slice.name()), slice);
      }
      contents.add(content(file, content, slices));
    }
    return Snapshot.of(slices, contents, progress, file::close);
  }

  private static void checkShape(Path file, TensorView tensor, ParameterBuffer.Slice slice) {
    if (!Arrays.equals(tensor.shape(), slice.shape())) {
      throw new CheckpointException(
          "%s: tensor %s is %s, but the model's is %s."
              .formatted(
                  file,
                  tensor.name(),
                  Arrays.toString(tensor.shape()),
                  Arrays.toString(slice.shape())));
    }
  }

  private static FloatSource content(
      SafetensorsFile file, StateContent content, List<ParameterBuffer.Slice> slices) {
    return FloatSource.of(
        slices,
        (slice, from, to, sink) ->
            FloatSource.of(file.get(content.prefix() + slice.name()).data()).read(from, to, sink));
  }
}
